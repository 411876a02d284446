"""`aivax check`: do gateways still answer, and find, what they should?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aivax_cli.cli.check_reports import Reports
from aivax_cli.cli.check_run import Asked, Modes, asked_for, run_checks, selected_by
from aivax_cli.cli.command import Session
from aivax_cli.cli.completing import collection_names, gateway_names
from aivax_cli.core.errors import UsageError


def check(
    session: Session,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders of checks; `checks/` when left out.", show_default=False),
    ] = None,
    text: Annotated[str | None, typer.Option("-k", help="Only tests whose name holds this.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only tests with this tag. May be repeated.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only tests that did not pass the last time.")
    ] = False,
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
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Say how many calls it takes and what they may cost."),
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Run again whenever a definition changes.")] = False,
    generate: Annotated[
        str | None,
        typer.Option(
            metavar="COLLECTION",
            help="Write draft tests of retrieval from a collection instead.",
            autocompletion=collection_names,
        ),
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many, with --generate.")] = 50,
    gateway: Annotated[
        str | None,
        typer.Option(
            "--gateway", "-g", help="The gateway that asks, with --generate.", autocompletion=gateway_names
        ),
    ] = None,
) -> None:
    """Run the checks of this workspace.

    Exit code 0: all passed. 3: a test or a gate failed. 1: only errors. 2: a bad file, or no test selected.
    """
    if generate is not None:
        from aivax_cli.cli.check_generate import write_drafts

        write_drafts(session, generate, count, gateway)
        return
    if prune and (text or tag or shard or failed or paths):
        raise UsageError("--prune needs the whole run", fix="leave out what selects tests")
    modes = Modes(record=record, replay=replay, live=live)
    selection = selected_by(text, tag, shard, failed=failed)
    if estimate:
        _say_estimate(session, asked_for(session, paths, selection, modes))
        return
    here = session.directory
    files = [file and here / file for file in (junit, html, markdown)]
    reports = Reports(files[0], files[1], files[2], github)
    reports.refuse_unwritable()

    def run() -> int:
        asked = asked_for(session, paths, selection, modes)
        return _checked(session, asked, reports, prune=prune, bless=bless)

    if watch:
        from aivax_cli.cli.check_watch import run_at_changes
        from aivax_cli.gateway.workspace import find_workspace

        given = [here / path for path in paths or []]
        run_at_changes(session, find_workspace(here), given, reports.files, run)
    if code := run():
        raise typer.Exit(code)


def _checked(session: Session, asked: Asked, reports: Reports, *, prune: bool, bless: bool) -> int:
    """Runs the cases, shows and writes what came of it, and returns the exit code."""
    import asyncio

    from aivax_cli.checks.baseline import baseline_text, read_baseline
    from aivax_cli.checks.gating import exit_code
    from aivax_cli.checks.reports.json_report import run_object
    from aivax_cli.render.check_view import show_run
    from aivax_cli.storage.whole_file import write_whole

    run, comparison = asyncio.run(run_checks(session, asked))
    if session.screen.json_output:
        session.screen.data(run_object(run, asked.workspace.root, comparison))
    else:
        show_run(session.screen, run, session.directory, comparison)
    if bless:
        text = baseline_text(run.results, read_baseline(asked.baseline), whole=asked.whole)
        asked.baseline.parent.mkdir(exist_ok=True)
        write_whole(asked.baseline, text)
    if prune:
        session.screen.note(f"removed {asked.cassettes.prune()} recordings that nothing used")
    reports.write(session, run, asked.workspace.root, comparison)
    return exit_code(run.results, run.verdict)


def _say_estimate(session: Session, asked: Asked) -> None:
    from aivax_cli.render.money import usd_short
    from aivax_cli.wiring.checks import estimated

    found = estimated(asked.workspace, asked.cases)
    if session.screen.json_output:
        session.screen.data(
            {
                "tests": len(asked.cases),
                "calls": found.calls,
                "usd": None if found.unpriced else float(found.usd),
                "unpriced": sorted(found.unpriced),
            }
        )
        return
    words = session.screen.words
    session.screen.show(words(f"{len(asked.cases)} tests, at most {found.calls} answers of models"))
    session.screen.show(words(f"at most {usd_short(found.usd)}"))
    if found.unpriced:
        session.screen.show(words(f"and whatever these cost: {', '.join(sorted(found.unpriced))}"))
