"""An ingest for a person: a progress bar while it runs, a table when it is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import to_builtins

from aivax_cli.render.money import UNPRICED, usd_short
from aivax_cli.render.safe_text import safe_line
from aivax_cli.render.spoken import Spoken

if TYPE_CHECKING:
    from rich.console import Group
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from aivax_cli.ingest.progress import IngestPlan, IngestSummary, Notice, Progress
    from aivax_cli.render.screen import Screen

_PHASES = {"reading": "reading", "embedding": "embedding", "indexing": "indexing"}
_TELL_EVERY_S = 5.0
_SHOWN_SKIPPED = 5
_SHOWN_WARNINGS = 10


class IngestProgress:
    """A bar on stderr with files, then chunks per second and the time left. Silent with --quiet."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._phase = ""
        self._told_at = 0.0

    def __enter__(self) -> Self:
        from rich import progress as rich_progress

        self._bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description:<9}"),
            rich_progress.BarColumn(bar_width=30),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn("{task.fields[speed]}"),
            rich_progress.TimeRemainingColumn(elapsed_when_finished=True),
            rich_progress.TextColumn("[dim]{task.fields[current]}"),
            console=self._screen.err,
            transient=True,
            disable=self._screen.quiet or self._screen.plain or not self._screen.err.is_terminal,
        )
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def note(self, message: str) -> None:
        """A line above the bar."""
        if self._bar is not None and not self._bar.disable:
            self._bar.console.print(self._screen.words(safe_line(message)), style="dim", markup=False)
        else:
            self._screen.note(message)

    def update(self, progress: Progress) -> None:
        """Moves the bar; a new phase begins a new one."""
        if self._bar is None:
            return
        if progress.phase != self._phase:
            self._phase = progress.phase
            if self._task is not None:
                self._bar.remove_task(self._task)
            phase = self._screen.words(_PHASES.get(progress.phase, progress.phase))
            self._task = self._bar.add_task(phase, total=None, speed="", current="")
        reading = progress.phase == "reading"
        done = progress.files_done if reading else progress.chunks_done
        if self._screen.plain and self._screen.err.is_terminal:
            self._tell(progress.phase, done)
        total = progress.files_total if reading else progress.chunks_total
        speed = done / progress.phase_s if progress.phase_s > 0 else 0.0
        if self._task is not None:
            self._bar.update(
                self._task,
                completed=done,
                total=total or None,
                speed=self._screen.words(f"{speed:.0f} {'files' if reading else 'chunks'}/s") if done else "",
                current=safe_line(progress.current)[-40:],
            )

    def _tell(self, phase: str, done: int) -> None:
        """A line every now and then, where nothing moves."""
        now = time.monotonic()
        if done and now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            self._screen.note(f"{self._screen.words(_PHASES.get(phase, phase))} {done:,}")


def summary_object(summary: IngestSummary) -> dict[str, object]:
    """The summary as JSON: counts of files and chunks, notices, seconds."""
    return {**to_builtins(summary), "chunks_per_s": round(summary.chunks_per_s, 1)}


def summary_view(summary: IngestSummary) -> Group:
    """What an ingest did, in a small table, and what it left out."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    table.add_row(Spoken("collection"), Text(summary.collection))
    table.add_row(Spoken("files"), Spoken(_files(summary)))
    table.add_row(Spoken("holds"), Spoken(_held(summary)))
    table.add_row(Spoken("embedded"), Spoken(_embedded(summary)))
    table.add_row(Spoken("took"), f"{summary.seconds:.1f} s")
    return Group(table, *(Spoken(line, "dim") for line in _skipped(summary.skipped)))


def pass_line(summary: IngestSummary) -> str:
    """One pass of watching in a line: when, what changed, how long it took."""
    changes = f"{_files(summary)} · {summary.chunks_embedded:,} chunks embedded in {summary.seconds:.1f} s"
    return f"{datetime.now():%H:%M:%S}  {changes}"


def plan_object(plan: IngestPlan) -> dict[str, object]:
    """The plan as JSON; `usd` and `seconds` are null when they are not known."""
    return {"dry_run": True, **to_builtins(plan, builtin_types=[Decimal])}


def plan_view(plan: IngestPlan) -> Group:
    """What an ingest would do, in a small table, and what it would leave out."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    files = f"{plan.files:,}: {_files(plan)}" if plan.added + plan.changed else _files(plan)
    table.add_row(Spoken("collection"), Text(plan.collection))
    table.add_row(Spoken("files"), Spoken(files))
    table.add_row(Spoken("chunks"), Spoken(f"{plan.chunks:,} in new and changed documents"))
    table.add_row(Spoken("to embed"), Spoken(_to_embed(plan)))
    table.add_row(Spoken("cost"), Spoken(UNPRICED if plan.usd is None else usd_short(plan.usd)))
    taking = "not known yet" if plan.seconds is None else f"about {_duration(plan.seconds)}"
    table.add_row(Spoken("time"), Spoken(taking))
    lines = [*_skipped(plan.skipped), "Nothing was written: this is what an ingest would do."]
    return Group(table, *(Spoken(line, "dim") for line in lines))


def _to_embed(plan: IngestPlan) -> str:
    if not plan.chunks_to_embed:
        return "nothing new"
    return f"{plan.chunks_to_embed:,} chunks, about {plan.embedding_tokens:,} tokens, by {plan.embedder}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60):,} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def notice_lines(summary: IngestSummary | IngestPlan, screen: Screen) -> list[str]:
    """What is to be warned of: the first few files that failed or look wrong, and how many more there are."""
    failed = [_not_read(notice, screen) for notice in summary.failed]
    warned = [f"{notice.name}: {notice.reason}" for notice in summary.warnings]
    return [*_first(warned, "warnings"), *_first(failed, "files were not read")]


def _not_read(notice: Notice, screen: Screen) -> str:
    # The reason is known to the catalogue behind the file's name; with more before it, it would be lost.
    reason = screen.words(f"{notice.name}: {notice.reason}").removeprefix(f"{notice.name}: ")
    return f"{notice.name}: {screen.words('not read')}: {reason}"


def _first(lines: Sequence[str], kind: str) -> list[str]:
    more = len(lines) - _SHOWN_WARNINGS
    return [*lines[:_SHOWN_WARNINGS], f"… and {more:,} more {kind}"] if more > 1 else list(lines)


def _files(summary: IngestSummary | IngestPlan) -> str:
    counts = {
        "added": summary.added,
        "changed": summary.changed,
        "unchanged": summary.unchanged,
        "removed": summary.removed,
        "failed": len(summary.failed),
        "left out": len(summary.skipped),
    }
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count) or "none"


def _held(summary: IngestSummary) -> str:
    documents = f"document{'' if summary.documents == 1 else 's'}"
    return f"{summary.documents:,} {documents}, {summary.chunks:,} chunk{'' if summary.chunks == 1 else 's'}"


def _embedded(summary: IngestSummary) -> str:
    if not summary.chunks_embedded:
        return "nothing new"
    return (
        f"{summary.chunks_embedded:,} chunk{'' if summary.chunks_embedded == 1 else 's'}, "
        f"{summary.embedding_tokens:,} tokens, "
        f"{summary.chunks_per_s:.0f} chunks/s, by {summary.embedder}"
    )


def _skipped(notices: Sequence[Notice]) -> list[str]:
    lines = [f"left out {safe_line(n.name)}: {safe_line(n.reason)}" for n in notices[:_SHOWN_SKIPPED]]
    if len(notices) > _SHOWN_SKIPPED:
        lines.append(f"… and {len(notices) - _SHOWN_SKIPPED:,} more")
    return lines
