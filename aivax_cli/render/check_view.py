"""A run of checks on the terminal: progress while it runs, then a table with the first difference of each
failure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.render.money import usd_short
from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from decimal import Decimal
    from types import TracebackType
    from typing import Self

    from rich.table import Table

    from aivax_cli.checks.results import CaseResult, Comparison, Run
    from aivax_cli.render.screen import Screen
    from aivax_cli.render.status import Status as StatusLine

_MARKS = {"pass": ("✓", "green"), "fail": ("✗", "red"), "error": ("!", "yellow"), "skip": ("-", "dim")}

_MOST_ROWS = 40
"""Tests from which on those that passed are counted and not listed."""


class CheckProgress:
    """How far a run is, on one line."""

    def __init__(self, screen: Screen, total: int) -> None:
        self._total = total
        self._done = 0
        self._bad = 0
        self._line = None if screen.quiet or not screen.watched else _status_line(screen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.clear()

    def add(self, result: CaseResult) -> None:
        """One more test is done."""
        self._done += 1
        self._bad += result.status.value in ("fail", "error")
        if self._line is not None:
            bad = f", {self._bad} not passed" if self._bad else ""
            self._line.say(f"{self._done} of {self._total} tests{bad}")


def _status_line(screen: Screen) -> StatusLine:
    from aivax_cli.render.status import Status

    return Status(screen.aside)


def show_run(screen: Screen, run: Run, start: Path, comparison: Comparison | None = None) -> None:
    """The table of a run, what it comes to, what is new since the baseline. Paths are relative to `start`.

    Of many tests only those are in the table that did not pass.
    """
    shown = [result for result in run.results if result.status.value != "pass"]
    if len(run.results) <= _MOST_ROWS:
        shown = list(run.results)
    if shown:
        screen.show(_table(shown, start, screen.words))
        screen.show("")
    screen.line(_summary(run, screen.words))
    for reason in run.verdict.reasons:
        screen.line(screen.words(safe_line(reason)), "red")
    for line in _since(comparison) if comparison else ():
        screen.line(screen.words(safe_line(line)))


def _table(results: Sequence[CaseResult], start: Path, words: Callable[[str], str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("test", overflow="fold")
    table.add_column("passed", justify="right")
    table.add_column("cost", justify="right")
    table.add_column("first difference", overflow="fold")
    for result in results:
        mark, colour = _MARKS[result.status.value]
        passed = f"{result.passed}/{len(result.samples)}" if result.samples else ""
        spent = "" if not result.samples else _spent(result.usd, words)
        table.add_row(
            Text(mark, colour), Text(result.name), passed, spent, Text(_difference(result, start, words))
        )
    return table


def _difference(result: CaseResult, start: Path, words: Callable[[str], str]) -> str:
    """Where it stands and what was the first thing that did not hold."""
    if result.reason:
        return words(safe_line(result.reason))
    sample = result.shown
    if sample is None or result.status.value == "pass":
        return ""
    first = sample.first
    line = first.line if first else result.line
    place = f"{Path(os.path.relpath(result.file, start)).as_posix()}:{line}"
    return f"{place} {words(safe_line(result.why))}"


def _since(comparison: Comparison) -> Iterator[str]:
    """What is different from the baseline, a line each."""
    for kind, names in (("new failure", comparison.new_failures), ("fixed", comparison.fixed)):
        yield from (f"{kind}: {name}" for name in names)
    yield from (f"{change.kind}: {change.name}: {change.detail}" for change in comparison.changes)


def _spent(usd: Decimal | None, words: Callable[[str], str]) -> str:
    return words("unpriced") if usd is None else usd_short(usd)


def _summary(run: Run, words: Callable[[str], str]) -> str:
    counts = {name: sum(result.status.value == name for result in run.results) for name in _MARKS}
    kinds = {"pass": "passed", "fail": "failed", "error": "errors", "skip": "skipped"}
    told = [words(f"{count} {kinds[name]}") for name, count in counts.items() if count or name == "pass"]
    recorded = " " + words("as recorded") if run.mode == "replay" else ""
    spent = _spent(run.usd, words) + recorded
    return f"{', '.join(told)} · {spent} · {run.duration_s:.1f} s · {run.mode}"
