"""START HERE: one turn through a gateway, top to bottom.

    strategy    conversation → search terms      (a small model may rewrite them)
    retrieval   search terms → passages          (a model may put them into a better order)
    prompt      instructions + passages + conversation → messages
    model       messages → a stream of text      (QueryFunction: and searches, in rounds)
    usage       every call → charges             (by the meter, through which every call goes)

A turn is an async generator of events. It talks to the outside only through its ports.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from aivax_cli.core.conversation import last_user_text
from aivax_cli.core.errors import AivaxError, UsageError
from aivax_cli.core.events import (
    Charged,
    Event,
    Finished,
    Retrieved,
    Retrying,
    Rewritten,
    TextDelta,
    ToolCalled,
    TurnResult,
    Warned,
)
from aivax_cli.core.ports import RerankEndpoint, Retriever
from aivax_cli.core.types import (
    EMBED_QUERY_SKU,
    Conversation,
    JsonValue,
    Message,
    ModelCall,
    ModelEnd,
    ModelRetry,
    ModelTarget,
    ModelText,
    Passage,
    Purpose,
    RetrievalLimits,
    SearchTerms,
    Timing,
    ToolCall,
)
from aivax_cli.gateway.definition import Gateway, Knowledge
from aivax_cli.prompt.assembly import assemble
from aivax_cli.prompt.passages import passages_text
from aivax_cli.reranking import RerankPlan, cut, rerank
from aivax_cli.retrieval.arranging import in_document_order
from aivax_cli.strategy import Strategy, strategy_named
from aivax_cli.strategy.query_function import SEARCH_TOOL, search_arguments
from aivax_cli.strategy.terms import read_terms
from aivax_cli.usage.meter import Meter

CANDIDATES_BY = "fused"
"""The ranking whose best passages a model rescores."""

_LONGEST_REWRITING = 100_000
"""Characters after which a rewrite model is no longer listened to; reasoning models write a few thousand."""
_MOST_SEARCHES = 10
"""Tool calls that are carried out of one message, as many as a search may have terms."""
_LONGEST_NAME = 64

_REWRITE_PARAMETERS: dict[str, JsonValue] = {"temperature": 0, "max_completion_tokens": 200}


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """What a gateway comes to once its names are resolved: texts read, models found."""

    gateway: Gateway
    instructions: str | None
    target: ModelTarget
    rewriter: ModelTarget
    reranker: RerankPlan | None = None
    """Who rescores what a search finds; None where the search's own ranking stands."""

    @property
    def knowledge(self) -> Knowledge | None:
        return self.gateway.knowledge

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """The wire fields of the gateway's parameters; `extra_body` last, it wins."""
        given = self.gateway.parameters.model_dump(exclude_none=True, exclude={"extra_body"})
        return {**given, **self.gateway.parameters.extra_body}


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside, as one turn sees it. The meter is the turn's own; a retriever needs knowledge."""

    meter: Meter
    retriever: Retriever | None = None
    rerank_endpoint: RerankEndpoint | None = None
    clock: Callable[[], float] = time.perf_counter


@dataclass(slots=True)
class _Progress:
    """What a turn has gathered so far."""

    started: float
    text: str = ""
    terms: tuple[str, ...] = ()
    passages: tuple[Passage, ...] | None = None
    """None while nothing was searched."""
    sent: Conversation = ()
    problems: list[str] = field(default_factory=list)
    """What went wrong and was got over, until it is told."""
    charges_told: int = 0
    warnings_told: int = 0
    first_token: float | None = None
    end: ModelEnd | None = None


async def run_turn(plan: TurnPlan, conversation: Conversation, ports: Ports) -> AsyncGenerator[Event, None]:
    """Yields what happens, ending with Finished.

    `conversation` ends with a user message. Raises UsageError when it does not, ModelError when no
    answer could be had, KnowledgeError when a collection cannot be searched. Closing the generator ends
    the calls under way; what they cost until then is on the meter.
    """
    if not conversation or conversation[-1].role != "user":
        raise UsageError("the conversation must end with a message from the user")
    progress = _Progress(started=ports.clock())
    strategy = strategy_named(plan.knowledge.strategy if plan.knowledge else "Plain")
    if plan.knowledge and ports.retriever and strategy.tool is None:
        async with aclosing(
            _search(plan, plan.knowledge, strategy, conversation, ports, progress)
        ) as searching:
            async for event in searching:
                yield event
    async with aclosing(_answer(plan, strategy, conversation, ports, progress)) as answering:
        async for event in answering:
            yield event
    yield Finished(_result(plan, strategy, ports, progress))


