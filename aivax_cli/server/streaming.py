"""Answers that are sent while they are made, and the end of both when the client has gone."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, MutableMapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aivax_cli.core.errors import AivaxError
from aivax_cli.server.faults import RequestError, log_failure

if TYPE_CHECKING:
    from starlette.requests import Request

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
_UNWATCHED_S = 0.1
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientGoneError(AivaxError):
    """Nobody waits for the answer any more."""


def ended_when_gone(request: Request) -> AbstractAsyncContextManager[None]:
    """The block is cancelled as soon as the client closes its connection. Raises ClientGoneError then, and
    RequestError (503) when it is the server that ends the request, because it is to end itself.

    The request's body has been read before.
    """
    return _Watch(request)


class _Watch:
    """Looks after a client from `_UNWATCHED_S` on: making a task for it would slow down short answers."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._gone = False
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._working = asyncio.current_task()
        self._begin = asyncio.get_running_loop().call_later(_UNWATCHED_S, self._watch)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del kind, traceback
        self._begin.cancel()
        if self._watching is not None:
            self._watching.cancel()
        cancelled = isinstance(error, asyncio.CancelledError)
        if (
            self._gone and not cancelled
        ):  # it went in the very moment of the end, and the cancellation is to come
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        if not self._gone and not cancelled:
            return
        if self._working is not None:
            self._working.uncancel()
        if self._gone:
            raise ClientGoneError("the client has gone") from None
        raise RequestError("the server is shutting down", 503, retry_after_s=1) from None

    def _watch(self) -> None:
        self._watching = asyncio.ensure_future(self._waited())

    async def _waited(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._working is not None:
            self._working.cancel()


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
                await _before_waiting(self._collect(), partial(self._flush, send))
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

    async def _collect(self) -> None:
        async for piece in self._pieces:
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
def _before_waiting(
    work: Coroutine[Any, Any, None], do: Callable[[], Awaitable[None]]
) -> Generator[Any, None, None]:
    """Does the work; `do` is carried out whenever it comes to wait for something.

    This is `await work` written out: the work is resumed by hand, so that it can be seen to pause.
    """
    thrown: BaseException | None = None
    while True:
        try:
            waited_for = work.send(None) if thrown is None else work.throw(thrown)
        except StopIteration:
            return
        thrown = None
        try:
            yield from do().__await__()
            yield waited_for
        except BaseException as error:  # noqa: BLE001 - the work is told, whatever it is
            thrown = error
