"""Answers that are sent while they are made, and the end of both when the client has gone."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, MutableMapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aivax_cli.core.errors import AivaxError
from aivax_cli.server.faults import RequestError, log_failure

if TYPE_CHECKING:
    from starlette.requests import Request

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
Value = TypeVar("Value")
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientGoneError(AivaxError):
    """Nobody waits for the answer any more."""


@asynccontextmanager
async def ended_when_gone(request: Request) -> AsyncIterator[None]:
    """The block is cancelled as soon as the client closes its connection. Raises ClientGoneError then, and
    RequestError (503) when it is the server that ends the request, because it is to end itself.

    The request's body has been read before.
    """
    working = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        if working is not None:
            working.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
        if gone:  # it went in the very moment of the end, and the cancellation is still to come
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        if working is not None:
            working.uncancel()
        if gone:
            raise ClientGoneError("the client has gone") from None
        raise RequestError("the server is shutting down", 503, retry_after_s=1) from None
    finally:
        watching.cancel()


class EventStream:
    """A response of server-sent events: an ASGI application.

    `pieces` are whole events. Nothing is sent before the first one is there: what is raised until then is
    raised here, and can still become an answer with its own status. `on_error` words what is raised later as
    a last event. `headers` are those of the response, filled in until the first piece is there.
    Pieces that come without waiting are sent together.
    """

    def __init__(
        self,
        request: Request,
        pieces: AsyncGenerator[bytes, None],
        on_error: Callable[[Exception], bytes],
        headers: dict[str, str] | None = None,
    ) -> None:
        self._request = request
        self._pieces = pieces
        self._on_error = on_error
        self._headers = headers if headers is not None else {}
        self._begun = False
        self._outbox = bytearray()

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """See ASGI. Raises what the pieces raise before the first; ClientGoneError until then."""
        del scope, receive
        try:
            async with ended_when_gone(self._request), aclosing(self._pieces):
                await self._relay(partial(self._flush, send))
        except ClientGoneError:
            if not self._begun:
                raise
            return
        except Exception as error:
            if not self._begun and not self._outbox:
                raise
            log_failure(error)
            self._outbox += self._on_error(error)
        await self._flush(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _relay(self, flush: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                piece = await _before_waiting(anext(self._pieces), flush)
            except StopAsyncIteration:
                return
            self._outbox += piece

    async def _flush(self, send: Send) -> None:
        if not self._outbox:
            return
        if not self._begun:
            self._begun = True
            headers = [(name.encode(), value.encode()) for name, value in (_HEADERS | self._headers).items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        body, self._outbox = bytes(self._outbox), bytearray()
        await send({"type": "http.response.body", "body": body, "more_body": True})


@types.coroutine
def _before_waiting(work: Awaitable[Value], do: Callable[[], Awaitable[None]]) -> Generator[Any, None, Value]:
    """The value of `work`; `do` is carried out whenever the work comes to wait for something.

    This is `await work` written out: the work is resumed by hand, so that it can be seen to pause.
    """
    steps = work.__await__()
    resume: Callable[[], Any] = partial(steps.send, None)
    while True:
        try:
            waited_for = resume()
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        try:
            yield from do().__await__()
            yield waited_for
            resume = partial(steps.send, None)
        except BaseException as error:  # noqa: BLE001 - the work is told, whatever it is
            resume = partial(steps.throw, error)
