"""An HTTP answer as pieces of text: event streams, whole JSON bodies, and what is neither."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aivax_cli.core.errors import ModelError
from aivax_cli.model import failures, wire
from aivax_cli.model.event_stream import EventParser
from aivax_cli.model.frames import Frame
from aivax_cli.model.retry import TransientModelError
from aivax_cli.model.sending import Answer, faults, lost

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""The most bytes that one event, or a whole JSON body, may have. An answer's event has some hundred."""

_BOM = b"\xef\xbb\xbf"
_LESSONS = range(6, 14)
"""At which of the chunks that are parsed their frame is learnt: it takes as long as parsing three of them,
which short answers do not make up for, nor those of endpoints whose chunks are all different."""


class AnswerTooLargeError(Exception):
    """An event or a body is over MAX_EVENT_BYTES."""


class AnswerReader:
    """Reads a 200 answer: feeds it to `answer` and gives its text as it comes, what came together as one.

    What the body is, is told by its first byte, since content types are not to be relied on.
    """

    def __init__(self, body: Body, answer: wire.AnswerParts, place: failures.Place) -> None:
        self._body = body
        self._answer = answer
        self._place = place
        self._events = EventParser()
        self._frame: Frame | None = None
        self._parsed = 0
        self._begun = False
        self._complete = False
        self._failure: Exception | None = None

    async def text(self) -> str:
        """The next piece of text, all that has come; empty when the answer is complete.

        Raises ModelError when it is no answer or an incomplete one, and httpx's errors as they are, once the
        text before is told.
        """
        found = ""
        try:
            if not self._begun:
                self._begun = True
                found = await self._first()
            while not found and not self._complete:
                if self._failure is not None:
                    raise self._failure
                found = await self._some()
        except AnswerTooLargeError as error:
            size = MAX_EVENT_BYTES // 1024**2
            raise ModelError(
                f"{self._place.who} sent an event of more than {size} MiB, which is no answer"
            ) from error
        return found

    async def _first(self) -> str:
        """The text of a whole body; nothing yet of a stream."""
        body = self._body
        start = await body.peek()
        if start == b"<" or body.content_type == "text/html":
            raise failures.not_an_answer("a web page (HTML)", await body.whole(), self._place)
        if start not in (b"{", b"[") and body.content_type != "application/json":
            return ""
        text = _whole(await body.whole(), self._answer, self._place)
        self._complete = True
        return text

    async def _some(self) -> str:
        """The text of the next bytes, which may be none."""
        try:
            piece = await self._body.read()
        except lost():
            if not self._answer.is_whole(abrupt=True):
                raise
            self._end()
            return ""
        found: list[str] = []
        try:
            for text in self._taken(piece):
                found.append(text)  # what came before an error counts
        except (ModelError, AnswerTooLargeError) as error:
            if not any(found):
                raise
            self._failure = error
        return "".join(found)

    def _taken(self, piece: bytes) -> Iterator[str]:
        events = self._events.feed(piece) if piece else self._events.finish()
        if self._frame is not None and len(events) > 1:
            together = self._frame.all_texts(events)
            if together is not None:
                yield self._answer.add_text("".join(together))
                events = []
        for data in events:
            frame = self._frame
            text = frame.text(data) if frame is not None else None
            if text is not None:
                yield self._answer.add_text(text)
                continue
            for payload in _payloads(data, self._place):
                if payload is None:
                    self._end()
                    return
                yield _add(payload, self._answer, self._place)
                self._parsed += 1
                self._frame = Frame.of(data, payload) if self._parsed in _LESSONS else None
        if self._events.pending > MAX_EVENT_BYTES:
            raise AnswerTooLargeError
        if not piece:
            if not self._answer.is_whole(abrupt=False):
                raise _ended_early(self._answer, self._body, self._place)
            self._end()

    def _end(self) -> None:
        self._complete = True
        if not self._answer.answered:
            place = self._place
            raise ModelError(f"{place.who} at {place.url} ended its answer without any choices in it")


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


def _payloads(data: str, place: failures.Place) -> list[object]:
    """The JSON of an event; None stands for the end marker.

    Servers that end events with one line break instead of two make one event of several lines of JSON.
    """
    if not data or data.isspace():
        return []
    if wire.is_end_marker(data):
        return [None]
    try:
        return [wire.decode(data)]
    except ValueError as error:
        lines = [line for line in data.split("\n") if line.strip()]
        if len(lines) < 2:
            raise ModelError(f"{place.who} sent an event that is no JSON: {place.said(data[:80])}") from error
        return [payload for line in lines for payload in _payloads(line, place)]


def _add(payload: object, answer: wire.AnswerParts, place: failures.Place) -> str:
    found = wire.error_in(payload)
    if found is not None:
        raise failures.payload_error(found, place)
    return answer.add(payload)


def _ended_early(answer: wire.AnswerParts, body: Body, place: failures.Place) -> ModelError:
    if answer.answered:
        return TransientModelError(f"{place.who} ended the stream without a finish reason or an end marker")
    if body.size == 0:
        return TransientModelError(f"{place.who} at {place.url} sent an empty answer")
    return failures.not_an_answer("text that is neither JSON nor an event stream", "", place)


class Body:
    """An answer's bytes, with a look at the first one and a limit on what is held in memory."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._peeked = b""
        self.content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.size = 0

    async def peek(self) -> bytes:
        """The first byte that is no white space (nor a byte order mark); empty for an empty body."""
        while True:
            bare = self._peeked.removeprefix(_BOM)
            start = bare.lstrip()
            if start and not _BOM.startswith(self._peeked):
                self._peeked = bare
                return start[:1]
            piece = await self._answer.read()
            if not piece:
                return b""
            self._peeked += piece
            _limit(len(self._peeked))

    async def read(self) -> bytes:
        """The bytes that have come since; none at the end."""
        if self._peeked:
            piece, self._peeked = self._peeked, b""
        else:
            piece = await self._answer.read()
        self.size += len(piece)
        return piece

    async def whole(self) -> str:
        """The rest of the body. Raises AnswerTooLargeError."""
        collected = bytearray(self._peeked)
        while piece := await self._answer.read():
            collected += piece
            _limit(len(collected))
        return collected.decode("utf-8", "replace")

    async def drain(self, timeout_s: float) -> None:
        """Reads the few bytes after an end marker, so that the connection can be used again."""
        if self._answer.at_end:
            return
        try:
            async with asyncio.timeout(timeout_s):
                while await self._answer.read():
                    pass
        except TimeoutError:
            return
        except faults():
            return


def _limit(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise AnswerTooLargeError
