"""An HTTP answer as pieces of text: event streams, whole JSON bodies, and what is neither."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Self, cast

from aivax_cli.core.errors import ModelError
from aivax_cli.model import failures, wire
from aivax_cli.model.retry import TransientModelError

if TYPE_CHECKING:
    import httpx

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""The most bytes that one event, or a whole JSON body, may have. An answer's event has some hundred."""

_BOM = b"\xef\xbb\xbf"


class AnswerTooLargeError(Exception):
    """An event or a body is over MAX_EVENT_BYTES."""


async def read_answer(
    body: Body, answer: wire.AnswerParts, place: failures.Place
) -> AsyncGenerator[str, None]:
    """Feeds a 200 answer to `answer` and yields its text as it comes; returns when the answer is complete.

    What the body is, is told by its first byte, since content types are not to be relied on. Raises
    ModelError when it is no answer or an incomplete one, and httpx's errors as they are.
    """
    try:
        start = await body.peek()
        if start == b"<" or body.content_type == "text/html":
            raise failures.not_an_answer("a web page (HTML)", await body.whole(), place)
        if start in (b"{", b"[") or body.content_type == "application/json":
            yield _whole(await body.whole(), answer, place)
            return
        async with aclosing(_streamed(body, answer, place)) as pieces:
            async for text in pieces:
                yield text
    except AnswerTooLargeError as error:
        size = MAX_EVENT_BYTES // 1024**2
        raise ModelError(f"{place.who} sent an event of more than {size} MiB, which is no answer") from error


def _whole(body: str, answer: wire.AnswerParts, place: failures.Place) -> str:
    try:
        payload = wire.decode(body)
    except ValueError as error:
        raise TransientModelError(
            f"{place.url} answered with broken JSON (cut off after {len(body):,} characters?)"
        ) from error
    text = _add(payload, answer, place)
    if not answer.answered:
        raise failures.not_an_answer("JSON without any choices", "", place)
    return text


async def _streamed(body: Body, answer: wire.AnswerParts, place: failures.Place) -> AsyncGenerator[str, None]:
    import httpx
    from httpx_sse import EventSource

    source = EventSource(cast("httpx.Response", body))
    try:
        async with aclosing(source.aiter_sse()) as events:
            async for event in events:
                body.pending = 0
                for payload in _payloads(event.data, place):
                    if payload is None:
                        _require_choices(answer, place)
                        return
                    text = _add(payload, answer, place)
                    if text:
                        yield text
    except httpx.TransportError:
        if not answer.is_whole(abrupt=True):
            raise
    else:
        if not answer.is_whole(abrupt=False):
            raise _ended_early(answer, body, place)
    _require_choices(answer, place)


def _payloads(data: str, place: failures.Place) -> Iterator[object]:
    """The JSON of an event; None stands for the end marker.

    Servers that end events with one line break instead of two make one event of several lines of JSON.
    """
    if not data or data.isspace():
        return
    if wire.is_end_marker(data):
        yield None
        return
    try:
        yield wire.decode(data)
    except ValueError as error:
        lines = [line for line in data.split("\n") if line.strip()]
        if len(lines) < 2:
            raise ModelError(f"{place.who} sent an event that is no JSON: {place.said(data[:80])}") from error
        for line in lines:
            yield from _payloads(line, place)


def _add(payload: object, answer: wire.AnswerParts, place: failures.Place) -> str:
    found = wire.error_in(payload)
    if found is not None:
        raise failures.payload_error(found, place)
    return answer.add(payload)


def _require_choices(answer: wire.AnswerParts, place: failures.Place) -> None:
    if not answer.answered:
        raise ModelError(f"{place.who} at {place.url} ended its answer without any choices in it")


def _ended_early(answer: wire.AnswerParts, body: Body, place: failures.Place) -> ModelError:
    if answer.answered:
        return TransientModelError(f"{place.who} ended the stream without a finish reason or an end marker")
    if body.size == 0:
        return TransientModelError(f"{place.who} at {place.url} sent an empty answer")
    return failures.not_an_answer("text that is neither JSON nor an event stream", "", place)


class Body:
    """A response's bytes, with a look at the first one and a limit on what is held in memory.

    `aiter_text` and `headers` are all that `httpx_sse.EventSource` uses of a response. The original is not
    given to it because it would hold an endless line whole, refuse other content types than the right one,
    and drop a last event that no blank line follows.
    """

    def __init__(self, response: httpx.Response) -> None:
        encoded = "content-encoding" in response.headers
        pieces = response.aiter_bytes() if encoded else response.aiter_raw()
        # Both are async generators, though httpx types them as iterators.
        self._pieces = cast("AsyncGenerator[bytes, None]", pieces)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._peeked = b""
        self._at_end = False
        self.content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.headers = {"content-type": "text/event-stream"}
        self.pending = 0
        self.size = 0

    async def aclose(self) -> None:
        """Lets go of the response's bytes; closing the response is its owner's work."""
        await self._pieces.aclose()

    async def peek(self) -> bytes:
        """The first byte that is no white space (nor a byte order mark); empty for an empty body."""
        while True:
            bare = self._peeked.removeprefix(_BOM)
            start = bare.lstrip()
            if start and not _BOM.startswith(self._peeked):
                self._peeked = bare
                return start[:1]
            piece = await anext(self._pieces, None)
            if piece is None:
                return b""
            self._peeked += piece
            _limit(len(self._peeked))

    async def whole(self) -> str:
        """The rest of the body. Raises AnswerTooLargeError."""
        collected = bytearray(self._peeked)
        async for piece in self._pieces:
            collected += piece
            _limit(len(collected))
        return collected.decode("utf-8", "replace")

    async def drain(self, timeout_s: float) -> None:
        """Reads the few bytes after an end marker, so that the connection can be used again."""
        import httpx

        try:
            async with asyncio.timeout(timeout_s):
                async for _ in self._pieces:
                    pass
        except (TimeoutError, httpx.HTTPError):
            return

    def aiter_text(self) -> AsyncIterator[str]:
        """The body as text; the reader sets `pending` to 0 whenever an event is complete."""
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if self._at_end:
            raise StopAsyncIteration
        if self._peeked:
            piece, self._peeked = self._peeked, b""
        else:
            more = await anext(self._pieces, None)
            if more is None:
                self._at_end = True
                # A blank line, so that a last event without one is not lost.
                return self._decoder.decode(b"", final=True) + "\n\n"
            piece = more
        self.size += len(piece)
        self.pending += len(piece)
        _limit(self.pending)
        return self._decoder.decode(piece)


def _limit(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise AnswerTooLargeError
