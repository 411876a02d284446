"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from aivax_cli.core.events import FellBack, Finished, Routed, TextDelta, TurnResult
from aivax_cli.core.types import Purpose
from aivax_cli.gateway.ids import new_id
from aivax_cli.model.wire import encode
from aivax_cli.server import completions
from aivax_cli.server.asking import Asking, KeptAnswer
from aivax_cli.server.completions import Chunks
from aivax_cli.server.faults import RequestError, error_body
from aivax_cli.server.images import with_images
from aivax_cli.server.requests import ChatRequest, body_of, chat_request, read_body
from aivax_cli.server.streaming import EventStream, Send

if TYPE_CHECKING:
    from starlette.requests import Request

ROUTED = "x-model-routed-complexity"


class ChatCompletions:
    """A chat completion, whole or streamed: an ASGI application.

    Starlette puts more around a function that takes a request, which every request would pay for.
    """

    def __init__(self) -> None:
        from starlette.requests import Request

        self._request = Request

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """See ASGI."""
        request = self._request(scope, receive)
        body = await with_images(request, read_body(await body_of(request)))
        response = await _response(request, chat_request(body))
        await response(scope, receive, send)


async def _response(request: Request, asked: ChatRequest) -> _Json | EventStream:
    asking = Asking.begin(request, asked)
    kept = await KeptAnswer.of(request, asked)
    identity, created = f"chatcmpl-{new_id()}", int(time.time())
    if asked.stream:
        hosted = asking.turns.hosted_dialect if asked.hosted_dialect is None else asked.hosted_dialect
        chunks = Chunks(identity, created, asking.turns.model, asked.include_usage, hosted)
        headers: dict[str, str] = {}
        pieces = _replayed(chunks, kept.answer) if kept.answer else _streamed(asking, chunks, kept, headers)
        return EventStream(request, pieces, lambda error: completions.event(error_body(error)), headers)
    if kept.answer:
        return _Json(kept.answer, {})
    try:
        result = await asking.result()
        answer = completions.completion(result, identity, created)
        await kept.keep(answer)
    except BaseException:
        kept.release()
        raise
    return _Json(answer, {ROUTED: result.routed} if result.routed else {})


async def _streamed(
    asking: Asking, chunks: Chunks, kept: KeptAnswer, headers: dict[str, str]
) -> AsyncGenerator[bytes, None]:
    """The events of the stream; the first one has the first words."""
    before, after = chunks.frame()
    begun = False
    result: TurnResult | None = None
    try:
        async with aclosing(asking.events()) as events:
            async for each in events:
                if isinstance(each, TextDelta):
                    text = before + encode(each.text) + after
                    yield text if begun else chunks.begin() + text
                    begun = True
                elif isinstance(each, Routed):
                    headers[ROUTED] = each.level
                    chunks = replace(chunks, model=each.model)
                    before, after = chunks.frame()
                elif isinstance(each, FellBack) and each.purpose in (Purpose.ANSWER, Purpose.STRUCTURED):
                    chunks = replace(chunks, model=each.next_model)
                    before, after = chunks.frame()
                elif isinstance(each, Finished):
                    result = each.result
        if result is None:
            raise RequestError("the turn did not end", 502)
        answer = completions.completion(result, chunks.request_id, chunks.created)
        await kept.keep(answer)
    except BaseException:
        kept.release()
        raise
    if not begun:
        yield chunks.begin()
    for piece in chunks.end(result):
        yield piece


async def _replayed(chunks: Chunks, answer: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    same = replace(chunks, request_id=answer["id"], created=answer["created"], model=answer["model"])
    for piece in same.replay(answer):
        yield piece


class _Json:
    """An answer in JSON: an ASGI application."""

    def __init__(self, value: dict[str, Any], headers: dict[str, str]) -> None:
        self._body = encode(value)
        self._headers = headers

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """See ASGI."""
        del scope, receive
        headers = [
            (b"content-length", b"%d" % len(self._body)),
            (b"content-type", b"application/json"),
            *((name.encode(), value.encode()) for name, value in self._headers.items()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})
