"""Where an unfinished Markdown block can be cut, so that its finished part is printed for good.

A cut is a guess, checked: the two parts must render to exactly the rows of the whole. So a wrong guess
costs a little time and never a wrong row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.render.rows import Row, row_text

if TYPE_CHECKING:
    from aivax_cli.render.markdown import Block

_ATTEMPTS = 6
_WORD = re.compile(r"\S+")
_CONTAINERS = ("bullet_list_open", "ordered_list_open", "blockquote_open")
# Blocks before the start of one of these are closed, and what follows cannot change them.
_CLOSING = {
    *_CONTAINERS,
    "list_item_open",
    "paragraph_open",
    "heading_open",
    "fence",
    "code_block",
    "html_block",
    "hr",
}


class Opening(Struct, frozen=True):
    """How the first block of a source begins on the screen.

    `joined`: it goes on from rows that are printed, without a blank row. `number`: its ordered list goes on
    with this number. `hidden_lines`: of its source, so many lines are printed already, and `hidden_rows`
    rows; they are in the source only because what follows cannot be understood without them.
    """

    joined: bool = False
    number: int | None = None
    hidden_lines: int = 0
    hidden_rows: int = 0


Render = Callable[[str, Opening], list[Row]]
"""Renders a source that is one block, without a blank row before it and without its hidden rows."""


class Cut(Struct, frozen=True):
    """Rows to print for good, and the source that is left with how it begins."""

    rows: list[Row]
    source: str
    opening: Opening


def cut_list(source: str, block: Block, opening: Opening, render: Render) -> Cut | None:
    """Before the last item of a top-level list."""
    inside = (token for token in block.tokens if token.type == "list_item_open" and token.level == 1)
    items = [token.map[0] for token in inside if token.map]
    if len(items) < 2:
        return None
    number = None
    if block.kind == "ordered_list_open":
        start = opening.number if opening.number is not None else int(block.tokens[0].attrs.get("start", 1))
        number = start + len(items) - 1
    head, rest = split_lines(source, items[-1])
    return Cut(render(head, opening), rest, Opening(joined=True, number=number))


def cut_fence(source: str, block: Block, opening: Opening, render: Render, *, keep: int) -> Cut | None:
    """Between two lines of code, keeping `keep` or some more; the rest is a fence of the same language.

    Inside of what spans lines, as a comment does, the rest would be coloured otherwise: no cut is made.
    """
    rows = render(source, opening)
    lines = source.split("\n")
    label = render(lines[block.first] + "\n", Opening())[:-1]
    for kept in range(keep, keep + _ATTEMPTS * 3, 3):
        at = block.end - kept
        if at <= block.first + 1:
            return None
        rest = "\n".join([lines[block.first], *lines[at:]])
        left = render(rest, Opening())[len(label) :]
        if len(left) < len(rows) and rows[-len(left) :] == left:
            return Cut(rows[: -len(left)], rest, Opening(joined=True, hidden_lines=1, hidden_rows=len(label)))
    return None


def cut_paragraph(source: str, opening: Opening, render: Render, *, keep: int) -> Cut | None:
    """Where a row ends, keeping about `keep` rows."""
    rows = render(source, opening)
    for count in range(len(rows) - keep, max(0, len(rows) - keep - _ATTEMPTS), -1):
        for at in _row_starts(source, rows, count):
            above = render(source[:at], opening)
            rest = source[at:]
            if above == rows[:count] and above + render(rest, Opening(joined=True)) == rows:
                return None if _open_markup(above) else Cut(above, rest, Opening(joined=True))
    return None


def hide_finished(source: str, block: Block, opening: Opening, render: Render) -> Cut | None:
    """Prints the closed blocks inside a container, whose source stays for the sake of what follows."""
    if block.kind not in _CONTAINERS:
        return None
    rows = render(source, opening)
    for line in _starts(block, after=max(block.first, opening.hidden_lines)):
        above = render(split_lines(source, line)[0], opening)
        if above and rows[: len(above)] == above:
            hidden = opening.hidden_rows + len(above)
            return Cut(above, source, replace(opening, joined=True, hidden_lines=line, hidden_rows=hidden))
    return None


def hide_code(source: str, block: Block, opening: Opening, render: Render, *, keep: int) -> Cut | None:
    """Prints all but the last lines of a fence whose source must stay, as its colours hang together."""
    rows = render(source, opening)
    line = block.end - keep
    if line <= max(opening.hidden_lines, block.first + 1):
        return None
    # The last row of a fence that is cut short is its lower edge, which is not due yet.
    count = len(render(split_lines(source, line)[0], opening)) - 1
    if not 0 < count < len(rows):
        return None
    hidden = opening.hidden_rows + count
    return Cut(rows[:count], source, replace(opening, joined=True, hidden_lines=line, hidden_rows=hidden))


def split_lines(source: str, line: int) -> tuple[str, str]:
    """The source before and from a line, counted from 0."""
    at = 0
    for _ in range(line):
        at = source.index("\n", at) + 1
    return source[:at], source[at:]


def _starts(block: Block, *, after: int) -> Iterator[int]:
    """Lines at which blocks inside begin, the latest first, a few of them."""
    lines = {token.map[0] for token in block.tokens if token.map and token.type in _CLOSING}
    latest = sorted((line for line in lines if line > after), reverse=True)
    yield from latest[:_ATTEMPTS]


def _row_starts(source: str, rows: list[Row], index: int) -> Iterator[int]:
    """Where in a paragraph's source a row may begin: where its words are reached, where its text stands."""
    words = sum(len(row_text(row).split()) for row in rows[:index])
    counted = next(islice(_WORD.finditer(source), words, None), None)
    if counted is not None and counted.start() > 0:
        yield counted.start()
    text = row_text(rows[index])
    at = source.rfind(text) if text else -1
    if at > 0:
        yield at


def _open_markup(rows: list[Row]) -> bool:
    """Whether text holds what may be the start of markup that ends later."""
    text = "".join(row_text(row) for row in rows)
    return any(mark in text for mark in "*`~") or text.count("[") > text.count("]")
