"""Documents become chunks: cut along their structure, at a token limit, each knowing its place."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from aivax_cli.ingest.documents import Chunk, Document
from aivax_cli.ingest.structure import Heading, blocks, markdown_headings, rst_headings
from aivax_cli.ingest.tokens import CountTokens, WordCounter, estimate_tokens

MAX_TOKENS: Final = 256
"""Half of what multilingual-e5 reads, so that a heading path, prefixes and a tokenizer that counts otherwise
still fit; and small enough that five passages leave a small local model room to answer."""

MIN_TOKENS: Final = 16
"""A chunk under this (a lone heading, a stray line) is joined to its neighbour where both fit into one."""

METHOD: Final = 1
"""The way of cutting; a higher number when the same text would be cut otherwise."""

_SEGMENT_CHARS: Final = 16_384  # the splitter's time grows with the square of what it is given
_HEADING_CHARS: Final = 120
_SEPARATOR: Final = " > "
_NEWLINE: Final = re.compile("\n")
_BLANK_LINES: Final = re.compile(r"(?:[^\S\n]*\n)+")
_PLAIN_KINDS: Final = frozenset({"text", "code", "table"})


def cutting(max_tokens: int) -> str:
    """The name of how documents are cut: a document cut by another one is to be cut again."""
    return f"{METHOD}:{max_tokens}"


class _Piece(Struct, frozen=True):
    """A stretch of the document, [start, end), with the heading it stands under."""

    start: int
    end: int
    heading: str
    tokens: int


class Chunker:
    """Cuts documents into chunks of at most `max_tokens`. Made once for a run: it remembers words.

    `count_tokens` is the embedder's own counter; without it tokens are estimated. Every character of a
    document that is not white space is in exactly one chunk, in order.
    """

    def __init__(
        self,
        *,
        max_tokens: int = MAX_TOKENS,
        min_tokens: int = MIN_TOKENS,
        count_tokens: CountTokens | None = None,
    ) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
        self._max_tokens = max_tokens
        self._min_tokens = min(min_tokens, max_tokens)
        self._count = WordCounter(count_tokens or estimate_tokens)

    def chunk(self, document: Document) -> list[Chunk]:
        """The document's chunks in order; none for a document without text."""
        text = document.text
        pieces: list[_Piece] = []
        for start, end, heading in _sections(document):
            pieces.extend(self._cut(text, start, end, heading, plain=document.kind in _PLAIN_KINDS))
        places = _Places(document)
        chunks = map(places.chunk, self._join(text, pieces))
        return [chunk for chunk in chunks if chunk is not None]

    def _cut(self, text: str, start: int, end: int, heading: str, *, plain: bool) -> Iterator[_Piece]:
        """A section as pieces that each fit."""
        section = text[start:end]
        tokens = self._count(section)
        if tokens <= self._max_tokens:
            parts = [(section, tokens)]
        elif plain:
            parts = self._split(section)
        else:
            parts = self._pack(section, wanted=self._even(tokens))
        for part, count in parts:
            yield _Piece(start, start + len(part), heading, count)
            start += len(part)

    def _even(self, tokens: int) -> int:
        """How much each part holds when `tokens` are shared out evenly: no scrap is left at the end."""
        return -(-tokens // -(-tokens // self._max_tokens))

    def _pack(self, text: str, *, wanted: int) -> list[tuple[str, int]]:
        """Markdown in parts of whole blocks, each full at `wanted` tokens; too large a block is split."""
        parts: list[tuple[str, int]] = []
        pack, held = "", 0
        for first, last in blocks(text):
            block = text[first:last]
            tokens = self._count(block)
            if pack and (held >= wanted or held + tokens > self._max_tokens):
                parts.append((pack, held))
                pack, held = "", 0
            if tokens > self._max_tokens:
                parts.extend(self._split(block))
            else:
                pack, held = pack + block, held + tokens
        return [*parts, (pack, held)] if pack else parts

    def _split(self, text: str) -> list[tuple[str, int]]:
        """Any text in parts that fit, cut at the widest gap: blank lines, lines, sentences, words."""
        from semantic_text_splitter import TextSplitter

        parts: list[tuple[str, int]] = []
        for segment in _segments(text):
            capacity = (self._even(self._count(segment)), self._max_tokens)
            splitter = TextSplitter.from_callback(self._count, capacity, trim=False)
            parts.extend((part, self._count(part)) for part in splitter.chunks(segment))
        return parts

    def _join(self, text: str, pieces: Sequence[_Piece]) -> list[_Piece]:
        """Pieces too small to stand alone go to the one after them, else to the one before."""
        joined: list[_Piece] = []
        for piece in pieces:
            if joined and self._is_small(joined[-1]):
                both = self._union(text, joined[-1], piece)
                if both is not None:
                    joined[-1] = both
                    continue
                self._join_back(text, joined)
            joined.append(piece)
        if joined and self._is_small(joined[-1]):
            self._join_back(text, joined)
        return joined

    def _is_small(self, piece: _Piece) -> bool:
        return piece.tokens < self._min_tokens

    def _join_back(self, text: str, joined: list[_Piece]) -> None:
        if len(joined) > 1:
            both = self._union(text, joined[-2], joined[-1])
            if both is not None:
                joined[-2:] = [both]

    def _union(self, text: str, before: _Piece, after: _Piece) -> _Piece | None:
        """Two neighbours as one, under the heading of the larger; None where they do not fit."""
        tokens = self._count(text[before.start : after.end])
        if tokens > self._max_tokens:
            return None
        larger = after if after.tokens >= before.tokens else before
        return _Piece(before.start, after.end, larger.heading, tokens)


class _Places:
    """Where characters of a document stand: lines and pages."""

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self._page_starts = document.page_starts
        self._line_starts: list[int] | None = None
        if document.lines_are_real:
            self._line_starts = [0, *(newline.end() for newline in _NEWLINE.finditer(document.text))]

    def chunk(self, piece: _Piece) -> Chunk | None:
        """The piece as a chunk, without blank lines around it; None when nothing is left."""
        stretch = self._text[piece.start : piece.end]
        lead = _BLANK_LINES.match(stretch)
        start = piece.start + (lead.end() if lead else 0)
        text = self._text[start : piece.end].rstrip()
        if not text.strip():
            return None
        last = start + len(text) - 1
        return Chunk(
            text=text,
            heading=piece.heading,
            first_line=self._line(start),
            last_line=self._line(last),
            page=bisect_right(self._page_starts, start) or None if self._page_starts else None,
            tokens=piece.tokens,
        )

    def _line(self, position: int) -> int | None:
        return None if self._line_starts is None else bisect_right(self._line_starts, position)


def _sections(document: Document) -> Iterator[tuple[int, int, str]]:
    """The stretches between headings, each with its heading path; together they are the whole text."""
    start, path = 0, document.title
    above: list[tuple[int, str]] = []
    for heading in _headings(document):
        if heading.start > start:
            yield start, heading.start, path
        while above and above[-1][0] >= heading.level:
            above.pop()
        above.append((heading.level, _shortened(heading.text)))
        names = [name for _, name in above if name]
        if names and names[0] == document.title:
            names = names[1:]
        start, path = heading.start, _SEPARATOR.join([document.title, *names])
    if len(document.text) > start:
        yield start, len(document.text), path


def _headings(document: Document) -> list[Heading]:
    if document.kind in _PLAIN_KINDS:
        return []
    return rst_headings(document.text) if document.kind == "rst" else markdown_headings(document.text)


def _shortened(name: str) -> str:
    return name if len(name) <= _HEADING_CHARS else name[: _HEADING_CHARS - 1].rstrip() + "…"


def _segments(text: str) -> Iterator[str]:
    """`text` in stretches short enough for the splitter, cut at blank lines where there are any."""
    start = 0
    while len(text) - start > _SEGMENT_CHARS:
        floor, limit = start + _SEGMENT_CHARS // 2, start + _SEGMENT_CHARS
        cut = limit
        for boundary in ("\n\n", "\n", " "):
            found = text.rfind(boundary, floor, limit)
            if found >= 0:
                cut = found + len(boundary)
                break
        yield text[start:cut]
        start = cut
    yield text[start:]
