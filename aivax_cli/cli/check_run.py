"""Which checks are to be run, and running them: what `aivax check` and `aivax compare` share."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aivax_cli.checks.cases import Case, Selection
    from aivax_cli.checks.cassettes import Cassettes, Mode
    from aivax_cli.checks.loading import LoadedChecks
    from aivax_cli.checks.results import CaseResult, Comparison, Run
    from aivax_cli.cli.command import Session
    from aivax_cli.gateway.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    workspace: Workspace
    files: tuple[LoadedChecks, ...]
    cases: tuple[Case, ...]
    cassettes: Cassettes
    baseline: Path


@dataclass(frozen=True, slots=True)
class Modes:
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

    Raises UsageError when nothing is selected, DefinitionError for what is wrong in the files.
    """
    from aivax_cli.checks.baseline import FILE
    from aivax_cli.checks.cases import cases
    from aivax_cli.checks.cassettes import FOLDER, Cassettes, environment_secrets
    from aivax_cli.checks.loading import FOLDER as CHECKS
    from aivax_cli.checks.loading import check_files, load_checks
    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    given = [session.directory / path for path in paths or []]
    files = load_checks(check_files(given, workspace.root), start=session.directory)
    if adapt is not None:
        files = tuple(adapt(each) for each in files)
    if selection.names is not None:
        selection = replace(selection, names=_failed_names(workspace))
    selected = tuple(
        case for each in files for case in cases(each.definition, each.tests, each.file, selection)
    )
    if not selected:
        fix = "check -k, --tag and --shard against the tests' ids and tags"
        raise UsageError("no test is selected", fix=fix)
    home = workspace.root / CHECKS
    folder = home / FOLDER
    cassettes = Cassettes(folder, modes.chosen(folder), environment_secrets(os.environ))
    return Asked(workspace, files, selected, cassettes, home / FILE)


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


async def run_checks(session: Session, asked: Asked) -> tuple[Run, Comparison | None]:
    """Runs the cases, and sets the run beside its baseline."""
    import time

    from aivax_cli.checks.baseline import compare, read_baseline
    from aivax_cli.checks.gating import verdict
    from aivax_cli.checks.results import Run
    from aivax_cli.checks.running import run_cases
    from aivax_cli.render.check_view import CheckProgress
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.wiring.checks import open_bench, refuse_unpriced

    baseline = read_baseline(asked.baseline)
    refuse_unpriced(asked.workspace, asked.files, asked.cases)
    began = time.perf_counter()
    on_download = download_progress(session.screen.note)
    async with open_bench(asked.workspace, asked.cassettes, on_download=on_download) as bench:
        with CheckProgress(session.screen, len(asked.cases)) as progress:
            results = await run_cases(asked.cases, bench, progress.add)
    comparison = None if baseline is None else compare(results, baseline)
    _remember(asked.workspace, results)
    gates = [(each.file, each.definition.gate) for each in asked.files]
    run = Run(
        results,
        verdict(results, gates, comparison),
        time.perf_counter() - began,
        asked.cassettes.mode.value,
        tuple(each.file for each in asked.files),
    )
    return run, comparison


def _last_file(workspace: Workspace) -> Path:
    return workspace.state_dir / "checks-last.json"


def _remember(workspace: Workspace, results: Sequence[CaseResult]) -> None:
    """Keeps which tests did not pass, for --failed; tests that were not run now stay as they were."""
    import json

    from aivax_cli.checks.results import Status

    before = _failed_names(workspace) if _last_file(workspace).exists() else frozenset()
    bad = {each.name for each in results if each.status in (Status.FAIL, Status.ERROR)}
    names = sorted(bad | (before - {each.name for each in results}))
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
