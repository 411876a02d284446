"""A terminal in memory: what a program wrote, as the person in front of it sees it."""

from __future__ import annotations

import io
from typing import Any

import pyte
from rich.console import Console

# What pyte takes for the end of all text: joiners and selectors, which take no room.
_JOINERS = dict.fromkeys((0x200D, 0xFE0E, 0xFE0F))


class TerminalScreen(pyte.HistoryScreen):
    """pyte's screen with two things as terminals have them: joined emoji, and getting lower."""

    def draw(self, data: str) -> None:
        super().draw(data.translate(_JOINERS))

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """Loses no line: those below the cursor give way, then the highest go into the history."""
        lines = lines or self.lines
        if lines < self.lines:
            rows = [self.buffer[y] for y in range(self.lines)]
            over = max(0, self.cursor.y + 1 - lines)
            self.history.top.extend(rows[:over])
            self.buffer.clear()
            self.buffer.update(enumerate(rows[over : over + lines]))
            self.cursor.y -= over
            self.lines = lines
            self.set_margins()
        super().resize(lines, columns)


class VirtualTerminal(io.TextIOBase):
    """A text file that is a terminal of `columns` × `rows`, emulated by pyte, and counts bytes."""

    def __init__(self, columns: int = 100, rows: int = 40) -> None:
        self.screen: Any = TerminalScreen(columns, rows, history=1_000_000, ratio=0.5)
        self.screen.set_mode(pyte.modes.LNM)
        self.stream = pyte.Stream(self.screen)
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        self.stream.feed(text)
        return len(text)

    def flush(self) -> None:
        return None

    def isatty(self) -> bool:
        return True

    @property
    def bytes_written(self) -> int:
        return sum(len(text.encode()) for text in self.written)

    def console(self, **options: Any) -> Console:
        """A rich console on this terminal, of this size."""
        return Console(
            file=self,  # type: ignore[arg-type]
            force_terminal=True,
            width=self.screen.columns,
            height=self.screen.lines,
            color_system="256",
            legacy_windows=False,
            **options,
        )

    def history(self) -> list[str]:
        """The text of the lines that have scrolled away."""
        return [_text(line, self.screen.columns) for line in self.screen.history.top]

    def lines(self) -> list[str]:
        """Every line, history included, without the empty ones at the end."""
        lines = self.history() + [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def cells(self) -> list[tuple[Any, ...]]:
        """Every line as its cells, colours and attributes included, without the empty ones at the end."""
        rows = [*self.screen.history.top, *(self.screen.buffer[y] for y in range(self.screen.lines))]
        cells = [tuple(row[x] for x in range(self.screen.columns)) for row in rows]
        while cells and not any(cell.data.strip() for cell in cells[-1]):
            cells.pop()
        return cells


def _text(line: Any, columns: int) -> str:
    return "".join(line[x].data for x in range(columns)).rstrip()
