"""The model's answer, in rounds while it calls tools."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing

from msgspec import Struct

from aivax_cli.core.errors import UsageError
from aivax_cli.core.events import Event, Warned
from aivax_cli.core.types import (
    AnswerFormat,
    Conversation,
    JsonValue,
    Message,
    ModelCall,
    ModelTarget,
    Purpose,
    ToolCall,
    ToolRun,
    ToolSpec,
)
from aivax_cli.prompt.assembly import assemble
from aivax_cli.steps.calling import call_first_of
from aivax_cli.steps.context import ContextControl
from aivax_cli.steps.plan import Ports, Progress, TurnPlan
from aivax_cli.steps.tools import run_tools
from aivax_cli.strategy import Strategy


class Thread(Struct):
    """The messages of a turn's answering calls, which grow with every round, and how they are called with.

    `tools` are carried out here; `rounds` is how often they may still be called.
    """

    messages: Conversation
    context: ContextControl
    tools: tuple[ToolSpec, ...]
    rounds: int
    purpose: Purpose
    answer_format: AnswerFormat | None


async def begun(
    plan: TurnPlan,
    strategy: Strategy,
    conversation: Conversation,
    ports: Ports,
    progress: Progress,
    purpose: Purpose = Purpose.ANSWER,
    answer_format: AnswerFormat | None = None,
) -> Thread:
    """The thread before its first call. Raises ToolError when the gateway's tools cannot be had."""
    tools = await _offered(plan, strategy, ports, progress)
    messages = assemble(plan.gateway, plan.instructions, conversation, progress.passages)
    context = ContextControl(plan, messages, ports, progress)
    return Thread(messages, context, tools, _rounds(plan, tools), purpose, answer_format)


async def answer_rounds(
    thread: Thread, plan: TurnPlan, ports: Ports, progress: Progress
) -> AsyncGenerator[Event, None]:
    """Tells the answer and the tools that it took; the last model call's end is left in `progress`."""
    once = plan.client_parameters
    while True:
        last = thread.rounds <= 0
        thread.rounds -= 1
        messages, spoken_before = thread.messages, progress.text
        sent = await thread.context.held(messages)
        call = _call(thread, plan, progress.targets[0], sent, once, last=last)
        once = {}
        for cut in thread.context.news():
            yield cut
        async with aclosing(call_first_of(call, plan.gateway.prefill or "", ports, progress)) as streaming:
            async for event in streaming:
                yield event
        end = progress.end
        if end is None or end.broken or not end.tool_calls:
            break
        progress.client_calls = _of_client(plan, end.tool_calls)
        if last or progress.client_calls:
            break
        done_before = len(progress.tools)
        async with aclosing(run_tools(end.tool_calls, thread.tools, plan, ports, progress)) as running:
            async for event in running:
                yield event
        said = progress.text.removeprefix(spoken_before).strip()
        asked = Message("assistant", said, tool_calls=end.tool_calls)
        # A prefill stands last until something has been said; what was said begins with it.
        prefill = messages[-1:] if plan.gateway.prefill and not spoken_before else ()
        before = messages[: len(messages) - len(prefill)]
        results = _results(progress.tools[done_before:])
        thread.messages = (*before, asked, *results, *(() if progress.text else prefill))
    if thread.purpose is Purpose.ANSWER and not progress.text.strip() and not progress.client_calls:
        yield Warned(f"{progress.targets[0].label} returned an empty answer")


def _call(
    thread: Thread,
    plan: TurnPlan,
    target: ModelTarget,
    sent: Conversation,
    once: Mapping[str, JsonValue],
    *,
    last: bool,
) -> ModelCall:
    """The call of a round. In the `last` one no tool is carried out here any more."""
    tools = plan.client_tools if last and plan.client_tools else (*thread.tools, *plan.client_tools)
    refused = {"tool_choice": "none"} if tools and last and not plan.client_tools else {}
    return ModelCall(
        thread.purpose,
        target,
        sent,
        {**plan.parameters, **once, **refused},
        tools,
        answer_format=thread.answer_format,
        timeout_s=plan.gateway.timeout_s,
    )


def _results(runs: Iterable[ToolRun]) -> list[Message]:
    """What the model gets to see of its calls."""
    return [Message("tool", run.outcome.text, tool_call_id=run.call.id) for run in runs]


def _of_client(plan: TurnPlan, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls that the client carries out. Beside them those of own tools are dropped: their results would
    have no place in the conversation that the client goes on with."""
    names = {tool.name for tool in plan.client_tools}
    return tuple(call for call in calls if call.name in names)


async def _offered(
    plan: TurnPlan, strategy: Strategy, ports: Ports, progress: Progress
) -> tuple[ToolSpec, ...]:
    search = (strategy.tool,) if strategy.tool and plan.knowledge and ports.retriever else ()
    own: tuple[ToolSpec, ...] = ()
    if ports.tools is not None:
        own = await ports.tools.specs()
        progress.problems += ports.tools.warnings()
    offered = (*search, *own)
    taken = {tool.name for tool in offered} & {tool.name for tool in plan.client_tools}
    if taken:
        raise UsageError(f"the gateway has a tool of its own named {sorted(taken)[0]}", fix="rename yours")
    return offered


def _rounds(plan: TurnPlan, tools: tuple[ToolSpec, ...]) -> int:
    """How often tools may be called before the model has to answer."""
    if not tools:
        return 0
    searches = plan.knowledge.max_rounds if plan.knowledge else 0
    return max(searches, plan.gateway.max_tool_rounds) if plan.gateway.tools else searches
