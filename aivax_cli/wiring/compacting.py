"""A conversation summarised by a gateway's small model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aivax_cli.wiring.budgets import budget_guard
from aivax_cli.wiring.plans import plan_turn

if TYPE_CHECKING:
    from aivax_cli.core.types import Charge, Conversation
    from aivax_cli.usage.meter import Meter
    from aivax_cli.wiring.gateways import GatewayRuntime


class Compacting:
    """One summary. Its charges can be read at any time, also after a stop."""

    def __init__(self, runtime: GatewayRuntime) -> None:
        self._runtime = runtime
        self._meter: Meter | None = None

    @property
    def charges(self) -> tuple[Charge, ...]:
        return self._meter.charges if self._meter else ()

    async def run(self, conversation: Conversation, earlier: str = "") -> str:
        """The summary, by the gateway's rewrite models, else by its own. Raises ModelError or BudgetError."""
        from aivax_cli.gateway.ids import new_id
        from aivax_cli.steps.compacting import compact
        from aivax_cli.usage.meter import Meter

        shared, gateway = self._runtime.shared, self._runtime.gateway
        plan = plan_turn(gateway, shared.workspace)
        self._meter = Meter(
            shared.chat,
            shared.prices,
            shared.counter,
            shared.ledger,
            turn_id=new_id(),
            gateway=gateway.definition.name,
            guard=budget_guard(
                gateway.definition, shared.workspace, shared.prices, shared.counter, shared.day
            ),
        )
        return await compact(conversation, earlier, plan.rewriters, self._meter)
