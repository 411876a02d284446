"""From the conversation to passages: the strategy's terms, rewritten if it wants that, and what they find."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from aivax_cli.core.conversation import last_user_text
from aivax_cli.core.errors import AivaxError, ModelError
from aivax_cli.core.events import Event, FellBack, Retrieved, Rewritten
from aivax_cli.core.ports import Retriever
from aivax_cli.core.types import (
    EMBED_QUERY_SKU,
    Conversation,
    EmbeddingUse,
    JsonValue,
    ModelCall,
    Passage,
    Purpose,
    RetrievalLimits,
    SearchTerms,
)
from aivax_cli.gateway.knowledge import Knowledge
from aivax_cli.retrieval.arranging import in_document_order
from aivax_cli.steps.asking import Errand, Inquiry
from aivax_cli.steps.plan import Ports, Progress, TurnPlan
from aivax_cli.steps.reranking import RerankPlan, cut, rerank
from aivax_cli.strategy import Strategy
from aivax_cli.strategy.terms import read_terms

CANDIDATES_BY = "fused"
"""The ranking whose best passages a model rescores."""

_ERRAND = Errand("rewrite", "rewriting")
_REWRITE_PARAMETERS: dict[str, JsonValue] = {"temperature": 0, "max_completion_tokens": 200}


async def require_documents(plan: TurnPlan, strategy: Strategy, ports: Ports) -> None:
    """Raises KnowledgeError or NotFoundError when a model would be paid before a search that must fail.

    A model that may search need not: with a tool it is called all the same.
    """
    calls_first = strategy.rewrite or (plan.routing and not strategy.tool)
    if calls_first and plan.knowledge and ports.retriever:
        await ports.retriever.ready()


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
        inquiry = _rewriting(plan, strategy.rewrite(conversation, knowledge.window), ports)
        async with aclosing(inquiry.run(ports.meter)) as retries:
            async for retry in retries:
                if isinstance(retry, FellBack):
                    progress.fallbacks.append(retry)
                yield retry
        if inquiry.pool_problem:
            progress.problems.append(inquiry.pool_problem)
        for event in progress.accounts(ports.meter):
            yield event
        terms = _terms(inquiry, last_user_text(conversation))
    progress.terms = terms.terms
    yield Rewritten(strategy.name, terms)
    progress.passages = await retrieve(terms.terms, knowledge, plan.reranker, ports, progress.problems)
    for event in progress.accounts(ports.meter):
        yield event
    yield Retrieved(progress.passages)


def _rewriting(plan: TurnPlan, messages: Conversation, ports: Ports) -> Inquiry:
    """The question to the rewrite models: those of a pool in the order in which they stand."""
    rewrite = plan.gateway.rewrite
    pool = ports.pool if rewrite.models else None
    targets = plan.rewriters
    if pool is not None and len(targets) > 1:
        targets = pool.order(targets, rewrite.price_margin)
    call = ModelCall(Purpose.REWRITE, targets[0], messages, _REWRITE_PARAMETERS)
    return Inquiry(call, targets, rewrite.timeout_s, _ERRAND, pool)


def _terms(inquiry: Inquiry, plain: str) -> SearchTerms:
    """What the models wrote; the plain term, and why, when it is of no use."""
    found = read_terms(inquiry.answer or "")
    if found:
        return SearchTerms(found)
    problem = inquiry.problem or f"{inquiry.answered_by} returned no search terms"
    return SearchTerms((plain,), fallback=problem)


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
    async with ports.meter.reading(terms):
        try:
            found = await ports.retriever.retrieve(terms, limits)
        except AivaxError as error:
            _charge(error.spent, ports)
            if not isinstance(error, ModelError):
                raise
            # Only embedders are models here, and its words name an endpoint alone.
            problem = f"the question could not be embedded: {error.message}"
            raise ModelError(problem, fix=error.fix, status=error.status) from error
        _charge(found.embeddings, ports)
    problems += found.problems
    if reranker is None:
        return await _arranged(found.passages, limits, ports.retriever)
    ordered = await rerank(reranker, "\n".join(terms), found.passages, ports.meter, ports.rerank_endpoint)
    if ordered.problem:
        problems.append(ordered.problem)
    best = cut(ordered.passages, top=knowledge.top, max_tokens=knowledge.max_tokens)
    return await _arranged(best, knowledge.limits, ports.retriever)


def _charge(uses: Sequence[EmbeddingUse], ports: Ports) -> None:
    for use in uses:
        ports.meter.embedding(EMBED_QUERY_SKU, use.tokens, use.embedder, use.prices)


async def _arranged(
    passages: tuple[Passage, ...], limits: RetrievalLimits, retriever: Retriever
) -> tuple[Passage, ...]:
    """The passages with what they bring along, in the order in which a model reads them."""
    if passages and limits.expands:
        passages = await retriever.expanded(passages, limits)
    return in_document_order(passages)
