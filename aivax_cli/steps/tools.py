"""Carrying out what the model calls: the search tool of QueryFunction, and the gateway's own tools."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from msgspec.structs import replace

from aivax_cli.core.errors import UsageError
from aivax_cli.core.events import Event, ToolCalled, ToolCalling
from aivax_cli.core.types import ToolCall, ToolOutcome, ToolRun, ToolSpec
from aivax_cli.gateway.knowledge import Knowledge
from aivax_cli.prompt.passages import passages_text
from aivax_cli.steps.plan import Ports, Progress, TurnPlan
from aivax_cli.steps.searching import retrieve
from aivax_cli.strategy.query_function import SEARCH_TOOL, search_arguments

_MOST_CALLS = 10
"""Tool calls that are carried out of one message, as many as a search may have terms."""
_LONGEST_NAME = 64


async def run_tools(
    calls: Sequence[ToolCall],
    offered: Sequence[ToolSpec],
    plan: TurnPlan,
    ports: Ports,
    progress: Progress,
) -> AsyncGenerator[Event, None]:
    """Carries the calls out, one after the other; their runs are appended to `progress.tools`."""
    for number, call in enumerate(calls):
        yield ToolCalling(call)
        began = ports.clock()
        if number < _MOST_CALLS:
            outcome = await _outcome(call, offered, plan, ports, progress)
        else:
            outcome = ToolOutcome(f"Not run: at most {_MOST_CALLS} calls at once; put them together.", True)
        run = ToolRun(call, outcome, ports.clock() - began)
        progress.tools.append(run)
        for event in progress.accounts(ports.meter):
            yield event
        yield ToolCalled(run)


async def _outcome(
    call: ToolCall, offered: Sequence[ToolSpec], plan: TurnPlan, ports: Ports, progress: Progress
) -> ToolOutcome:
    names = [tool.name for tool in offered]
    if call.name not in names:
        only = f"the only tool is {names[0]}" if len(names) == 1 else f"the tools are {', '.join(names)}"
        return ToolOutcome(f"There is no tool named {call.name[:_LONGEST_NAME]!r}; {only}.", True)
    if call.name == SEARCH_TOOL.name and plan.knowledge is not None:
        return await _searched(call, plan, plan.knowledge, ports, progress)
    if ports.tools is None:
        return ToolOutcome(f"{call.name} cannot be called here.", True)
    outcome = await ports.tools.run(call)
    progress.problems += ports.tools.warnings()
    return outcome


async def _searched(
    call: ToolCall, plan: TurnPlan, knowledge: Knowledge, ports: Ports, progress: Progress
) -> ToolOutcome:
    """What the model gets to see for a search: numbered passages, or what was wrong with the call."""
    try:
        terms = search_arguments(call.arguments)
    except UsageError as error:
        return ToolOutcome(f"The search was not run: {error}.", True)
    progress.terms = tuple(dict.fromkeys((*progress.terms, *terms)))
    before = progress.passages or ()
    known = {passage.id for passage in before}
    found = await retrieve(terms, knowledge, plan.reranker, ports, progress.problems)
    fresh = [passage for passage in found if passage.id not in known]
    if not found:
        return ToolOutcome("No passage matches. Try other words, or answer that the documents do not say.")
    if not fresh:
        return ToolOutcome("Only passages that were already returned match. Answer from those.")
    start = len(before) + 1
    numbered = tuple(replace(passage, rank=rank) for rank, passage in enumerate(fresh, start))
    progress.passages = (*before, *numbered)
    return ToolOutcome(passages_text(numbered, first_number=start))
