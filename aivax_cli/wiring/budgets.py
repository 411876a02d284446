"""A gateway's budget, put on duty for a turn."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from aivax_cli.wiring.knowledge import embedding_targets

if TYPE_CHECKING:
    from aivax_cli.core.ports import PriceBook, TokenCounter
    from aivax_cli.gateway.definition import Gateway
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.usage.guard import BudgetGuard, Day
    from aivax_cli.usage.reservations import Reservations, Reserved


class UncountedDay:
    """A day that takes everything and keeps nothing, for what has been paid before. Implements `Day`."""

    def reserve(self, gateway: str, usd: Decimal, limit_usd: Decimal, *, unkept_usd: Decimal) -> Reserved:
        """There is room."""
        from aivax_cli.usage.reservations import Reserved

        del gateway, usd, limit_usd, unkept_usd
        return Reserved(0, Decimal(0))

    def release(self, number: int) -> None:
        """Nothing was taken."""


def reservations(workspace: Workspace) -> Reservations:
    """What the calls under way may cost, kept in the ledger's file. Opens nothing before it is asked."""
    from aivax_cli.usage.ledger import LEDGER_FILE
    from aivax_cli.usage.ledger_file import LedgerFile
    from aivax_cli.usage.reservations import Reservations

    return Reservations(LedgerFile(workspace.state_dir / LEDGER_FILE))


def budget_guard(
    gateway: Gateway, workspace: Workspace, prices: PriceBook, counter: TokenCounter, day: Day
) -> BudgetGuard | None:
    """Who holds one turn to the gateway's budget; None where there is no budget."""
    budget = gateway.budget
    if budget is None or (budget.usd_per_request is None and budget.usd_per_day is None):
        return None
    from aivax_cli.usage.guard import BudgetGuard

    names = gateway.knowledge.collections if gateway.knowledge else []
    readers = embedding_targets(workspace, names)
    return BudgetGuard(budget, prices, counter, day, gateway.name, readers, tuple(gateway.locked))
