"""The routes."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from aivax_cli.core.errors import AivaxError, unknown_name
from aivax_cli.core.events import Event, Finished, TextDelta, TurnResult
from aivax_cli.gateway.ids import new_id
from aivax_cli.gateway.overrides import request_fields
from aivax_cli.server import completions
from aivax_cli.server.backend import Backend, GatewayInfo, Turns
from aivax_cli.server.faults import RequestError, error_body, status_of
from aivax_cli.server.requests import ChatRequest, chat_request, read_body

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MOST_BYTES = 32 * 1024 * 1024
"""The longest body that is read: images are sent in it."""
_LOG = logging.getLogger("aivax.server")
_COMPLETIONS = ("/v1/chat/completions", "/api/v1/chat/completions", "/api/v1/chat-completions")


def application(backend: Callable[[], AbstractAsyncContextManager[Backend]]) -> Starlette:
    """The server over a backend that is opened at its start and closed at its end."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with backend() as opened:
            app.state.backend = opened
            yield

    async def failed(request: Request, error: Exception) -> Response:
        del request
        if status_of(error) == 500:
            _LOG.error("unexpected %s", type(error).__name__, exc_info=error)
        headers = {}
        if isinstance(error, RequestError) and error.retry_after_s is not None:
            headers["retry-after"] = str(max(1, round(error.retry_after_s)))
        return JSONResponse(error_body(error), status_of(error), headers=headers)

    routes = [Route(path, complete, methods=["POST"]) for path in _COMPLETIONS]
    routes += [
        Route("/v1/models", list_models),
        Route("/v1/models/{name:path}", one_model),
        Route("/healthz", healthy),
        Route("/readyz", healthy),
    ]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={AivaxError: failed, Exception: failed},
    )


async def healthy(request: Request) -> Response:
    """The server is there; it is ready as soon as it answers."""
    from starlette.responses import PlainTextResponse

    del request
    return PlainTextResponse("ok\n")


async def list_models(request: Request) -> Response:
    """The gateways, in the shape of OpenAI's models."""
    from starlette.responses import JSONResponse

    backend: Backend = request.app.state.backend
    return JSONResponse({"object": "list", "data": [_model(info) for info in backend.gateways()]})


async def one_model(request: Request) -> Response:
    """A gateway by name, slug or id."""
    from starlette.responses import JSONResponse

    backend: Backend = request.app.state.backend
    name = request.path_params["name"]
    for info in backend.gateways():
        if name in (info.name, info.slug, info.id):
            return JSONResponse(_model(info))
    raise unknown_name("gateway", name, [info.name for info in backend.gateways()], otherwise="")


async def complete(request: Request) -> Response:
    """A chat completion, whole or streamed."""
    from starlette.responses import JSONResponse, StreamingResponse

    asked = chat_request(read_body(await body_of(request)))
    backend: Backend = request.app.state.backend
    turns = backend.open(asked.model, request_fields(asked.body), ())
    request_id, created = f"chatcmpl-{new_id()}", int(time.time())
    if not asked.stream:
        result = await _whole(turns, asked)
        headers = _headers(result)
        return JSONResponse(completions.completion(result, request_id, created), headers=headers)
    stream = _Stream(asked, request_id, created)
    events = turns.turn(asked.conversation)
    # The first piece is awaited here, so that whatever fails before it still gets its own status.
    first = await stream.first(events)
    return StreamingResponse(
        stream.rest(first, events),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


async def body_of(request: Request) -> bytes:
    """The request's body. Raises RequestError when it is longer than `MOST_BYTES`."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_BYTES:
            raise RequestError(f"the body is longer than {MOST_BYTES:,} bytes", 413)
    return bytes(data)


class _Stream:
    """One streamed answer."""

    def __init__(self, asked: ChatRequest, request_id: str, created: int) -> None:
        self._asked = asked
        self._id = request_id
        self._created = created
        self._model = asked.model
        self._result: TurnResult | None = None

    async def first(self, events: AsyncGenerator[Event, None]) -> bytes:
        """The role and the first words. Raises what the turn raises."""
        try:
            async for each in events:
                if isinstance(each, TextDelta):
                    return self._role() + self._text(each.text)
                if isinstance(each, Finished):
                    self._result = each.result
        except BaseException:
            await events.aclose()
            raise
        return self._role()

    async def rest(self, first: bytes, events: AsyncGenerator[Event, None]) -> AsyncIterator[bytes]:
        """Everything, with the end marker. An answer that breaks off ends with an error event."""
        try:
            yield first
            async for each in events:
                if isinstance(each, TextDelta):
                    yield self._text(each.text)
                elif isinstance(each, Finished):
                    self._result = each.result
            yield self._end()
        except AivaxError as error:
            yield completions.event(error_body(error))
        finally:
            await events.aclose()
        yield completions.end_marker(hosted=self._asked.hosted_dialect)

    def _role(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def _text(self, text: str) -> bytes:
        return self._chunk({"content": text})

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return completions.event(
            completions.chunk(self._id, self._created, self._model, delta, finish_reason)
        )

    def _end(self) -> bytes:
        result = self._result
        if result is None or result.incomplete:
            why = result.incomplete if result else "the turn did not end"
            return completions.event(error_body(RequestError(f"the answer is incomplete: {why}", 502)))
        self._model = result.model
        last = self._chunk({}, result.finish_reason or "stop")
        if self._asked.include_usage:
            last += completions.event(completions.usage_chunk(result, self._id, self._created))
        return last


async def _whole(turns: Turns, asked: ChatRequest) -> TurnResult:
    from contextlib import aclosing

    result: TurnResult | None = None
    async with aclosing(turns.turn(asked.conversation)) as events:
        async for each in events:
            if isinstance(each, Finished):
                result = each.result
    if result is None or result.incomplete:
        why = result.incomplete if result else "the turn did not end"
        raise RequestError(f"the answer is incomplete: {why}", 502)
    return result


def _headers(result: TurnResult) -> dict[str, str]:
    return {"x-model-routed-complexity": result.routed} if result.routed else {}


def _model(info: GatewayInfo) -> dict[str, object]:
    return {
        "id": info.name,
        "object": "model",
        "created": info.created,
        "owned_by": "aivax",
        "slug": info.slug,
        "gateway_id": info.id,
        "description": info.description,
    }
