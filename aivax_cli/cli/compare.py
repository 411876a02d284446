"""`aivax compare`: the same tests over several strategies, models and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from aivax_cli.cli.check_run import Modes, asked_for, run_all, selected_by
from aivax_cli.cli.command import Session
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.checks.comparing import Row
    from aivax_cli.checks.loading import LoadedChecks
    from aivax_cli.checks.results import CaseResult


def compare(
    session: Session,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders of checks; `checks/` when left out.", show_default=False),
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="A,B", help="Search strategies; all five when nothing is given.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="A,B", help="Models, as gateways name them.")] = None,
    top: Annotated[str | None, typer.Option(metavar="N,M", help="How many passages.")] = None,
    min_score: Annotated[str | None, typer.Option(metavar="X,Y", help="Least scores of passages.")] = None,
    reranker: Annotated[str | None, typer.Option(metavar="A,B", help="Rankings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=A,B", help="Values of any other field.")
    ] = None,
    text: Annotated[str | None, typer.Option("-k", help="Only tests whose name holds this.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only tests with this tag. May be repeated.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Ask, and keep what is answered.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Answer from recordings.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Ask, also in CI.")] = False,
    best: Annotated[
        bool, typer.Option("--best", help="Name the cheapest that is not significantly worse than the best.")
    ] = False,
) -> None:
    """Run the same checks with several settings, and compare what they find, pass and cost.

    `aivax compare --strategy Plain,FullRewrite --top 3,5 --best`

    Exit code 0 when anything was found out; 1 when there were only errors.
    """
    import asyncio

    from aivax_cli.checks.comparing import best as best_row
    from aivax_cli.checks.comparing import rows
    from aivax_cli.checks.results import Status
    from aivax_cli.render.compare_view import show_comparison

    given = {"strategy": strategy, "model": model, "top": top, "min_score": min_score, "reranker": reranker}
    matrix = _matrix(given, settings or [])
    selection = selected_by(text, tag, None)
    modes = Modes(record=record, replay=replay, live=live)
    asked = asked_for(session, paths, selection, modes, adapt=_with(matrix))
    results = asyncio.run(run_all(session, asked))
    table = rows(results, asked.cases)
    chosen = best_row(results, table)
    if session.screen.json_output:
        session.screen.data(
            {"cells": [_object(row) for row in table], "best": _object(chosen) if chosen else None}
        )
    else:
        show_comparison(session.screen, table, chosen if best else None, _label)
        if best and chosen is not None:
            session.screen.show("")
            session.screen.show(session.screen.words(_advice(chosen)))
        _say_doubts(session, results, table)
    if all(result.status in (Status.ERROR, Status.SKIP) for result in results):
        raise typer.Exit(1)


def _matrix(given: Mapping[str, str | None], settings: Sequence[str]) -> dict[str, list[str]]:
    found = {field: _values(field, values) for field, values in given.items() if values is not None}
    for setting in settings:
        field, equals, values = setting.partition("=")
        if not equals:
            raise UsageError(f"'{setting}' compares nothing", fix="write FIELD=A,B like parameters.seed=1,2")
        found[field.strip()] = _values(field, values)
    return found


def _values(field: str, values: str) -> list[str]:
    found = [value.strip() for value in values.split(",") if value.strip()]
    if not found:
        raise UsageError(f"{field}: no values are given", fix="write them with commas between: A,B")
    return found


def _with(matrix: Mapping[str, list[str]]) -> Callable[[LoadedChecks], LoadedChecks]:
    """Checks with this matrix, or with their own, or with every strategy."""
    from aivax_cli.gateway.knowledge import STRATEGIES

    def adapt(checks: LoadedChecks) -> LoadedChecks:
        own = checks.definition.matrix
        chosen = {**matrix} if matrix else own or {"strategy": list(STRATEGIES)}
        return replace(checks, definition=checks.definition.model_copy(update={"matrix": chosen}))

    return adapt


def _say_doubts(session: Session, results: Sequence[CaseResult], table: Sequence[Row]) -> None:
    """What keeps the table from saying much: errors, by the first of them, and too few samples."""
    from aivax_cli.checks.comparing import LEAST_SAMPLES
    from aivax_cli.checks.results import Status

    wrong = [result for result in results if result.status is Status.ERROR]
    if wrong:
        session.screen.warn(f"{len(wrong)} tests were errors; the first is {wrong[0].name}: {wrong[0].why}")
    fewest = min(row.samples for row in table)
    if len(table) > 1 and fewest < LEAST_SAMPLES:
        session.screen.warn(
            f"{fewest} decided samples in a cell are too few to tell chance from difference; "
            f"it takes {LEAST_SAMPLES} at least"
        )


def _label(row: Row) -> str:
    """What the cell sets, a line each, fields by their last names."""
    from aivax_cli.checks.results import cell_label
    from aivax_cli.render.safe_text import safe_line

    lines = [cell_label(((field.rpartition(".")[2], value),)) for field, value in row.cell]
    return "\n".join(map(safe_line, lines)) or "as it is"


def _advice(row: Row) -> str:
    """The change to the gateway, as YAML."""
    import yaml

    from aivax_cli.checks.cases import DEFAULT
    from aivax_cli.gateway.overrides import full_name

    change: dict[str, Any] = {}
    for field, value in row.cell:
        if value != DEFAULT:
            *sections, name = full_name(field).split(".")
            inner = change
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[name] = _scalar(value)
    if not change:
        return "The gateway as it is is the best of these."
    written = yaml.safe_dump(change, sort_keys=False, allow_unicode=True)
    return "In the gateway:" + "\n" + indent(written.rstrip(), "  ")


def _scalar(text: str) -> object:
    """A value of the matrix as YAML means it; a model's name, which begins with @, is a text."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _object(row: Row) -> dict[str, object]:
    return {
        "settings": dict(row.cell),
        "samples": row.samples,
        "passed": row.passed,
        "pass_rate": round(row.pass_rate, 4),
        "interval": [round(row.low, 4), round(row.high, 4)],
        "recall": row.recall,
        "mrr": row.mrr,
        "usd_per_test": row.usd_per_test,
        "p50_ms": row.p50_ms,
        "p95_ms": row.p95_ms,
        "errors": row.errors,
    }
