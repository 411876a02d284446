"""Markdown that streams into a terminal without flicker, and without a word shown twice or not at all.

Top-level blocks but the last are finished: they are printed once, as ordinary lines that scroll. The
unfinished rest is the tail: it alone is parsed, rendered and repainted, and it stays lower than the
screen. A long list, code block or paragraph gives up its finished part; a tall table shows its head, how
many rows are left out, and its end, until it is complete.

Once closed, what stands on the screen and in its history is what rendering the whole text at once gives,
with one exception: a link whose definition comes later (`[text][1]` … `[1]: address`) is printed as the
source has it, since it is printed before its address is known.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from rich.style import Style

from aivax_cli.render.markdown import Block, MarkdownParser, MarkdownRenderer
from aivax_cli.render.markdown_cut import (
    Cut,
    Opening,
    cut_fence,
    cut_list,
    cut_paragraph,
    hide_code,
    hide_finished,
    split_lines,
)
from aivax_cli.render.rows import Row, RowEncoder, TailPainter
from aivax_cli.render.safe_text import safe_text

if TYPE_CHECKING:
    from rich.console import Console

_FRAME_S = 0.05
# Of the time, at most one part in so many goes into painting, however large the tail.
_CALM = 4
# Rows of the screen that the tail leaves free.
_FREE_ROWS = 2
# Code of more rows than this gives up its start and keeps so many lines.
_TALL_CODE = 24
_KEPT_CODE = 12
_ELIDED_HEAD = 4
# A last line of nothing but this may yet become any of several things: it waits for its next character.
_UNDECIDED = re.compile(r"[ \t>]*[-+*_=~`#|:.\d \t]{0,120}")
_DIM = Style.parse("dim")


class MarkdownStream:
    """An answer as it arrives. `feed` pieces, `refresh` when asked to, `close` at the end."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._parse = MarkdownParser().blocks
        self._renderer = MarkdownRenderer(console)
        self._painter = TailPainter(console.file, RowEncoder(console))
        self._source = ""
        self._opening = Opening()
        self._references: dict[str, Any] = {}
        self._blank = True
        self._examined = 0
        self._carried = ""
        self._width = console.size.width
        self._due = clock()
        self._stale = False

    def feed(self, text: str, /) -> float | None:
        """Takes a piece of any length. Returns the seconds after which `refresh` is due, if it is."""
        text = self._carried + text
        # Half of a line end, perhaps; the next piece tells.
        self._carried = "\r" if text.endswith("\r") else ""
        self._source += safe_text(text.removesuffix("\r"))
        self._stale = True
        wait_s = self._due - self._clock()
        if wait_s > 0:
            return wait_s
        self.refresh()
        return None

    def refresh(self) -> None:
        """Paints what has come since the last frame."""
        if self._stale:
            self._paint(final=False)

    def hide(self) -> None:
        """Takes the unfinished tail off the screen until the next frame."""
        self._painter.erase()
        self._stale = True

    def settle(self) -> None:
        """Paints what has come for good; what follows begins a new block."""
        if self._source:
            self.close()
            self._examined = 0

    def close(self) -> None:
        """Paints everything for good."""
        self._paint(final=True)
        self._source = ""

    def _paint(self, *, final: bool) -> None:
        started = self._clock()
        self._stale = False
        size = self._console.size
        self._resize(size.width)
        limit = max(1, size.height - _FREE_ROWS)
        committed = self._commit(final=final)
        tail: list[Row] = []
        if not final:
            committed += self._shorten(limit)
            more, tail = self._tail(limit)
            committed += more
        self._painter.draw(committed, tail, size=(size.width, size.height))
        ended = self._clock()
        self._due = max(started + _FRAME_S, ended + (ended - started) * (_CALM - 1))

    def _commit(self, *, final: bool) -> list[Row]:
        """The rows of the blocks that are finished, whose source is let go."""
        complete = len(self._source) if final else self._source.rfind("\n") + 1
        if complete == self._examined and not final:
            return []
        blocks, references = self._parse(self._source[:complete], self._references)
        finished = blocks if final else blocks[:-1]
        rows = [row for block in finished for row in self._printed(block)]
        if finished:
            self._references = references
            self._source = "" if final else split_lines(self._source, blocks[-1].first)[1]
        return rows

    def _printed(self, block: Block) -> list[Row]:
        rows = self._block(block, self._opening)
        spaced = self._spaced(rows)
        self._opening = Opening()
        self._blank = self._blank and not rows
        return spaced

    def _shorten(self, limit: int) -> list[Row]:
        """The rows of the finished part of the block that is not, whose source is let go where it can be."""
        complete = self._source.rfind("\n") + 1
        if complete == self._examined:
            return []
        rows: list[Row] = []
        source = self._source[:complete]
        blocks, _ = self._parse(source, self._references)
        cut = self._cut(source, blocks[0], limit) if blocks else None
        if cut is not None:
            rows = self._take(cut, self._source[complete:])
        self._examined = self._source.rfind("\n") + 1
        return rows

    def _cut(self, source: str, block: Block, limit: int) -> Cut | None:
        match block.kind:
            case "bullet_list_open" | "ordered_list_open":
                cut = cut_list(source, block, self._opening, self._render)
            case "fence":
                return self._cut_code(source, block, limit)
            case _:
                cut = None
        if cut is None and len(self._block(block, self._opening)) > limit:
            return hide_finished(source, block, self._opening, self._render)
        return cut

    def _cut_code(self, source: str, block: Block, limit: int) -> Cut | None:
        height = len(self._block(block, self._opening))
        keep = min(_KEPT_CODE, max(1, limit // 2))
        cut = None
        if height > min(_TALL_CODE, limit):
            cut = cut_fence(source, block, self._opening, self._render, keep=keep)
        if cut is None and height > limit:
            cut = hide_code(source, block, self._opening, self._render, keep=keep)
        return cut

    def _take(self, cut: Cut, rest: str) -> list[Row]:
        rows = self._spaced(cut.rows)
        self._source = cut.source + rest
        self._opening = cut.opening
        self._blank = False
        return rows

    def _tail(self, limit: int) -> tuple[list[Row], list[Row]]:
        """Rows to print for good, and the rows of the unfinished rest."""
        rows = self._visible()
        committed: list[Row] = []
        if len(rows) > limit:
            cut = self._cut_open_paragraph(limit)
            if cut is not None:
                committed = self._take(cut, "")
                rows = self._visible()
        return committed, _elided(rows, limit)

    def _visible(self) -> list[Row]:
        """The rest as it looks now, with what is not yet decided guessed or left out."""
        start = self._source.rfind("\n") + 1
        last = self._source[start:]
        shown = "" if _UNDECIDED.fullmatch(last) else last + _closers(last)
        rows: list[Row] = []
        for index, block in enumerate(self._parse(self._source[:start] + shown, self._references)[0]):
            if index == 0:
                rows = self._spaced(self._block(block, self._opening, growing=True))
            else:
                more = self._block(block, Opening(), growing=True)
                rows += MarkdownRenderer.spaced(more, first=self._blank and not rows)
        return rows

    def _cut_open_paragraph(self, limit: int) -> Cut | None:
        blocks, _ = self._parse(self._source, self._references)
        if len(blocks) != 1 or blocks[0].kind != "paragraph_open":
            return None
        return cut_paragraph(self._source, self._opening, self._render, keep=max(1, limit // 2))

    def _render(self, source: str, opening: Opening) -> list[Row]:
        rows: list[Row] = []
        for index, block in enumerate(self._parse(source, self._references)[0]):
            more = self._block(block, opening if index == 0 else Opening())
            rows += MarkdownRenderer.spaced(more, first=index == 0)
        return rows

    def _block(self, block: Block, opening: Opening, *, growing: bool = False) -> list[Row]:
        rows = self._renderer.block(block.tokens, self._width, number=opening.number, growing=growing)
        return rows[opening.hidden_rows :]

    def _spaced(self, rows: list[Row]) -> list[Row]:
        return MarkdownRenderer.spaced(rows, first=self._blank or self._opening.joined)

    def _resize(self, width: int) -> None:
        """Counts anew how many rows the printed part of the rest takes."""
        if width == self._width:
            return
        self._width = width
        if self._opening.hidden_lines:
            above = split_lines(self._source, self._opening.hidden_lines)[0]
            rows = self._render(above, replace(self._opening, hidden_rows=0))
            edge = self._parse(above, self._references)[0][0].kind == "fence"
            self._opening = replace(self._opening, hidden_rows=len(rows) - edge)


def _elided(rows: list[Row], limit: int) -> list[Row]:
    """At most `limit` rows: the start, how many are left out, the end."""
    if len(rows) <= limit:
        return rows
    head = min(_ELIDED_HEAD, limit // 3)
    end = max(0, limit - head - 1)
    count = len(rows) - head - end
    return [*rows[:head], ((f"   … {count} more rows …", _DIM),), *rows[len(rows) - end :]]


def _closers(line: str) -> str:
    """What closes the code or the bold text that a last line has begun, so that it looks as it will."""
    if line.count("`") % 2:
        return "`"
    return "**" if line.count("**") % 2 and not line.endswith(("*", " ")) else ""