async def _search(
    plan: TurnPlan,
    knowledge: Knowledge,
    strategy: Strategy,
    conversation: Conversation,
    ports: Ports,
    progress: _Progress,
) -> AsyncGenerator[Event, None]:
    """The strategy's terms and the passages that they find."""
    terms = SearchTerms((strategy.term(conversation, knowledge.window),))
    if strategy.rewrite is not None:
        call = ModelCall(
            Purpose.REWRITE,
            plan.rewriter,
            strategy.rewrite(conversation, knowledge.window),
            _REWRITE_PARAMETERS,
        )
        rewriting = _Rewriting(call, plan.gateway.rewrite.timeout_s)
        async with aclosing(rewriting.run(ports.meter)) as retries:
            async for retry in retries:
                yield retry
        for event in _accounts(ports.meter, progress):
            yield event
        terms = rewriting.terms or SearchTerms((last_user_text(conversation),), fallback=rewriting.problem)
    progress.terms = terms.terms
    yield Rewritten(strategy.name, terms)
    progress.passages = await retrieve(terms.terms, knowledge, plan.reranker, ports, progress.problems)
    for event in _accounts(ports.meter, progress):
        yield event
    yield Retrieved(progress.passages)


@dataclass(slots=True)
class _Rewriting:
    """One call of a rewrite model. It never fails the turn: `problem` says what went wrong."""

    call: ModelCall
    timeout_s: float
    terms: SearchTerms | None = None
    problem: str = ""

    async def run(self, meter: Meter) -> AsyncGenerator[Retrying, None]:
        text = ""
        items = meter.stream(self.call)
        deadline = asyncio.get_running_loop().time() + self.timeout_s
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    item = await anext(items, None)
                if item is None:
                    break
                if isinstance(item, ModelText):
                    text += item.text
                elif isinstance(item, ModelRetry):
                    yield _retrying(self.call, item)
                elif item.broken:
                    # The last term may be cut off, and half a question finds something else.
                    self.problem = f"rewriting broke off ({item.broken})"
                    return
                if len(text) > _LONGEST_REWRITING:
                    self.problem = f"{self.call.target.label} does not stop rewriting"
                    return
        except TimeoutError:
            self.problem = f"{self.call.target.label} took longer than {self.timeout_s:g} s to rewrite"
            return
        except AivaxError as error:
            self.problem = f"rewriting failed ({error})"
            return
        finally:
            await items.aclose()
        found = read_terms(text)
        self.terms = SearchTerms(found) if found else None
        self.problem = "" if found else f"{self.call.target.label} returned no search terms"


async def _answer(
    plan: TurnPlan,
    strategy: Strategy,
    conversation: Conversation,
    ports: Ports,
    progress: _Progress,
) -> AsyncGenerator[Event, None]:
    """The model's answer, with the search tool's rounds where the strategy has one."""
    tool = strategy.tool if plan.knowledge and ports.retriever else None
    rounds = plan.knowledge.max_rounds if plan.knowledge and tool else 0
    messages = assemble(plan.gateway, plan.instructions, conversation, progress.passages)
    for round_number in range(rounds + 1):
        last = round_number == rounds
        parameters = plan.parameters | ({"tool_choice": "none"} if tool and last else {})
        call = ModelCall(Purpose.ANSWER, plan.target, messages, parameters, (tool,) if tool else ())
        progress.sent = messages
        spoken_before = progress.text
        async with aclosing(_stream(call, plan.gateway.prefill or "", ports, progress)) as streaming:
            async for event in streaming:
                yield event
        end = progress.end
        if end is None or end.broken or not end.tool_calls or last or plan.knowledge is None:
            break
        said = progress.text.removeprefix(spoken_before).strip()
        results = []
        for number, tool_call in enumerate(end.tool_calls):
            if number < _MOST_SEARCHES:
                result = await _run_tool(tool_call, plan, plan.knowledge, ports, progress)
            else:
                result = f"The search was not run: at most {_MOST_SEARCHES} at once; put terms together."
            results.append(Message("tool", result, tool_call_id=tool_call.id))
            for event in _accounts(ports.meter, progress):
                yield event
            yield ToolCalled(tool_call, result)
        # A prefill stands last until something has been said; what was said begins with it.
        prefill = messages[-1:] if plan.gateway.prefill and not spoken_before else ()
        before = messages[: len(messages) - len(prefill)]
        asked = Message("assistant", said, tool_calls=end.tool_calls)
        messages = (*before, asked, *results, *(() if progress.text else prefill))
    if not progress.text.strip():
        yield Warned(f"{plan.target.label} returned an empty answer")


