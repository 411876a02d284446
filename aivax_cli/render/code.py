"""Code as rows, coloured with the terminal's own sixteen colours, so that it suits light and dark ones."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from rich.cells import cell_len, get_character_cell_size
from rich.style import Style

from aivax_cli.render.rows import PLAIN, Row, Run, tidy

# pygments publishes no types; its lexers and kinds of token go by these names here.
Lexer = Any
TokenKind = tuple[str, ...]

# Lexers are backtracking regular expressions: beyond this, colour is not worth the wait.
_LONGEST_LINE = 2_000
_LONGEST_CODE = 60_000
_TAB = 4
_CONTEXT_LINES = 3
_REMEMBERED = 8

_COLOURS = {
    "Comment": "bright_black italic",
    "Keyword": "magenta",
    "Operator.Word": "magenta",
    "Literal.String": "green",
    "Literal.String.Escape": "cyan",
    "Literal.Number": "cyan",
    "Name.Function": "blue",
    "Name.Class": "blue bold",
    "Name.Decorator": "blue",
    "Name.Builtin": "cyan",
    "Name.Tag": "magenta",
    "Name.Attribute": "cyan",
    "Name.Exception": "cyan",
    "Generic.Heading": "bold",
    "Generic.Inserted": "green",
    "Generic.Deleted": "red",
    "Generic.Prompt": "bright_black",
    "Generic.Emph": "italic",
    "Generic.Strong": "bold",
}


class Highlighter:
    """Turns code into rows. Remembers lexers by language and styles by kind of token."""

    def __init__(self) -> None:
        self._lexers: dict[str, Lexer] = {}
        self._styles: dict[TokenKind, Style] = {}
        # A stream asks for the same code a few times a line.
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._coloured)

    def rows(self, code: str, language: str, width: int) -> list[Row]:
        """Code (without its last line end) as rows; lines wider than `width` are cut at the edge."""
        return list(self._remembered(code, language, width))

    def growing_rows(self, code: str, language: str, width: int) -> list[Row]:
        """The same for code of which mostly only the last line has grown since the last call.

        While a line grows, its colour is told from the few lines before it, where they alone have the
        colours that they have in the whole.
        """
        complete, end, last = code.rpartition("\n")
        if not end:
            return self.rows(code, language, width)
        above = self._remembered(complete, language, width)
        near = "\n".join(complete.rsplit("\n", _CONTEXT_LINES)[-_CONTEXT_LINES:])
        context = self._remembered(near, language, width)
        if above[-len(context) :] == context:
            return [*above, *self._remembered(f"{near}\n{last}", language, width)[len(context) :]]
        return self.rows(code, language, width)

    def _coloured(self, code: str, language: str, width: int) -> tuple[Row, ...]:
        return tuple(row for line in self._lines(code, language) for row in _fit(line, width))

    def _lines(self, code: str, language: str) -> list[list[Run]]:
        # Lexers expect a line end at the end: some tell a comment by it.
        lines: list[list[Run]] = [[]]
        for text, style in self._runs(f"{code}\n", language):
            first, *others = text.split("\n")
            lines[-1].append((first, style))
            lines.extend([(part, style)] for part in others)
        return lines[:-1]

    def _runs(self, code: str, language: str) -> list[Run]:
        lexer = self._lexer(language) if len(code) <= _LONGEST_CODE else None
        if lexer is None or max(map(len, code.split("\n"))) > _LONGEST_LINE:
            return [(code, PLAIN)]
        runs = [(text, self._style(kind)) for _, kind, text in lexer.get_tokens_unprocessed(code)]
        # Colour may fail to say anything, but not a character of the code may be lost to it.
        return runs if "".join(text for text, _ in runs) == code else [(code, PLAIN)]

    def _lexer(self, language: str) -> Lexer:
        """The language's lexer, None when it has none."""
        if language not in self._lexers:
            lexers = import_module("pygments.lexers")
            try:
                self._lexers[language] = lexers.get_lexer_by_name(language) if language else None
            except import_module("pygments.util").ClassNotFound:
                self._lexers[language] = None
        return self._lexers[language]

    def _style(self, kind: TokenKind) -> Style:
        style = self._styles.get(kind)
        if style is None:
            names = (".".join(kind[:count]) for count in range(len(kind), 0, -1))
            found = next((_COLOURS[name] for name in names if name in _COLOURS), None)
            style = self._styles[kind] = Style.parse(found) if found else PLAIN
        return style


def _fit(line: list[Run], width: int) -> list[Row]:
    return _cut(_expand_tabs(line), width)


def _expand_tabs(line: list[Run]) -> list[Run]:
    if not any("\t" in text for text, _ in line):
        return line
    expanded: list[Run] = []
    before = ""
    for text, style in line:
        so_far = (before + text).expandtabs(_TAB)
        expanded.append((so_far[len(before) :], style))
        before = so_far
    return expanded


def _cut(line: list[Run], width: int) -> list[Row]:
    if sum(cell_len(text) for text, _ in line) <= width:
        return [tidy(line)]
    rows: list[Row] = []
    row: list[Run] = []
    room = width
    for text, style in line:
        start = 0
        for index, character in enumerate(text):
            cells = get_character_cell_size(character)
            if cells > room:
                rows.append((*row, (text[start:index], style)))
                row, start, room = [], index, width
            room -= cells
        row.append((text[start:], style))
    return [*(tidy(full) for full in rows), tidy(row)]
