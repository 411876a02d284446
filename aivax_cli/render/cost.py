"""The table of what a turn cost, one line a SKU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aivax_cli.render.money import UNPRICED, cost, unit_price, usd
from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from aivax_cli.core.types import Charge

_WITH_PRICE = 80
_WITH_DESCRIPTION = 96


def cost_table(charges: Sequence[Charge]) -> CostTable:
    """What a rich console prints as the table of these charges."""
    return CostTable(charges)


class CostTable:
    """SKU, quantity (tokens), unit price (USD per million), exact amount and description, and their total.

    An estimated quantity has a `~`. What has no price says `unpriced`, and the total says how many such
    lines it leaves out. A narrow screen gets no description, a narrower one no unit price.
    """

    def __init__(self, charges: Sequence[Charge]) -> None:
        self._charges = tuple(charges)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        from rich import box
        from rich.table import Table

        table = Table(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            show_footer=True,
            header_style="bold",
            footer_style="bold",
            border_style="dim",
        )
        total = cost(self._charges, exact=True)
        wide, widest = options.max_width >= _WITH_PRICE, options.max_width >= _WITH_DESCRIPTION
        table.add_column("SKU", footer="total", no_wrap=wide, overflow="fold")
        table.add_column("quantity", justify="right", no_wrap=True)
        if wide:
            table.add_column("unit price", justify="right", no_wrap=True)
        table.add_column("amount", footer=total, justify="right", no_wrap=wide, overflow="fold")
        if widest:
            table.add_column("description", style="dim", overflow="fold")
        for charge in self._charges:
            table.add_row(*_cells(charge, price=wide, description=widest))
        yield table


def _cells(charge: Charge, *, price: bool, description: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    from aivax_cli.render.spoken import Spoken

    about = "~" if charge.estimated else ""
    yield Text(safe_line(charge.sku))
    yield Text(f"{about}{charge.quantity:,}")
    if price:
        yield Spoken(unit_price(charge.unit_price_usd))
    yield Spoken(UNPRICED) if charge.amount_usd is None else Text(usd(charge.amount_usd))
    if description:
        yield Spoken(safe_line(charge.description))
