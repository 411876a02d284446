"""START HERE: one turn through a gateway, top to bottom.

    route       latest message → the model        (a small model judges how hard it is)
    strategy    conversation → search terms       (a small model may rewrite them)
    retrieval   search terms → passages           (a model may put them into a better order)
    prompt      instructions + passages + conversation → messages
    model       messages → a stream of text       (tools in rounds; the next model when one fails)
    usage       every call → charges              (by the meter, through which every call goes)

A turn is an async generator of events. It talks to the outside only through its ports. Each step is a module
of `steps`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import takewhile

from msgspec.structs import replace

from aivax_cli.core.errors import UsageError
from aivax_cli.core.events import Event, Finished, TurnResult
from aivax_cli.core.types import Conversation, Timing
from aivax_cli.steps.answering import answer_rounds, begun
from aivax_cli.steps.budgeting import require_prices
from aivax_cli.steps.plan import Ports, Progress, TurnPlan
from aivax_cli.steps.routing import route
from aivax_cli.steps.searching import require_documents, search
from aivax_cli.steps.structured import structured_answer
from aivax_cli.steps.together import together
from aivax_cli.strategy import Strategy, strategy_named


async def run_turn(
    plan: TurnPlan, conversation: Conversation, ports: Ports, progress: Progress | None = None
) -> AsyncGenerator[Event, None]:
    """Yields what happens, ending with Finished. A new `progress` can tell how far a turn came that failed.

    `conversation` ends with a user message, or with the results of tools that the client carried out. Raises
    UsageError when it does not, ModelError when no answer could be had, KnowledgeError when a collection
    cannot be searched, BudgetError, ContextError, ToolError and StructureError as their gateway's fields say.
    Closing the generator ends the calls under way; what they cost until then is on the meter.
    """
    if not conversation or conversation[-1].role not in ("user", "tool"):
        raise UsageError("the conversation must end with a message from the user")
    plan, conversation = _instructed(plan, conversation)
    progress = progress or Progress(ports.clock(), plan.targets)
    strategy = _strategy(plan)
    require_prices(plan, strategy, ports)
    await require_documents(plan, strategy, ports)
    before: list[AsyncGenerator[Event, None]] = []
    if plan.routing is not None:
        before.append(route(plan.routing, conversation, ports, progress))
    if plan.knowledge and ports.retriever and strategy.tool is None:
        before.append(search(plan, plan.knowledge, strategy, conversation, ports, progress))
    if before:
        # Of what two calls might cost at once a budget may not have enough, but of one after the other.
        async with aclosing(together(*before, in_turn=plan.gateway.budget is not None)) as preparing:
            async for event in preparing:
                yield event
    if plan.response_schema is None:
        thread = await begun(plan, strategy, conversation, ports, progress)
        answer = answer_rounds(thread, plan, ports, progress)
    else:
        answer = structured_answer(plan, strategy, conversation, ports, progress)
    async with aclosing(answer) as answering:
        async for event in answering:
            yield event
    yield Finished(turn_result(plan, ports, progress))


def _instructed(plan: TurnPlan, conversation: Conversation) -> tuple[TurnPlan, Conversation]:
    """System messages with which a conversation begins are part of the instructions: many models take one
    system message, and take it first."""
    begun = list(takewhile(lambda message: message.role == "system", conversation))
    if not begun:
        return plan, conversation
    texts = (plan.instructions, *(message.content for message in begun))
    instructions = "\n\n".join(text for text in texts if text and text.strip())
    return replace(plan, instructions=instructions or None), conversation[len(begun) :]


def _strategy(plan: TurnPlan) -> Strategy:
    return strategy_named(plan.knowledge.strategy if plan.knowledge else "Plain")


def turn_result(plan: TurnPlan, ports: Ports, progress: Progress) -> TurnResult:
    """What a turn has come to, at its end or so far."""
    now = ports.clock()
    end = progress.end
    first = progress.first_token
    return TurnResult(
        text=progress.text,
        model=(end.model if end else "") or progress.targets[0].label,
        finish_reason=end.finish_reason if end else None,
        strategy=_strategy(plan).name,
        search_terms=progress.terms,
        passages=progress.passages or (),
        charges=tuple(ports.meter.charges),
        sent=progress.sent,
        timing=Timing(
            total_s=now - progress.started,
            first_token_s=None if first is None else first - progress.started,
            answering_s=None if first is None else now - first,
        ),
        incomplete=end.broken if end else "the model ended without an answer",
        routed=progress.routed,
        routing_problem=progress.routing_problem,
        target=progress.targets[0].label,
        fallbacks=tuple(progress.fallbacks),
        tools=tuple(progress.tools),
        structured=progress.structured,
        context_tokens=progress.context_tokens,
        tool_calls=progress.client_calls,
        cut=progress.cut,
    )
