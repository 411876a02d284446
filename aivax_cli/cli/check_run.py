"""Which checks are to be run, and running them: what `aivax check` and `aivax compare` share."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aivax_cli.checks.cases import Case, Selection
    from aivax_cli.checks.cassettes import Cassettes, Mode
    from aivax_cli.checks.loading import LoadedChecks
    from aivax_cli.checks.results import CaseResult, Comparison, Run
    from aivax_cli.cli.command import Session
    from aivax_cli.gateway.workspace import Workspace


class Asked(Struct, frozen=True):
    """What the command line asks for."""

    workspace: Workspace
    files: tuple[LoadedChecks, ...]
    cases: tuple[Case, ...]
    cassettes: Cassettes
    baseline: Path
    whole: bool
    """Whether these are all cases of the workspace."""


class Modes(Struct, frozen=True):
    """Which of the modes the command line names."""

    record: bool
    replay: bool
    live: bool

    def chosen(self, recordings: Path) -> Mode:
        """The one mode. Raises UsageError for several."""
        from aivax_cli.checks.cassettes import Mode, default_mode

        given = {Mode.RECORD: self.record, Mode.REPLAY: self.replay, Mode.LIVE: self.live}
        chosen = [mode for mode, asked in given.items() if asked]
        if len(chosen) > 1:
            raise UsageError("--record, --replay and --live exclude each other", fix="choose one")
        return chosen[0] if chosen else default_mode(os.environ, recordings)


def asked_for(
    session: Session,
    paths: list[Path] | None,
    selection: Selection,
    modes: Modes,
    adapt: Callable[[LoadedChecks], LoadedChecks] | None = None,
) -> Asked:
    """What is to be run. `adapt` changes each file of checks before its cases are made.

    Raises UsageError when nothing is selected, DefinitionError for what is wrong in the files, or in the
    gateways that they name.
    """
    from aivax_cli.checks.baseline import FILE
    from aivax_cli.checks.cases import cases
    from aivax_cli.checks.cassettes import FOLDER, Cassettes, environment_secrets
    from aivax_cli.checks.loading import FOLDER as CHECKS
    from aivax_cli.checks.loading import check_files, load_checks
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.wiring.checks import key_variables

    workspace = find_workspace(session.directory)
    given = [session.directory / path for path in paths or []]
    files = load_checks(check_files(given, workspace.root), start=session.directory)
    if adapt is not None:
        files = tuple(adapt(each) for each in files)
    if selection.names is not None:
        selection = replace(selection, names=_failed_names(workspace))
    every = [case for each in files for case in cases(each.definition, each.tests, each.file)]
    selected = selection.of(every)
    _refuse_nothing(selected, selection)
    keys = key_variables(workspace, files, selected)
    home = workspace.root / CHECKS
    folder = home / FOLDER
    cassettes = Cassettes(folder, modes.chosen(folder), environment_secrets(os.environ, keys))
    whole = selection.everything and not paths
    return Asked(workspace, files, selected, cassettes, home / FILE, whole)


def _refuse_nothing(selected: Sequence[Case], selection: Selection) -> None:
    """Raises UsageError when no test would be run: that must not look like a success."""
    if not selected and selection.names == frozenset():
        raise UsageError("no test is selected: all of them passed the last time", fix="leave out --failed")
    if not selected:
        fix = "check -k, --tag, --failed and --shard against the tests' ids and tags"
        raise UsageError("no test is selected", fix=fix)
    if all(case.test.skip is not None for case in selected):
        raise UsageError("every selected test is skipped", fix="take skip: out of one")


def selected_by(
    text: str | None, tags: list[str] | None, shard: str | None, *, failed: bool = False
) -> Selection:
    """What -k, --tag, --shard and --failed select; `asked_for` looks up which tests those last are."""
    from aivax_cli.checks.cases import Selection

    names: frozenset[str] | None = frozenset() if failed else None
    return Selection(text, tuple(tags or ()), names, _part(shard) if shard else None)


def _part(shard: str) -> tuple[int, int]:
    which, slash, of = shard.partition("/")
    if not (slash and which.isdecimal() and of.isdecimal() and 1 <= int(which) <= int(of)):
        raise UsageError(f"--shard: '{shard}'", fix="write I/N with 1 ≤ I ≤ N, like 1/4")
    return int(which), int(of)


async def run_all(session: Session, asked: Asked) -> tuple[CaseResult, ...]:
    """The results of all cases, with progress meanwhile."""
    from aivax_cli.checks.running import run_cases
    from aivax_cli.render.check_view import CheckProgress
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.wiring.checks import open_bench, refuse_unpriced

    refuse_unpriced(asked.workspace, asked.files, asked.cases)
    on_download = download_progress(session.screen.note)
    samples = sum(case.repeat for case in asked.cases)
    opening = open_bench(asked.workspace, asked.cassettes, samples=samples, on_download=on_download)
    async with opening as bench:
        with CheckProgress(session.screen, len(asked.cases)) as progress:
            return await run_cases(asked.cases, bench, progress.add)


async def run_checks(session: Session, asked: Asked) -> tuple[Run, Comparison | None]:
    """Runs the cases, and sets the run beside its baseline. Keeps which did not pass."""
    import time

    from aivax_cli.checks.baseline import compare, read_baseline
    from aivax_cli.checks.gating import verdict
    from aivax_cli.checks.results import Run

    baseline = read_baseline(asked.baseline)
    began = time.perf_counter()
    results = await run_all(session, asked)
    comparison = None if baseline is None else compare(results, baseline)
    _remember(asked.workspace, results, whole=asked.whole)
    gates = [(each.file, each.definition.gate) for each in asked.files]
    duration_s = time.perf_counter() - began
    judged = verdict(results, gates, comparison)
    return Run(results, judged, duration_s, asked.cassettes.mode.value), comparison


def _last_file(workspace: Workspace) -> Path:
    return workspace.state_dir / "checks-last.json"


def _remember(workspace: Workspace, results: Sequence[CaseResult], *, whole: bool) -> None:
    """Keeps which tests did not pass, for --failed. Of a run in part, the others stay as they were."""
    import json

    from aivax_cli.checks.results import Status

    before: frozenset[str] = frozenset()
    if not whole:
        with suppress(UsageError):  # there was no run before, or its file is unreadable
            before = _failed_names(workspace)
    bad = {each.key for each in results if each.status in (Status.FAIL, Status.ERROR)}
    names = sorted(bad | (before - {each.key for each in results}))
    with suppress(OSError):
        workspace.state_dir.mkdir(exist_ok=True)
        _last_file(workspace).write_text(json.dumps(names), encoding="utf-8")


def _failed_names(workspace: Workspace) -> frozenset[str]:
    """The tests that did not pass the last time. Raises UsageError before the first run."""
    import json

    try:
        return frozenset(json.loads(_last_file(workspace).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError("--failed: there is no last run", fix="run aivax check first") from error
