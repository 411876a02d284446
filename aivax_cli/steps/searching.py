"""From the conversation to passages: the strategy's terms, rewritten if it wants that, and what they find."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from aivax_cli.core.conversation import last_user_text
from aivax_cli.core.errors import AivaxError, BudgetError
from aivax_cli.core.events import Event, FellBack, Retrieved, Retrying, Rewritten
from aivax_cli.core.ports import Retriever
from aivax_cli.core.types import (
    EMBED_QUERY_SKU,
    Conversation,
    JsonValue,
    ModelCall,
    ModelRetry,
    ModelTarget,
    ModelText,
    Passage,
    Purpose,
    RetrievalLimits,
    SearchTerms,
)
from aivax_cli.gateway.knowledge import Knowledge
from aivax_cli.retrieval.arranging import in_document_order
from aivax_cli.steps.calling import call_first_of
from aivax_cli.steps.plan import Ports, Progress, TurnPlan
from aivax_cli.steps.reranking import RerankPlan, cut, rerank
from aivax_cli.strategy import Strategy
from aivax_cli.strategy.terms import read_terms
from aivax_cli.usage.meter import Meter

CANDIDATES_BY = "fused"
"""The ranking whose best passages a model rescores."""

_LONGEST_REWRITING = 100_000
"""Characters after which a rewrite model is no longer listened to; reasoning models write a few thousand."""

_REWRITE_PARAMETERS: dict[str, JsonValue] = {"temperature": 0, "max_completion_tokens": 200}


async def search(
    plan: TurnPlan,
    knowledge: Knowledge,
    strategy: Strategy,
    conversation: Conversation,
    ports: Ports,
    progress: Progress,
) -> AsyncGenerator[Event, None]:
    """Tells the strategy's terms and the passages that they find."""
    terms = SearchTerms((strategy.term(conversation, knowledge.window),))
    if strategy.rewrite is not None:
        call = ModelCall(
            Purpose.REWRITE,
            plan.rewriters[0],
            strategy.rewrite(conversation, knowledge.window),
            _REWRITE_PARAMETERS,
        )
        rewriting = _Rewriting(call, plan.rewriters, plan.gateway.rewrite.timeout_s)
        async with aclosing(rewriting.run(ports.meter)) as retries:
            async for retry in retries:
                yield retry
        for event in progress.accounts(ports.meter):
            yield event
        terms = rewriting.terms or SearchTerms((last_user_text(conversation),), fallback=rewriting.problem)
    progress.terms = terms.terms
    yield Rewritten(strategy.name, terms)
    progress.passages = await retrieve(terms.terms, knowledge, plan.reranker, ports, progress.problems)
    for event in progress.accounts(ports.meter):
        yield event
    yield Retrieved(progress.passages)


@dataclass(slots=True)
class _Rewriting:
    """One question to the rewrite models. It never fails the turn: `problem` says what went wrong."""

    call: ModelCall
    targets: tuple[ModelTarget, ...]
    timeout_s: float
    terms: SearchTerms | None = None
    problem: str = ""

    async def run(self, meter: Meter) -> AsyncGenerator[Retrying | FellBack, None]:
        text = ""
        who = self.call.target.label
        items = call_first_of(self.targets, self.call, meter)
        deadline = asyncio.get_running_loop().time() + self.timeout_s
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    item = await anext(items, None)
                if item is None:
                    break
                if isinstance(item, FellBack):
                    who = item.next_model
                    yield item
                elif isinstance(item, ModelText):
                    text += item.text
                elif isinstance(item, ModelRetry):
                    yield Retrying(who, item.attempt, item.reason, item.wait_s)
                elif item.broken:
                    # The last term may be cut off, and half a question finds something else.
                    self.problem = f"rewriting broke off ({item.broken})"
                    return
                if len(text) > _LONGEST_REWRITING:
                    self.problem = f"{who} does not stop rewriting"
                    return
        except TimeoutError:
            self.problem = f"{who} took longer than {self.timeout_s:g} s to rewrite"
            return
        except BudgetError:
            raise
        except AivaxError as error:
            self.problem = f"rewriting failed ({error})"
            return
        finally:
            await items.aclose()
        found = read_terms(text)
        self.terms = SearchTerms(found) if found else None
        self.problem = "" if found else f"{who} returned no search terms"


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
    problems += found.problems
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
