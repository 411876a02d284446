"""How hard the message is, by a small model's judgement, and so who answers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aivax_cli.core.events import Event, Routed
from aivax_cli.core.types import Conversation, JsonValue, ModelCall, Purpose
from aivax_cli.prompt.routing import read_level, routing_request
from aivax_cli.steps.asking import Errand, Inquiry
from aivax_cli.steps.plan import Ports, Progress, RoutingPlan

_ERRAND = Errand("judge the message", "judging the message")
_PARAMETERS: dict[str, JsonValue] = {"temperature": 0, "max_completion_tokens": 500}
"""One word is wanted; the rest is room for models that reason first."""
_SHOWN = 60


async def route(
    plan: RoutingPlan, conversation: Conversation, ports: Ports, progress: Progress
) -> AsyncGenerator[Event, None]:
    """Tells the level, and leaves it with its models in `progress`.

    It never fails the turn: without a clear judgement the level is `medium`, and the event says why. Raises
    BudgetError alone.
    """
    call = ModelCall(Purpose.ROUTE, plan.router, routing_request(conversation), _PARAMETERS)
    inquiry = Inquiry(call, (plan.router,), plan.timeout_s, _ERRAND, impatient=True)
    async with aclosing(inquiry.run(ports.meter)) as retries:
        async for retry in retries:
            yield retry
    for event in progress.accounts(ports.meter):
        yield event
    level = read_level(inquiry.answer or "")
    if level is None:
        progress.routing_problem = inquiry.problem or _unclear(plan.router.label, inquiry.answer or "")
    progress.routed = level or "medium"
    progress.targets = plan.levels[progress.routed]
    yield Routed(progress.routed, progress.targets[0].label, progress.routing_problem)


def _unclear(who: str, answer: str) -> str:
    said = " ".join(answer.split())
    if not said:
        return f"{who} returned no level"
    short = said if len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…"
    return f"{who} returned no clear level (“{short}”)"
