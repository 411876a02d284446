"""What stands below an answer: its sources and one line about tokens, cost and speed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.render.answer_json import answer_usage
from aivax_cli.render.money import cost
from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

    from aivax_cli.core.types import Charge, Passage, Timing

# Columns beside place and heading, and what a heading needs to be worth showing beside its place.
_FIXED_COLUMNS = 16
_LEAST_HEADING = 14
_NARROW_HEADING = 34
_CITATION = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")


def cited(text: str) -> frozenset[int]:
    """The numbers of the passages that an answer cites: `[1]`, `[1][3]`, `[1, 3]`."""
    groups = (match.group(1).split(",") for match in _CITATION.finditer(text))
    return frozenset(int(number) for group in groups for number in group)


_SCORE_COLUMNS = 4
"""The width of `0.53`."""

_GAP = 2
"""The columns between two columns."""


class Sources:
    """The passages, numbered as the model saw them: place, heading, score.

    Those that `answer` cites stand out. Places link to the file when it exists, below `root` or absolute.
    On a screen too narrow for columns a source takes two lines.
    """

    def __init__(self, passages: Sequence[Passage], *, answer: str = "", root: Path | None = None) -> None:
        self._passages = passages
        self._cited = cited(answer)
        self._root = root

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table

        rows = [self._cells(passage) for passage in self._passages]
        longest = max((place.cell_len for _, place, _, _ in rows), default=0)
        if longest + _LEAST_HEADING + _FIXED_COLUMNS > options.max_width:
            yield from self._stacked(rows)
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        # Only the heading gives way. Left to itself the table cuts number and score as well.
        beside = max((number.cell_len for number, *_ in rows), default=0) + longest + _SCORE_COLUMNS
        for _, _, heading, _ in rows:
            heading.truncate(max(1, options.max_width - beside - 3 * _GAP), overflow="ellipsis")
        for row in rows:
            table.add_row(*row)
        yield table

    @staticmethod
    def _stacked(rows: Sequence[tuple[Text, Text, Text, Text]]) -> Iterator[Text]:
        from rich.text import Text

        for number, place, heading, score in rows:
            line = Text.assemble(number, " ", place, "  ", score)
            line.overflow = "fold"
            yield line
            if heading:
                heading.truncate(_NARROW_HEADING, overflow="ellipsis")
                yield Text.assemble("    ", heading)

    def _cells(self, passage: Passage) -> tuple[Text, Text, Text, Text]:
        from rich.text import Text

        style = "dim" if self._cited and passage.rank not in self._cited else ""
        return (
            Text(f"[{passage.rank}]", style=style or "cyan"),
            Text(
                safe_line(passage.source.place), style=f"{style} {source_link(passage, self._root)}".strip()
            ),
            Text(safe_line(passage.source.heading), style="dim"),
            Text(f"{passage.score:.2f}", style=style),
        )


def source_link(passage: Passage, root: Path | None) -> str:
    """The style that links to the passage's file, "" where there is no such file."""
    document = Path(passage.source.document)
    file = document if document.is_absolute() or root is None else root / document
    try:
        return f"link {file.resolve().as_uri()}" if file.is_file() else ""
    except (OSError, ValueError):
        # A name that this system cannot even look up: there is nothing to link to.
        return ""


def closing_line(
    charges: Sequence[Charge], timing: Timing | None, *, note: str = "", words: Callable[[str], str] = str
) -> Text:
    """`1,204 in · 512 cached · 87 out · $0.00042 · first token 0.4 s · 31 tokens/s`, dim.

    `note` stands before it, e.g. that the answer was interrupted. What is unknown is left out, except for
    prices: they are said to be unknown. `words` gives a text in the reader's language.
    """
    from rich.text import Text

    parts = [Text(words(part), style="dim") for part in (*_tokens(charges), *_speed(charges, timing))]
    if note:
        parts.insert(0, Text(safe_line(words(note)), style="yellow"))
    return Text(" · ", style="dim").join(parts)


def _tokens(charges: Sequence[Charge]) -> list[str]:
    if not charges:
        return []
    usage = answer_usage(charges)
    if not usage.total_tokens:
        return [cost(charges)]
    about = "~" if usage.estimated else ""
    parts = [f"{about}{usage.input_tokens:,} in"]
    if usage.cached_input_tokens:
        parts.append(f"{usage.cached_input_tokens:,} cached")
    parts.append(f"{about}{usage.output_tokens:,} out")
    return [*parts, cost(charges)]


def _speed(charges: Sequence[Charge], timing: Timing | None) -> list[str]:
    if timing is None:
        return []
    if timing.first_token_s is None:
        return [f"{timing.total_s:.1f} s"]
    parts = [f"first token {_seconds(timing.first_token_s)}"]
    output = answer_usage(charges).output_tokens
    if timing.answering_s and output > 1:
        parts.append(f"{output / timing.answering_s:,.0f} tokens/s")
    return parts


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
