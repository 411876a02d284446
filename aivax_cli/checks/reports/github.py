"""A run as GitHub's workflow commands: an annotation at the line of each assertion that does not hold.

The format is that of "Workflow commands for GitHub Actions" in GitHub's documentation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from aivax_cli.checks.results import CaseResult, Run, Status


def github_annotations(run: Run, root: Path) -> str:
    """The commands, a line each. Files are relative to `root`, the repository's."""
    lines = [line for result in run.results for line in _lines(result, root)]
    lines += [f"::error title=checks::{_data(reason)}" for reason in run.verdict.reasons]
    return "".join(line + "\n" for line in lines)


def _lines(result: CaseResult, root: Path) -> Iterator[str]:
    if result.status in (Status.PASS, Status.SKIP) or result.shown is None:
        return
    file = Path(os.path.relpath(result.file, root)).as_posix()
    bad = [finding for finding in result.shown.findings if not finding.holds]
    title = _property(result.name)
    if result.shown.problem or not bad:
        problem = result.shown.problem or "did not pass"
        yield f"::error file={_property(file)},line={result.line},title={title}::{_data(problem)}"
        return
    for finding in bad:
        said = f"{finding.kind}: {finding.reason} (expected {finding.expected}, actual {finding.actual})"
        yield f"::error file={_property(file)},line={finding.line},title={title}::{_data(said)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