async def _stream(
    call: ModelCall, prefill: str, ports: Ports, progress: _Progress
) -> AsyncGenerator[Event, None]:
    """One model call: its retries, its text, its charges."""
    progress.end = None
    apart = "\n\n" if progress.text.strip() else ""
    async with aclosing(ports.meter.stream(call)) as items:
        async for item in items:
            if isinstance(item, ModelRetry):
                yield _retrying(call, item)
            elif isinstance(item, ModelText) and item.text:
                if progress.first_token is None:
                    progress.first_token = ports.clock()
                    apart = prefill
                progress.text += apart + item.text
                yield TextDelta(apart + item.text)
                apart = ""
            elif isinstance(item, ModelEnd):
                progress.end = item
    for event in _accounts(ports.meter, progress):
        yield event


async def _run_tool(
    call: ToolCall, plan: TurnPlan, knowledge: Knowledge, ports: Ports, progress: _Progress
) -> str:
    """What the model gets to see for its call: numbered passages, or what was wrong with the call."""
    if call.name != SEARCH_TOOL.name:
        return f"There is no tool named {call.name[:_LONGEST_NAME]!r}; the only tool is {SEARCH_TOOL.name}."
    try:
        terms = search_arguments(call.arguments)
    except UsageError as error:
        return f"The search was not run: {error}."
    progress.terms = tuple(dict.fromkeys((*progress.terms, *terms)))
    before = progress.passages or ()
    known = {passage.id for passage in before}
    found = await retrieve(terms, knowledge, plan.reranker, ports, progress.problems)
    fresh = [passage for passage in found if passage.id not in known]
    if not found:
        return "No passage matches. Try other words, or answer that the documents do not say."
    if not fresh:
        return "Only passages that were already returned match. Answer from those."
    start = len(before) + 1
    numbered = tuple(replace(passage, rank=rank) for rank, passage in enumerate(fresh, start))
    progress.passages = (*before, *numbered)
    return passages_text(numbered, first_number=start)


async def retrieve(
    terms: Sequence[str],
    knowledge: Knowledge,
    reranker: RerankPlan | None,
    ports: Ports,
    problems: list[str],
) -> tuple[Passage, ...]:
    """The passages of some terms, reranked if that is planned. What it costs goes to the meter.

    `problems` gets a line for each fault that was got over.
    """
    if ports.retriever is None or not any(term.strip() for term in terms):
        return ()
    limits = knowledge.limits
    if reranker is not None:
        most = max(knowledge.top, reranker.candidates)
        limits = replace(limits, top=most, reranker=CANDIDATES_BY, max_tokens=None)
    found = await ports.retriever.retrieve(terms, limits)
    for use in found.embeddings:
        ports.meter.embedding(EMBED_QUERY_SKU, use.tokens, use.embedder, use.prices)
    if reranker is None:
        return await _arranged(found.passages, limits, ports.retriever)
    ordered = await rerank(reranker, "\n".join(terms), found.passages, ports.meter, ports.rerank_endpoint)
    if ordered.problem:
        problems.append(ordered.problem)
    best = cut(ordered.passages, top=knowledge.top, max_tokens=knowledge.max_tokens)
    return await _arranged(best, knowledge.limits, ports.retriever)


async def _arranged(
    passages: tuple[Passage, ...], limits: RetrievalLimits, retriever: Retriever
) -> tuple[Passage, ...]:
    """The passages with what they bring along, in the order in which a model reads them."""
    if passages and limits.expands:
        passages = await retriever.expanded(passages, limits)
    return in_document_order(passages)


def _accounts(meter: Meter, progress: _Progress) -> tuple[Event, ...]:
    """The charges and the warnings that the meter has gathered since the last look."""
    charges = meter.charges[progress.charges_told :]
    warnings = (*meter.warnings[progress.warnings_told :], *progress.problems)
    progress.charges_told += len(charges)
    progress.warnings_told = len(meter.warnings)
    progress.problems.clear()
    return (*map(Charged, charges), *map(Warned, warnings))


def _retrying(call: ModelCall, retry: ModelRetry) -> Retrying:
    return Retrying(call.target.label, retry.attempt, retry.reason, retry.wait_s)


def _result(plan: TurnPlan, strategy: Strategy, ports: Ports, progress: _Progress) -> TurnResult:
    now = ports.clock()
    end = progress.end
    first = progress.first_token
    return TurnResult(
        text=progress.text,
        model=(end.model if end else "") or plan.target.label,
        finish_reason=end.finish_reason if end else None,
        strategy=strategy.name,
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
    )
