"""The table of what a turn cost, one line a SKU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aivax_cli.render.money import UNPRICED, cost, unit_price, usd

if TYPE_CHECKING:
    from rich.table import Table

    from aivax_cli.core.types import Charge


def cost_table(charges: Sequence[Charge]) -> Table:
    """SKU, quantity (tokens), unit price (USD per million), exact amount and description, and their total.

    An estimated quantity has a `~`. What has no price says `unpriced`, and the total says how many such
    lines it leaves out.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True, header_style="bold", border_style="dim"
    )
    table.add_column("SKU", footer="total", footer_style="bold", no_wrap=True, overflow="fold")
    table.add_column("quantity", justify="right", no_wrap=True)
    table.add_column("unit price", justify="right", no_wrap=True)
    table.add_column(
        "amount", footer=cost(charges, exact=True), footer_style="bold", justify="right", overflow="fold"
    )
    table.add_column("description", style="dim", overflow="fold")
    for charge in charges:
        table.add_row(*_row(charge))
    return table


def _row(charge: Charge) -> tuple[str, ...]:
    from rich.markup import escape

    about = "~" if charge.estimated else ""
    return (
        escape(charge.sku),
        f"{about}{charge.quantity:,}",
        unit_price(charge.unit_price_usd),
        UNPRICED if charge.amount_usd is None else usd(charge.amount_usd),
        escape(charge.description),
    )
