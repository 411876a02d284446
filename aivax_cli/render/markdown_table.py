"""Markdown tables as rows: as a table where there is room, else one record below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from aivax_cli.render.markdown_inline import inline_text
from aivax_cli.render.rows import BLANK, PLAIN, Row, Run, row_width, tidy, wrap

if TYPE_CHECKING:
    from markdown_it.token import Token
    from rich.console import Console

Align = Literal["left", "center", "right"]

_HEAD = Style.parse("bold")
_DIM = Style.parse("dim")
_GAP = "   "


class MarkdownTable(Struct, frozen=True):
    """A table's cells; every row has as many as `head`."""

    head: tuple[Text, ...]
    align: tuple[Align, ...]
    body: tuple[tuple[Text, ...], ...]

    @property
    def columns(self) -> int:
        return len(self.head)


def read_table(tokens: Sequence[Token]) -> MarkdownTable:
    """The cells among the tokens inside a table."""
    rows: list[list[Text]] = []
    align: list[Align] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "th_open":
            align.append(_align(str(token.attrs.get("style", ""))))
        elif token.type == "inline":
            rows[-1].append(inline_text(token))
    head, *body = rows
    return MarkdownTable(tuple(head), tuple(align), tuple(tuple(row) for row in body))


def _align(style: str) -> Align:
    if "center" in style:
        return "center"
    return "right" if "right" in style else "left"


def table_rows(table: MarkdownTable, console: Console, width: int) -> list[Row]:
    """The table at most `width` columns wide; cells wrap, and nothing in them is cut off."""
    head = tuple(_bold(cell) for cell in table.head)
    widths = _column_widths([head, *table.body], width - (table.columns - 1) * len(_GAP))
    rows = _record_rows(head, table.align, widths, console)
    rows.append((("─" * (sum(widths) + (table.columns - 1) * len(_GAP)), _DIM),))
    for record in table.body:
        rows.extend(_record_rows(record, table.align, widths, console))
    return rows


def _bold(cell: Text) -> Text:
    bold = cell.copy()
    bold.stylize_before(_HEAD)
    return bold


def _column_widths(records: Sequence[Sequence[Text]], room: int) -> list[int]:
    """As wide as each column's widest cell; where that is too much, narrow columns keep their width and the
    others share what they leave."""
    natural = [max(1, *(_widest(cell) for cell in column)) for column in zip(*records, strict=False)]
    widths = [0] * len(natural)
    for done, index in enumerate(sorted(range(len(natural)), key=natural.__getitem__)):
        share = room // (len(natural) - done)
        widths[index] = max(1, min(natural[index], share))
        room -= widths[index]
    return widths


def _record_rows(
    record: Sequence[Text], align: Sequence[Align], widths: Sequence[int], console: Console
) -> list[Row]:
    cells = [wrap(cell, console, width) for cell, width in zip(record, widths, strict=False)]
    rows: list[Row] = []
    for index in range(max(map(len, cells))):
        runs: list[Run] = []
        for cell, side, width in zip(cells, align, widths, strict=False):
            line = cell[index] if index < len(cell) else BLANK
            left, right = _padding(side, width - row_width(line))
            runs += [(" " * left, PLAIN), *line, (" " * right + _GAP, PLAIN)]
        rows.append(tidy(runs))
    return rows


def _padding(side: Align, room: int) -> tuple[int, int]:
    if side == "left":
        return 0, room
    return (room, 0) if side == "right" else (room // 2, room - room // 2)


def _widest(cell: Text) -> int:
    return max(cell_len(line) for line in cell.plain.split("\n"))


def stacked_rows(table: MarkdownTable, console: Console, width: int) -> list[Row]:
    """`head: cell` lines, a blank row between records, for screens too narrow for the columns."""
    rows: list[Row] = []
    for record in table.body or (tuple(Text() for _ in table.head),):
        if rows:
            rows.append(BLANK)
        for head, cell in zip(table.head, record, strict=False):
            rows.extend(wrap(Text.assemble(_bold(head), ": ", cell), console, width))
    return rows
