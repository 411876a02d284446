"""`aivax usage`: what the ledger has, summed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aivax_cli.cli.command import Session
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from aivax_cli.usage.ledger import UsageRow

By = Literal["day", "gateway", "model", "sku"]

_INGEST = "(ingest)"
"""What stands for the gateway of charges that no gateway made."""

_SPANS = {"h": "hours", "d": "days", "w": "weeks"}


def usage(
    session: Session,
    by: Annotated[By, typer.Option(help="What a row stands for. Days are UTC, as providers bill.")] = "day",
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Only from here on: `7d`, `24h`, `2w` or a date like `2026-01-31`."
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only turns that were asked for with this; may be repeated."),
    ] = None,
) -> None:
    """Sum up what was used and what it cost.

    Every charge of every turn and every ingest is in the workspace's ledger, `.aivax/ledger.db`.
    Tokens that nobody has priced are shown apart and are no part of the cost.
    """
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.usage.ledger import LEDGER_FILE, SqliteLedger

    begin = parse_since(since, now=datetime.now(UTC)) if since is not None else None
    wanted = parse_metadata(metadata or ())
    workspace = find_workspace(session.directory)
    with SqliteLedger(workspace.state_dir / LEDGER_FILE) as ledger:
        rows = _ordered(ledger.summarise(by, since=begin, metadata=wanted), by)
        total = ledger.total(since=begin, metadata=wanted)

    if session.screen.json_output:
        session.screen.data(
            {
                "by": by,
                "metadata": wanted,
                "since": begin.isoformat().replace("+00:00", "Z") if begin else None,
                "rows": [_record(row) for row in rows],
                "total": _record(total),
            }
        )
    elif not rows:
        when = f"since {since} " if since else ""
        when += "with this metadata " if wanted else ""
        session.screen.note(f"Nothing was used {when}in {workspace.root}: charges come with the first turn.")
    else:
        session.screen.show(_table(by, rows, total))
        if total.estimated_tokens:
            session.screen.note(f"~ {total.estimated_tokens:,} of the tokens are estimates, counted here.")


def parse_since(text: str, *, now: datetime) -> datetime:
    """`7d`, `24h`, `2w` back from now, or a date or moment of ISO 8601 (UTC unless it says otherwise)."""
    span = re.fullmatch(r"(\d{1,5})([hdw])", text.strip().lower())
    if span:
        return now - timedelta(**{_SPANS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(
            f"--since: '{text}' is no time", fix="write 7d, 24h, 2w or a date like 2026-01-31"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_metadata(pairs: Sequence[str]) -> dict[str, str]:
    """`key=value`, each."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--metadata: '{pair}' is no key=value", fix="write --metadata user=42")
        found[key] = value
    return found


def _ordered(rows: Sequence[UsageRow], by: By) -> Sequence[UsageRow]:
    """Days as they came; everything else by what it cost, the dearest first."""
    if by == "day":
        return rows
    return sorted(rows, key=lambda row: (-row.amount_usd, -row.tokens, row.key))


def _record(row: UsageRow) -> dict[str, object]:
    return {
        "key": row.key,
        "turns": row.turns,
        "tokens": row.tokens,
        "priced_usd": row.amount_usd,
        "total_usd": None if row.unpriced_tokens else row.amount_usd,
        "unpriced_tokens": row.unpriced_tokens,
        "estimated_tokens": row.estimated_tokens,
    }


def _table(by: By, rows: Sequence[UsageRow], total: UsageRow) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    unpriced = total.unpriced_tokens > 0
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True, header_style="bold", border_style="dim"
    )
    heading = {"day": "day (UTC)", "sku": "SKU"}.get(by, by)
    table.add_column(heading, footer="total", footer_style="bold", overflow="fold")
    table.add_column("turns", footer=f"{total.turns:,}", justify="right", no_wrap=True)
    table.add_column("tokens", footer=f"{total.tokens:,}", justify="right", no_wrap=True)
    table.add_column("cost", footer=_cost(total), footer_style="bold", justify="right", no_wrap=True)
    if unpriced:
        table.add_column(
            "unpriced tokens",
            footer=f"{total.unpriced_tokens:,}",
            footer_style="yellow",
            justify="right",
            no_wrap=True,
        )
    for row in rows:
        cells = [escape(row.key or _INGEST), f"{row.turns:,}", f"{row.tokens:,}", _cost(row)]
        if unpriced:
            cells.append(f"{row.unpriced_tokens:,}" if row.unpriced_tokens else "")
        table.add_row(*cells)
    return table


def _cost(row: UsageRow) -> str:
    """The priced part; nothing to show where no token had a price."""
    from aivax_cli.render.money import UNPRICED, usd

    if row.unpriced_tokens == row.tokens and row.tokens:
        return UNPRICED
    about = "~" if row.estimated_tokens else ""
    return about + usd(row.amount_usd)
