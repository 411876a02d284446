"""An ingest for a person: a progress bar while it runs, a table when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from rich.console import Group
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from aivax_cli.ingest.progress import IngestSummary, Notice, Progress
    from aivax_cli.render.screen import Screen

_SHOWN_SKIPPED = 5
_SHOWN_WARNINGS = 10


class IngestProgress:
    """A bar on stderr with files, then chunks per second and the time left. Silent with --quiet."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._phase = ""

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
            disable=self._screen.quiet or not self._screen.err.is_terminal,
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
            self._bar.console.print(safe_line(message), style="dim", markup=False)
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
            self._task = self._bar.add_task(progress.phase, total=None, speed="", current="")
        embedding = progress.phase == "embedding"
        done = progress.chunks_done if embedding else progress.files_done
        total = progress.chunks_total if embedding else progress.files_total
        speed = done / progress.phase_s if progress.phase_s > 0 else 0.0
        if self._task is not None:
            self._bar.update(
                self._task,
                completed=done,
                total=total or None,
                speed=f"{speed:.0f} {'chunks' if embedding else 'files'}/s" if done else "",
                current=safe_line(progress.current)[-40:],
            )


def summary_object(summary: IngestSummary) -> dict[str, object]:
    """The summary as JSON: counts of files and chunks, notices, seconds."""
    return {**asdict(summary), "chunks_per_s": round(summary.chunks_per_s, 1)}


def summary_view(summary: IngestSummary) -> Group:
    """What an ingest did, in a small table, and what it left out."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    table.add_row("collection", summary.collection)
    table.add_row("files", _files(summary))
    table.add_row("holds", f"{summary.documents:,} documents, {summary.chunks:,} chunks")
    table.add_row("embedded", _embedded(summary))
    table.add_row("took", f"{summary.seconds:.1f} s")
    skipped = _skipped(summary.skipped)
    return Group(table, Text("\n".join(skipped), style="dim")) if skipped else Group(table)


def notice_lines(summary: IngestSummary) -> list[str]:
    """What is to be warned of: the first few files that failed or look wrong, and how many more there are."""
    failed = [f"{notice.name}: not read: {notice.reason}" for notice in summary.failed]
    warned = [f"{notice.name}: {notice.reason}" for notice in summary.warnings]
    return [*_first(warned, "warnings"), *_first(failed, "files were not read")]


def _first(lines: Sequence[str], kind: str) -> list[str]:
    more = len(lines) - _SHOWN_WARNINGS
    return [*lines[:_SHOWN_WARNINGS], f"… and {more:,} more {kind}"] if more > 1 else list(lines)


def _files(summary: IngestSummary) -> str:
    counts = {
        "added": summary.added,
        "changed": summary.changed,
        "unchanged": summary.unchanged,
        "removed": summary.removed,
        "failed": len(summary.failed),
        "left out": len(summary.skipped),
    }
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count) or "none"


def _embedded(summary: IngestSummary) -> str:
    if not summary.chunks_embedded:
        return "nothing new"
    return (
        f"{summary.chunks_embedded:,} chunks, {summary.embedding_tokens:,} tokens, "
        f"{summary.chunks_per_s:.0f} chunks/s, by {summary.embedder}"
    )


def _skipped(notices: Sequence[Notice]) -> list[str]:
    lines = [f"left out {safe_line(n.name)}: {safe_line(n.reason)}" for n in notices[:_SHOWN_SKIPPED]]
    if len(notices) > _SHOWN_SKIPPED:
        lines.append(f"… and {len(notices) - _SHOWN_SKIPPED:,} more")
    return lines
