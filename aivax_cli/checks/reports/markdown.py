"""A run as Markdown: for a pull request's comment, or GitHub's step summary."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from aivax_cli.checks.results import CaseResult, Comparison, Run, Status

_MARKS = {Status.PASS: "✅", Status.FAIL: "❌", Status.ERROR: "⚠️", Status.SKIP: "⏭️"}


def markdown_text(run: Run, root: Path, comparison: Comparison | None = None) -> str:
    """The report. Files are relative to `root`."""
    return "\n".join(_lines(run, root, comparison)) + "\n"


def _lines(run: Run, root: Path, comparison: Comparison | None) -> Iterator[str]:
    outcome = "passed" if run.verdict.passed else "failed"
    yield f"### Checks {outcome}"
    yield ""
    told = [f"{run.count(status)} {status.value}" for status in Status if run.count(status)]
    spent = "unpriced" if run.usd is None else f"${run.usd:.4f}"
    recorded = " as recorded" if run.mode == "replay" else ""
    yield f"{', '.join(told)} · {spent}{recorded} · {run.duration_s:.1f} s"
    for each in run.verdict.reasons:
        yield f"- {_cell(each)}"
    yield ""
    yield "| | test | passed | cost | first difference |"
    yield "|---|---|---|---|---|"
    for result in sorted(run.results, key=lambda each: each.status is Status.PASS):
        yield _row(result, root)
    if comparison:
        yield ""
        yield from (f"- new failure: {_cell(name)}" for name in comparison.new_failures)
        yield from (f"- fixed: {_cell(name)}" for name in comparison.fixed)
        yield from (f"- {each.kind}: {_cell(each.name)}: {_cell(each.detail)}" for each in comparison.changes)


def _row(result: CaseResult, root: Path) -> str:
    place = f"{Path(os.path.relpath(result.file, root)).as_posix()}:{result.line}"
    said = _cell(result.why)
    passed = f"{result.passed}/{len(result.samples)}" if result.samples else ""
    spent = "" if not result.samples else "unpriced" if result.usd is None else f"${result.usd:.4f}"
    why = f"{place} {said}" if said else ""
    return f"| {_MARKS[result.status]} | {_cell(result.name)} | {passed} | {spent} | {why} |"


def _cell(text: str) -> str:
    """Text that can break neither the table nor out of it: answers are not to be trusted."""
    line = " ".join(text.split())
    for character in ("\\", "|", "`", "<", ">", "[", "]", "*", "_", "@"):
        line = line.replace(character, f"\\{character}" if character not in "<>@" else f"&#{ord(character)};")
    return line
