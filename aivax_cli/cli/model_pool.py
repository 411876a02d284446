"""`aivax models --pool`: how the rewrite models of a gateway stand, and which of them comes first."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.usage.pool import Candidate


class PoolRow(Struct, frozen=True):
    """A model of the pool. Prices in USD per million tokens, and of a typical rewriting; None: unpriced.

    `samples` is the number of times that `median_s` is made of; `benched_until` is set while it is left
    alone, because of `problem`. `chosen` is the one that the next rewriting asks first.
    """

    label: str
    input_usd: Decimal | None
    output_usd: Decimal | None
    rewrite_usd: Decimal | None
    median_s: float | None
    samples: int
    benched_until: datetime | None
    problem: str
    chosen: bool

    def record(self) -> dict[str, object]:
        return {
            "model": self.label,
            "input_usd_per_mtok": self.input_usd,
            "output_usd_per_mtok": self.output_usd,
            "rewrite_usd": self.rewrite_usd,
            "median_latency_s": None if self.median_s is None else round(self.median_s, 3),
            "samples": self.samples,
            "benched_until": self.benched_until and self.benched_until.isoformat(timespec="seconds"),
            "problem": self.problem or None,
            "chosen": self.chosen,
        }


def pool_rows(workspace: Workspace, gateway: LoadedGateway) -> tuple[PoolRow, ...]:
    """The models in the order in which they are tried, but for the calls that explore.

    Raises UsageError for a gateway that has no pool, LedgerError when the ledger cannot be read.
    """
    from aivax_cli.usage.pool import arranged
    from aivax_cli.usage.price_book import GenaiPriceBook
    from aivax_cli.wiring import plan_turn
    from aivax_cli.wiring.adapters import model_pool

    definition = gateway.definition
    if not definition.rewrite.models:
        raise UsageError(
            f"gateway '{definition.name}' has no pool: its own model rewrites",
            fix="name models under rewrite.models",
        )
    pool = model_pool(workspace, GenaiPriceBook())
    try:
        candidates = pool.candidates(plan_turn(gateway, workspace).rewriters)
    finally:
        pool.close()
    ordered = arranged(candidates, definition.rewrite.price_margin)
    return tuple(_row(candidate, chosen=place == 0) for place, candidate in enumerate(ordered))


def pool_table(rows: tuple[PoolRow, ...], price_margin: float) -> Table:
    """The rows for a person; the one that comes first is marked."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from aivax_cli.render.money import UNPRICED, usd
    from aivax_cli.render.safe_text import safe_line
    from aivax_cli.render.spoken import Spoken

    table = Table(
        title=f"USD per million tokens; up to {price_margin:.0%} more than the cheapest counts as equal",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="bold",
        border_style="dim",
    )
    for heading in ("", "model", ">input", ">output", ">1,000 rewrites", ">median", ">samples", "left alone"):
        right = heading.startswith(">")
        table.add_column(
            heading.lstrip(">"), justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    prices: tuple[RenderableType, str, str]
    for row in rows:
        if row.input_usd is None or row.output_usd is None or row.rewrite_usd is None:
            prices = (Spoken(UNPRICED), "", "")
        elif not row.rewrite_usd:
            prices = (Spoken("free"), "", "")
        else:
            prices = (usd(row.input_usd), usd(row.output_usd), usd(row.rewrite_usd * 1000))
        until = ""
        if row.benched_until is not None:
            until = f"until {row.benched_until.astimezone():%H:%M:%S}: {safe_line(row.problem)}"
        median = "" if row.median_s is None else f"{row.median_s:.2f} s"
        table.add_row(
            "→" if row.chosen else "",
            Text(row.label),
            *prices,
            median,
            str(row.samples),
            Spoken(until, "yellow"),
        )
    return table


def _row(candidate: Candidate, *, chosen: bool) -> PoolRow:
    from aivax_cli.usage.pricing import per_mtok

    prices, found = candidate.prices, candidate.standing
    until = found.benched_until
    return PoolRow(
        label=candidate.target.label,
        input_usd=per_mtok(prices.input_usd) if prices else None,
        output_usd=per_mtok(prices.output_usd) if prices else None,
        rewrite_usd=candidate.rewrite_usd,
        median_s=found.median_s,
        samples=found.samples,
        benched_until=None if until is None else datetime.fromtimestamp(until, UTC),
        problem=found.problem,
        chosen=chosen,
    )
