"""`aivax check`: do gateways still answer, and find, what they should?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aivax_cli.cli.command import Session
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.checks.cases import Case, Selection
    from aivax_cli.checks.loading import LoadedChecks
    from aivax_cli.checks.results import Run
    from aivax_cli.gateway.workspace import Workspace


def check(
    session: Session,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders of checks; `checks/` when left out.", show_default=False),
    ] = None,
    text: Annotated[str | None, typer.Option("-k", help="Only tests whose name holds this.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only tests with this tag. May be repeated.")] = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report.")] = None,
) -> None:
    """Run the checks of this workspace.

    Exit code 0: all passed. 3: a test or a gate failed. 1: only errors. 2: a bad file, or no test selected.
    """
    import asyncio

    from aivax_cli.checks.gating import exit_code
    from aivax_cli.checks.loading import check_files, load_checks
    from aivax_cli.checks.reports.json_report import run_object
    from aivax_cli.checks.reports.junit import junit_xml
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.render.check_view import show_run

    workspace = find_workspace(session.directory)
    loaded = load_checks(check_files(_paths(session, paths), workspace.root), start=session.directory)
    selected = _selected(loaded, _selection(text, tag, shard))
    run = asyncio.run(_run(session, workspace, loaded, selected))
    if junit is not None:
        junit.write_text(junit_xml(run), encoding="utf-8")
    if session.screen.json_output:
        session.screen.data(run_object(run, workspace.root))
    else:
        show_run(session.screen, run, session.directory)
    if code := exit_code(run.results, run.verdict):
        raise typer.Exit(code)


def _paths(session: Session, paths: list[Path] | None) -> list[Path]:
    return [session.directory / path for path in paths or []]


def _selection(text: str | None, tags: list[str] | None, shard: str | None) -> Selection:
    from aivax_cli.checks.cases import Selection

    return Selection(text, tuple(tags or ()), None, _part(shard) if shard else None)


def _part(shard: str) -> tuple[int, int]:
    which, slash, of = shard.partition("/")
    if not (slash and which.isdecimal() and of.isdecimal() and 1 <= int(which) <= int(of)):
        raise UsageError(f"--shard: '{shard}'", fix="write I/N with 1 ≤ I ≤ N, like 1/4")
    return int(which), int(of)


def _selected(loaded: tuple[LoadedChecks, ...], selection: Selection) -> tuple[Case, ...]:
    from aivax_cli.checks.cases import cases

    found = tuple(
        case for each in loaded for case in cases(each.definition, each.tests, each.file, selection)
    )
    if not found:
        fix = "check -k, --tag and --shard against the tests' ids and tags"
        raise UsageError("no test is selected", fix=fix)
    return found


async def _run(
    session: Session, workspace: Workspace, loaded: tuple[LoadedChecks, ...], selected: tuple[Case, ...]
) -> Run:
    import time

    from aivax_cli.checks.gating import verdict
    from aivax_cli.checks.results import Run
    from aivax_cli.checks.running import run_cases
    from aivax_cli.render.check_view import CheckProgress
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.wiring import asset_store, open_workspace
    from aivax_cli.wiring.checks import check_bench

    began = time.perf_counter()
    on_download = download_progress(session.screen.note)
    async with open_workspace(workspace, on_download=on_download) as opened:
        bench = check_bench(workspace, lambda _case, _number: opened, asset_store(on_progress=on_download))
        with CheckProgress(session.screen, len(selected)) as progress:
            results = await run_cases(selected, bench, progress.add)
    gates = [(each.file, each.definition.gate) for each in loaded]
    return Run(
        results,
        verdict(results, gates),
        time.perf_counter() - began,
        "live",
        tuple(each.file for each in loaded),
    )
