"""Rows of a terminal: styled text that fits the width, and the painter that repaints only what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import IO, TYPE_CHECKING

from rich.cells import cell_len
from rich.color import ColorType
from rich.console import COLOR_SYSTEMS
from rich.style import Style

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Run = tuple[str, Style]
Row = tuple[Run, ...]

PLAIN = Style.null()
BLANK: Row = ()

# Up to here every terminal gives every character one column; above, they disagree.
_LAST_SURE_CHARACTER = "\u02ff"


def row_text(row: Row) -> str:
    """What a row says, without its styles."""
    return "".join(text for text, _ in row)


def row_width(row: Row) -> int:
    """Columns that a row takes."""
    return sum(cell_len(text) for text, _ in row)


def wrap(text: Text, console: Console, width: int) -> list[Row]:
    """Styled text broken into rows of at most `width` columns; words wider than that are cut."""
    lines = text.wrap(console, max(1, width), overflow="fold", tab_size=4)
    return [tidy((piece.text, piece.style or PLAIN) for piece in line.render(console)) for line in lines]


def tidy(runs: Iterable[Run]) -> Row:
    """Neighbours of one style joined, blanks at the end gone unless they show a background."""
    joined: list[Run] = []
    for text, style in runs:
        if not text:
            continue
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    while joined and not joined[-1][1].bgcolor and not joined[-1][0].rstrip(" "):
        joined.pop()
    if joined and not joined[-1][1].bgcolor and joined[-1][0].endswith(" "):
        joined[-1] = (joined[-1][0].rstrip(" "), joined[-1][1])
    return tuple(joined)


class RowEncoder:
    """Rows as what a terminal reads, with the colours that this console has."""

    def __init__(self, console: Console) -> None:
        name = console.color_system
        self._colors = COLOR_SYSTEMS[name] if name else None
        self._colourless = console.no_color
        self._themed = console.get_style
        self._cache: dict[Style, tuple[str, str]] = {}

    def encode(self, row: Sequence[Run]) -> str:
        return "".join(self._run(text, style) for text, style in row)

    def _run(self, text: str, style: Style) -> str:
        before, after = self._cache.get(style) or self._around(style)
        return f"{before}{text}{after}"

    def _around(self, style: Style) -> tuple[str, str]:
        link = style.link
        bare = style.update_link(None)
        if bare.color is not None and bare.color.type is ColorType.STANDARD:
            # A theme has something else in the place of the terminal's own colour of this name.
            bare += Style(color=self._themed(bare.color.name).color)
        if self._colourless:
            bare = bare.without_color
        before, _, after = bare.render("\0", color_system=self._colors).partition("\0")
        if link and self._colors is not None:
            before, after = f"\x1b]8;;{link}\x1b\\{before}", f"{after}\x1b]8;;\x1b\\"
        self._cache[style] = (before, after)
        return before, after


class TailPainter:
    """Prints rows once, below them a tail that later calls may change.

    Between calls the cursor stands at the start of the line below the tail. One write a call, inside a
    synchronized update (mode 2026), so that no half-drawn frame is seen.
    """

    def __init__(self, file: IO[str], encoder: RowEncoder) -> None:
        self._file = file
        self._encode = encoder.encode
        self._shown: list[Row] = []
        self._size: tuple[int, int] | None = None

    def draw(self, committed: Sequence[Row], tail: Sequence[Row], *, size: tuple[int, int]) -> None:
        """Shows `committed` and then `tail` in place of the last call's tail. `size` is (columns, rows)."""
        new = [*committed, *tail]
        old, same_width = self._reachable(new, size)
        start = _common(old, new) if same_width else 0
        self._shown = list(tail)
        # A row whose width the terminal may judge otherwise must not wrap while it can be repainted, and is
        # written anew, whole, once it is committed.
        unsure = next((i for i, row in enumerate(new) if not _sure(row)), None)
        if unsure is not None and unsure < len(committed):
            start = min(start, unsure)
        if start == len(old) == len(new):
            return
        parts = ["\x1b[?2026h\x1b[?25l", _up(len(old) - start)]
        rewrite_from = len(new) if unsure is None or unsure >= len(committed) else unsure
        for index in range(start, len(new)):
            if unsure is not None and index == max(start, len(committed)):
                parts.append("\x1b[?7l")
            known = old[index] if same_width and index < min(len(old), rewrite_from) else None
            parts.append(self._change(known, new[index], over=index < len(old)))
        if len(old) > len(new) or unsure is not None or not same_width:
            parts.append("\x1b[J")
        if unsure is not None:
            parts.append("\x1b[?7h")
        parts.append("\x1b[?25h\x1b[?2026l")
        self._file.write("".join(parts))
        self._file.flush()

    def erase(self) -> None:
        """Takes the tail off the screen."""
        if self._shown:
            self._file.write(f"{_up(len(self._shown))}\x1b[J")
            self._file.flush()
            self._shown = []

    def _reachable(self, new: list[Row], size: tuple[int, int]) -> tuple[list[Row], bool]:
        """The rows on screen that the cursor can reach, after dropping from `new` those scrolled away.

        A screen that became lower has pushed rows into its history, where they stay.
        """
        old = self._shown
        same_width = self._size is None or self._size[0] == size[0]
        lost = len(old) - (size[1] - 1)
        if lost > 0:
            if same_width and old[:lost] == new[:lost]:
                del new[:lost]
            old = old[lost:]
        self._size = size
        return old, same_width

    def _change(self, old: Row | None, new: Row, *, over: bool) -> str:
        if old is not None:
            if old == new:
                return "\n"
            kept, column = _common_start(old, new)
            if column:
                erase = "\x1b[K" if row_width(old) > column else ""
                return f"\x1b[{column + 1}G{self._encode(kept)}{erase}\n"
        return self._encode(new) + ("\x1b[K\n" if over else "\n")


def _up(rows: int) -> str:
    return f"\x1b[{rows}A\r" if rows else "\r"


def _common(old: Sequence[Row], new: Sequence[Row]) -> int:
    count = 0
    for before, after in zip(old, new, strict=False):
        if before != after:
            break
        count += 1
    return count


@lru_cache(maxsize=1024)
def _sure(row: Row) -> bool:
    return all(text.isascii() or max(text) <= _LAST_SURE_CHARACTER or not _disputed(text) for text, _ in row)


def _disputed(text: str) -> bool:
    """Whether terminals may disagree about the width: emoji, joiners, combining and East Asian characters."""
    return any(
        character > _LAST_SURE_CHARACTER and not "\u2010" <= character <= "\u27bf" for character in text
    )


def _common_start(old: Row, new: Row) -> tuple[Row, int]:
    """What of `new` is left to write after the start that both share, and that start's columns.

    Only characters of undisputed width are counted on, as the cursor is moved over them.
    """
    column = 0
    for index, (after, style) in enumerate(new):
        before = old[index] if index < len(old) else ("", style)
        shared = _shared(before[0], after) if before[1] == style else 0
        if shared and max(after[:shared]) > _LAST_SURE_CHARACTER:
            return new[index:], column
        column += shared
        if shared < len(after) or shared < len(before[0]):
            rest = ((after[shared:], style),) if shared < len(after) else ()
            return (*rest, *new[index + 1 :]), column
    return (), column


def _shared(one: str, other: str) -> int:
    if other.startswith(one):
        return len(one)
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
