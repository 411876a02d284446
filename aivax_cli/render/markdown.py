"""Markdown as rows of a terminal, block by block.

Every top-level block, and every item of a top-level list, renders by itself: its rows depend on nothing
before or after it. That is what lets a stream print what is finished and never touch it again. So lists
are set tight whether they are loose or not, and a number's column does not wait for the longest number.

Nothing that the source says is hidden: raw HTML is shown as it is, a link shows where it leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from msgspec import Struct
from rich.style import Style

from aivax_cli.render.code import Highlighter
from aivax_cli.render.markdown_inline import inline_text
from aivax_cli.render.rows import BLANK, PLAIN, Row, tidy, wrap
from aivax_cli.render.safe_text import safe_text

if TYPE_CHECKING:
    from markdown_it.token import Token
    from rich.console import Console, ConsoleOptions, RenderResult

_DIM = Style.parse("dim")
_HEADINGS = {"h1": Style.parse("bold underline"), "h2": Style.parse("bold"), "h3": Style.parse("bold italic")}
_LESSER_HEADING = Style.parse("italic")
_MARKER = Style.parse("cyan")
# Text is not squeezed into less than this for the sake of markers and indentation.
_LEAST_TEXT = 8
_LEAST_COLUMN = 7
_RULE_WIDTH = 3


class Block(Struct, frozen=True):
    """A top-level block: its tokens and the source lines [first, end) that made it, counted from 0."""

    tokens: tuple[Token, ...]
    first: int
    end: int

    @property
    def kind(self) -> str:
        """markdown-it's name of its first token: `paragraph_open`, `fence`, `bullet_list_open`, …"""
        return self.tokens[0].type


class MarkdownParser:
    """Finds the blocks of a source, as CommonMark with tables and strikethrough has them."""

    def __init__(self) -> None:
        self._parser = MarkdownIt("commonmark").enable(["strikethrough", "table"])

    def blocks(
        self, source: str, references: dict[str, Any] | None = None
    ) -> tuple[list[Block], dict[str, Any]]:
        """The blocks of a source, and its link references added to those given."""
        env: dict[str, Any] = {"references": dict(references or {})}
        blocks: list[Block] = []
        group: list[Token] = []
        for token in self._parser.parse(source, env):
            group.append(token)
            if token.level == 0 and token.nesting <= 0:
                first, end = group[0].map or (0, 0)
                blocks.append(Block(tuple(group), first, end))
                group = []
        return blocks, env["references"]


class MarkdownRenderer:
    """Renders blocks for one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._code = Highlighter()

    def document(self, source: str, width: int) -> list[Row]:
        """A whole source as rows, a blank row between blocks."""
        rows: list[Row] = []
        for block in MarkdownParser().blocks(safe_text(source))[0]:
            rows.extend(self.spaced(self.block(block.tokens, width), first=not rows))
        return rows

    @staticmethod
    def spaced(rows: list[Row], *, first: bool) -> list[Row]:
        """The blank row before every block but the first."""
        return rows if first or not rows else [BLANK, *rows]

    def block(
        self, tokens: Sequence[Token], width: int, *, number: int | None = None, growing: bool = False
    ) -> list[Row]:
        """One block as rows. `number` overrides where an ordered list starts, when it goes on from before.

        `growing` says that the block will be rendered again, longer: code is coloured quicker, if with a
        rare wrong colour in its last line.
        """
        head, inner = tokens[0], tokens[1:-1]
        width = max(1, width)
        match head.type:
            case "paragraph_open":
                return wrap(inline_text(inner[0]), self._console, width)
            case "heading_open":
                return self._heading(head.tag, inner[0], width)
            case "fence" | "code_block":
                return self._fence(head, width, growing=growing)
            case "bullet_list_open" | "ordered_list_open":
                return self._list(head, inner, width, number)
            case "blockquote_open":
                return self._quote(inner, width)
            case "table_open":
                return self._table(inner, width)
            case "hr":
                return [(("─" * min(width, 40), _DIM),)]
            case _:
                return self._verbatim(head.content, width)

    def _heading(self, tag: str, inline: Token, width: int) -> list[Row]:
        text = inline_text(inline)
        text.stylize_before(_HEADINGS.get(tag, _LESSER_HEADING))
        return wrap(text, self._console, width)

    def _fence(self, token: Token, width: int, *, growing: bool) -> list[Row]:
        words = token.info.split()
        language = words[0] if words else ""
        edge = "─" * _RULE_WIDTH
        colour = self._code.growing_rows if growing else self._code.rows
        rows = colour(token.content.removesuffix("\n"), language.strip("{}.").lower(), width)
        return [*self._label(f"{edge} {language}".rstrip(), width), *rows, ((edge, _DIM),)]

    def _label(self, text: str, width: int) -> list[Row]:
        from rich.text import Text

        return wrap(Text(text, _DIM), self._console, width)

    def _verbatim(self, content: str, width: int) -> list[Row]:
        return self._code.rows(content.rstrip("\n"), "", width)

    def _list(self, head: Token, inner: Sequence[Token], width: int, number: int | None) -> list[Row]:
        rows: list[Row] = []
        count = number if number is not None else int(head.attrs.get("start", 1))
        for item in _children(inner):
            marker = " • " if head.type == "bullet_list_open" else f"{count}. ".rjust(4)
            count += 1
            if width - len(marker) < _LEAST_TEXT:
                marker = ""
            first, *others = self._item(item[1:-1], width - len(marker)) or [BLANK]
            blank = (" " * len(marker), PLAIN)
            rows.append(tidy([(marker, _MARKER), *first]))
            rows.extend(tidy([blank, *row]) for row in others)
        return rows

    def _item(self, inner: Sequence[Token], width: int) -> list[Row]:
        rows: list[Row] = []
        before: str | None = None
        for child in _children(inner):
            kind = child[0].type
            if before is not None and not (kind.endswith("list_open") and before == "paragraph_open"):
                rows.append(BLANK)
            rows.extend(self.block(child, width))
            before = kind
        return rows

    def _quote(self, inner: Sequence[Token], width: int) -> list[Row]:
        rows: list[Row] = []
        bar = "▌ " if width - 2 >= _LEAST_TEXT else ""
        for child in _children(inner):
            rows.extend(self.spaced(self.block(child, width - len(bar)), first=not rows))
        return [tidy([(bar, _DIM), *row]) for row in rows]

    def _table(self, inner: Sequence[Token], width: int) -> list[Row]:
        from aivax_cli.render.markdown_table import read_table, stacked_rows, table_rows

        table = read_table(inner)
        if table.columns * _LEAST_COLUMN > width:
            return stacked_rows(table, self._console, width)
        return table_rows(table, self._console, width)


def _children(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The direct child blocks of a container, from the tokens inside it."""
    start = 0
    for index, token in enumerate(tokens):
        if token.level == tokens[start].level and token.nesting <= 0:
            yield tokens[start : index + 1]
            start = index + 1


class RenderedMarkdown:
    """Markdown that a rich console can print."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        for row in MarkdownRenderer(console).document(self._source, options.max_width):
            yield from (Segment(text, style) for text, style in row)
            yield Segment.line()
