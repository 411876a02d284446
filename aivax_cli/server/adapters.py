"""The routes of other shapes than chat completions, over the same turn: Responses, Messages, embeddings."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from aivax_cli.core.events import Event, Finished, Routed, TextDelta, TurnResult
from aivax_cli.gateway.ids import new_id
from aivax_cli.model.wire import encode
from aivax_cli.server import messages, responses
from aivax_cli.server.access import visible_of
from aivax_cli.server.asking import Asking
from aivax_cli.server.chat import ROUTED
from aivax_cli.server.embeddings import embedding_answer, embedding_request
from aivax_cli.server.faults import RequestError, headers_of, log_failure, status_of
from aivax_cli.server.images import with_images
from aivax_cli.server.requests import body_of, chat_request, read_body
from aivax_cli.server.streaming import EventStream, ended_when_gone

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


class Writer(Protocol):
    """How the events of a turn are written in one shape of stream."""

    def begin(self) -> bytes: ...

    def text(self, text: str) -> bytes: ...

    def end(self, result: TurnResult) -> bytes: ...

    def failed(self, error: Exception) -> bytes: ...


def adapter_routes() -> list[BaseRoute]:
    """The routes, for the application's list."""
    from starlette.routing import Route

    return [
        Route("/v1/responses", respond, methods=["POST"]),
        Route("/v1/messages", message, methods=["POST"]),
        Route("/v1/embeddings", embed, methods=["POST"]),
    ]


async def respond(request: Request) -> Any:
    """OpenAI's Responses, whole or streamed."""
    body = read_body(await body_of(request))
    asked = chat_request(await with_images(request, responses.chat_body(body)))
    response_id, created = f"resp_{new_id().replace('-', '')}", int(time.time())
    asking = Asking.begin(request, asked)
    if asked.stream:
        return _stream(asking, responses.ResponseWriter(response_id, created, body))
    result = await asking.result()
    return _json(responses.response(result, response_id, created, body), result)


async def message(request: Request) -> Any:
    """Anthropic's Messages, whole or streamed; errors, too, in Anthropic's shape."""
    try:
        body = messages.chat_body(read_body(await body_of(request)))
        asked = chat_request(await with_images(request, body))
        message_id = f"msg_{new_id().replace('-', '')}"
        asking = Asking.begin(request, asked)
        if asked.stream:
            writer = messages.MessageWriter(message_id, asking.turns.model)
            return _MessageStream(_stream(asking, writer))
        result = await asking.result()
        return _json(messages.message(result, message_id), result)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told in this shape
        return _message_failure(error)


async def embed(request: Request) -> Response:
    """OpenAI's embeddings."""
    asked = embedding_request(read_body(await body_of(request)))
    async with ended_when_gone(request):
        found = await visible_of(request).knowledge.embed(asked.model, asked.texts, query=asked.query)
    return _json(embedding_answer(asked, found))


class _MessageStream:
    """A stream whose failure before its first piece is told in Anthropic's shape. An ASGI application."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._stream(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - as above
            await _message_failure(error)(scope, receive, send)


def _message_failure(error: Exception) -> Response:
    from starlette.responses import JSONResponse

    log_failure(error)
    return JSONResponse(messages.message_error(error), status_of(error), headers=headers_of(error))


def _stream(asking: Asking, writer: Writer) -> EventStream:
    headers: dict[str, str] = {}
    pieces = _pieces(asking.events(), writer, headers)
    return EventStream(asking.request, pieces, writer.failed, headers)


async def _pieces(
    events: AsyncGenerator[Event, None], writer: Writer, headers: dict[str, str]
) -> AsyncGenerator[bytes, None]:
    """The beginning comes with the first word, so that whatever fails before it gets its own status."""
    result: TurnResult | None = None
    begun = False
    async with aclosing(events):
        async for each in events:
            if isinstance(each, TextDelta):
                yield (b"" if begun else writer.begin()) + writer.text(each.text)
                begun = True
            elif isinstance(each, Routed):
                headers[ROUTED] = each.level
            elif isinstance(each, Finished):
                result = each.result
    if result is None:
        raise RequestError("the turn did not end", 502)
    end = writer.end(result)  # raises for an answer that is not whole: before anything is sent, if it can
    yield (b"" if begun else writer.begin()) + end


def _json(value: Mapping[str, Any], result: TurnResult | None = None) -> Response:
    from starlette.responses import Response

    routed = {ROUTED: result.routed} if result is not None and result.routed else {}
    return Response(encode(value), media_type="application/json", headers=routed)
