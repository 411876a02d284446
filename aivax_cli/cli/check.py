"""`aivax check`: do gateways still answer, and find, what they should?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aivax_cli.cli.command import Session
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aivax_cli.checks.cases import Case, Selection
    from aivax_cli.checks.cassettes import Cassettes, Mode
    from aivax_cli.checks.loading import LoadedChecks
    from aivax_cli.checks.results import Comparison, Run
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


@dataclass(frozen=True, slots=True)
class Reports:
    """Where a run is written for other programs."""

    junit: Path | None
    html: Path | None
    markdown: Path | None
    github: bool

    def write(self, session: Session, run: Run, root: Path, comparison: Comparison | None) -> None:
        """Writes what was asked for. Paths are relative to where the user stands."""
        from aivax_cli.checks.reports.github import github_annotations
        from aivax_cli.checks.reports.html import html_page
        from aivax_cli.checks.reports.junit import junit_xml
        from aivax_cli.checks.reports.markdown import markdown_text

        here = session.directory
        if self.junit:
            (here / self.junit).write_text(junit_xml(run), encoding="utf-8")
        if self.html:
            (here / self.html).write_text(html_page(run, root, comparison), encoding="utf-8")
        if self.markdown:
            (here / self.markdown).write_text(markdown_text(run, root, comparison), encoding="utf-8")
        if self.github:
            session.screen.write(github_annotations(run, root))
            if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
                with Path(summary).open("a", encoding="utf-8") as file:
                    file.write(markdown_text(run, root, comparison))


def check(
    session: Session,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders of checks; `checks/` when left out.", show_default=False),
    ] = None,
    text: Annotated[str | None, typer.Option("-k", help="Only tests whose name holds this.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only tests with this tag. May be repeated.")] = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Ask, and keep what is answered.")] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Answer from recordings; the default in CI where there are any.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Ask, also in CI.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove recordings that this run did not use.")
    ] = False,
    bless: Annotated[bool, typer.Option("--bless", help="Make this run the baseline of later ones.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to look at.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write Markdown.")] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Annotate GitHub's pull request, and write the step summary.")
    ] = False,
) -> None:
    """Run the checks of this workspace.

    Exit code 0: all passed. 3: a test or a gate failed. 1: only errors. 2: a bad file, or no test selected.
    """
    import asyncio

    from aivax_cli.checks.baseline import baseline_text, read_baseline
    from aivax_cli.checks.gating import exit_code
    from aivax_cli.checks.reports.json_report import run_object
    from aivax_cli.render.check_view import show_run

    if prune and (text or tag or shard):
        raise UsageError("--prune needs the whole run", fix="leave out -k, --tag and --shard")
    modes = Modes(record=record, replay=replay, live=live)
    asked = asked_for(session, paths, selected_by(text, tag, shard), modes)
    run, comparison = asyncio.run(run_checks(session, asked))
    if bless:
        asked.baseline.write_text(baseline_text(run.results, read_baseline(asked.baseline)), encoding="utf-8")
    reports = Reports(junit, html, markdown, github=github)
    reports.write(session, run, asked.workspace.root, comparison)
    if prune:
        session.screen.note(f"removed {asked.cassettes.prune()} recordings that nothing used")
    if session.screen.json_output:
        session.screen.data(run_object(run, asked.workspace.root))
    else:
        show_run(session.screen, run, session.directory, comparison)
    if code := exit_code(run.results, run.verdict):
        raise typer.Exit(code)


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


def selected_by(text: str | None, tags: list[str] | None, shard: str | None) -> Selection:
    from aivax_cli.checks.cases import Selection

    return Selection(text, tuple(tags or ()), None, _part(shard) if shard else None)


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
    from aivax_cli.wiring.checks import open_bench

    baseline = read_baseline(asked.baseline)
    began = time.perf_counter()
    on_download = download_progress(session.screen.note)
    async with open_bench(asked.workspace, asked.cassettes, on_download=on_download) as bench:
        with CheckProgress(session.screen, len(asked.cases)) as progress:
            results = await run_cases(asked.cases, bench, progress.add)
    comparison = None if baseline is None else compare(results, baseline)
    gates = [(each.file, each.definition.gate) for each in asked.files]
    run = Run(
        results,
        verdict(results, gates, comparison),
        time.perf_counter() - began,
        asked.cassettes.mode.value,
        tuple(each.file for each in asked.files),
    )
    return run, comparison
