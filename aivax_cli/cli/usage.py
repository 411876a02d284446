"""`aivax usage`: what the ledger has, summed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from aivax_cli.cli.command import Session
from aivax_cli.cli.completing import gateway_names
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.usage.ledger_file import LedgerFile
    from aivax_cli.usage.sums import Selection

_ANY = "may be repeated, and hold * for any text."

ByOption = Annotated[
    str,
    typer.Option(
        metavar="WHAT",
        help="What a row stands for: day, week, month (UTC, as providers bill), gateway, model, sku,"
        " key (of the server) or metadata:NAME.",
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Only from here on: 7d, 24h, 4w, 2026-01 or 2026-01-31."),
]
UntilOption = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Only until then; a day or a month is meant to its end."),
]
GatewayOption = Annotated[
    list[str] | None, typer.Option(help=f"Only of this gateway; {_ANY}", autocompletion=gateway_names)
]
ModelOption = Annotated[list[str] | None, typer.Option(help=f"Only of this model; {_ANY}")]
SkuOption = Annotated[list[str] | None, typer.Option(help=f"Only of this SKU; {_ANY}")]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Only turns that were asked for with this; may be repeated."),
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV, with exact amounts.")]
HtmlOption = Annotated[
    Path | None, typer.Option(help="Write a page with charts: one file that needs nothing else.")
]


def usage(
    session: Session,
    by: ByOption = "day",
    since: SinceOption = None,
    until: UntilOption = None,
    gateway: GatewayOption = None,
    model: ModelOption = None,
    sku: SkuOption = None,
    metadata: MetadataOption = None,
    as_csv: CsvOption = False,
    html: HtmlOption = None,
) -> None:
    """Sum up what was used and what it cost.

    Every charge of every turn and every ingest is in the workspace's ledger, `.aivax/ledger.db`.
    Tokens that nobody has priced are shown apart and are no part of the cost; ~ stands before what is in part
    an estimate. Nothing is forecast.
    """
    from aivax_cli.cli.usage_times import parse_since, parse_until
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.usage.ledger import LEDGER_FILE
    from aivax_cli.usage.ledger_file import LedgerFile
    from aivax_cli.usage.report import canonical_grouping
    from aivax_cli.usage.sums import Selection

    now = datetime.now(UTC)
    selection = Selection(
        parse_since(since, now=now) if since is not None else None,
        parse_until(until, now=now) if until is not None else None,
        tuple(gateway or ()),
        tuple(model or ()),
        tuple(sku or ()),
        parse_metadata(metadata or ()),
    )
    if as_csv and session.screen.json_output:
        raise UsageError("--csv and --json: both want stdout", fix="leave out one of them")
    grouping = canonical_grouping(by)
    workspace = find_workspace(session.directory)
    file = LedgerFile(workspace.state_dir / LEDGER_FILE)
    try:
        _Asked(session, workspace, file, grouping, selection, now).answer(as_csv=as_csv, html=html)
    finally:
        file.close()


class _Asked(Struct, frozen=True):
    """What somebody wants to know of a ledger."""

    session: Session
    workspace: Workspace
    file: LedgerFile
    by: str
    selection: Selection
    now: datetime

    def answer(self, *, as_csv: bool, html: Path | None) -> None:
        from aivax_cli.render.usage_data import usage_csv, usage_object
        from aivax_cli.usage.report import usage_report

        screen = self.session.screen
        if html is not None:
            self._write_page(html)
            if not (as_csv or screen.json_output):
                return
        report = usage_report(self.file, self.by, self.selection, now=self.now)
        names = _key_names(self.workspace) if self.by == "key" else {}
        if screen.json_output:
            screen.data(usage_object(report, self.selection, names))
        elif as_csv:
            screen.write(usage_csv(report, names))
        elif not report.rows:
            screen.note(self._nothing())
        else:
            from aivax_cli.render.usage_view import UsageLine, UsageTable, notes

            drawn = screen.out.is_terminal and not screen.plain
            screen.show(UsageTable(report, names=names, drawn=drawn))
            if drawn:
                screen.show(UsageLine(report))
            for line in notes(report):
                screen.note(line)
            self._help_with_names(tuple(row.key for row in report.rows))

    def _write_page(self, html: Path) -> None:
        from aivax_cli.render.usage_page import usage_page
        from aivax_cli.storage.whole_file import write_whole
        from aivax_cli.usage.report import usage_overview

        further = self.by if self.by == "key" or self.by.startswith("metadata:") else None
        overview = usage_overview(self.file, self.selection, further=further)
        names = _key_names(self.workspace) if self.by == "key" else {}
        place = self.session.directory / html.expanduser()
        page = usage_page(overview, self.selection, by=self.by, names=names, made=self.now)
        try:
            write_whole(place, page)
        except OSError as error:
            raise UsageError(f"--html: cannot write {html}: {error.strerror or error}") from error
        self.session.screen.note(f"wrote {html}")

    def _nothing(self) -> str:
        narrowed = self.selection != type(self.selection)()
        return (
            f"Nothing that you asked for was used in {self.workspace.root}: leave out a filter to see more."
            if narrowed
            else f"Nothing was used in {self.workspace.root}: charges come with the first turn."
        )

    def _help_with_names(self, keys: Sequence[str]) -> None:
        """Where nobody has said anything under the name that was asked for, the names that there are."""
        from aivax_cli.usage.report import known_metadata

        if self.by.startswith("metadata:") and keys == ("",):
            known = ", ".join(known_metadata(self.file)) or "none: requests to the server may bring some"
            self.session.screen.note(f"nothing was said under that name; names: {known}")


def parse_metadata(pairs: Sequence[str]) -> dict[str, str]:
    """`key=value`, each."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--metadata: '{pair}' is no key=value", fix="write --metadata user=42")
        found[key] = value
    return found


def _key_names(workspace: Workspace) -> dict[str, str]:
    """What the server's keys are called, by their ids."""
    from aivax_cli.server.keys import KEYS_FILE, KeyFile

    path = workspace.state_dir / KEYS_FILE
    found = KeyFile(path).listed() if path.exists() else ()
    return {key.id: key.name for key in found}
