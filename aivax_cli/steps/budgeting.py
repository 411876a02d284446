"""Whom a turn may call, for a budget that wants to know every price beforehand."""

from __future__ import annotations

from aivax_cli.core.types import ModelTarget
from aivax_cli.steps.plan import Ports, TurnPlan
from aivax_cli.strategy import Strategy


def require_prices(plan: TurnPlan, strategy: Strategy, ports: Ports) -> None:
    """Raises BudgetError when there is a budget and nobody has said what a model of the turn costs."""
    targets = list(plan.targets)
    readers: list[ModelTarget] = []
    if plan.routing is not None:
        targets += [plan.routing.router, *(each for level in plan.routing.levels.values() for each in level)]
    if strategy.rewrite is not None:
        targets += plan.rewriters
    if plan.reranker is not None:
        (readers if plan.reranker.kind == "endpoint" else targets).append(plan.reranker.target)
    ports.meter.require_prices(targets, readers)
