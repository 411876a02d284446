"""The reranker `smart`: the best candidates of a search, put into a new order by a model.

A turn never fails because of it: whatever goes wrong, the candidates stay as they were, with a reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import AivaxError, BudgetError, ModelError
from aivax_cli.core.ports import RerankEndpoint
from aivax_cli.core.types import JsonValue, ModelCall, ModelEnd, ModelTarget, ModelText, Passage, Purpose
from aivax_cli.prompt.reranking import read_order, rerank_request
from aivax_cli.usage.meter import Meter

_PARAMETERS: dict[str, JsonValue] = {"temperature": 0, "max_completion_tokens": 400}
"""Room for a list of a hundred numbers."""


class RerankPlan(Struct, frozen=True):
    """Who rescores, how it is asked, and how long it may take. `candidates` are rescored at most."""

    target: ModelTarget
    kind: Literal["chat", "endpoint"]
    timeout_s: float
    candidates: int


class Reranked(Struct, frozen=True):
    """The passages in their new order. `problem` says why it is still the old one, if it is."""

    passages: tuple[Passage, ...]
    problem: str = ""


async def rerank(
    plan: RerankPlan,
    question: str,
    passages: Sequence[Passage],
    meter: Meter,
    endpoint: RerankEndpoint | None,
) -> Reranked:
    """Asks the model once, of the first `plan.candidates` passages.

    Passages that it says nothing of keep their order, after those that it names.
    What the call costs goes to the meter, also when it came to nothing. Raises BudgetError, and nothing else
    but cancellation.
    """
    some, others = tuple(passages[: plan.candidates]), tuple(passages[plan.candidates :])
    if len(some) < 2:
        return Reranked(tuple(passages))
    who = plan.target.label
    try:
        async with asyncio.timeout(plan.timeout_s):
            if plan.kind == "chat" or endpoint is None:
                order = await _asked(plan, question, some, meter)
            else:
                order = await _scored(plan, question, some, meter, endpoint)
    except TimeoutError:
        return _kept(passages, f"{who} took longer than {plan.timeout_s:g} s to rerank")
    except BudgetError:
        raise
    except AivaxError as error:
        return _kept(passages, f"reranking failed ({error})")
    if not order:
        return _kept(passages, f"{who} returned no order of the passages")
    named = set(order)
    rest = (place for place in range(len(some)) if place not in named)
    return Reranked((*(some[place] for place in (*order, *rest)), *others))


def cut(passages: Sequence[Passage], *, top: int, max_tokens: int | None) -> tuple[Passage, ...]:
    """The first `top` passages that fit into `max_tokens`, ranked anew; what does not fit is passed over."""
    chosen: list[Passage] = []
    room = max_tokens
    for passage in passages:
        if room is not None and passage.tokens > room:
            continue
        room = None if room is None else room - passage.tokens
        chosen.append(replace(passage, rank=len(chosen) + 1))
        if len(chosen) == top:
            break
    return tuple(chosen)


def _kept(passages: Sequence[Passage], problem: str) -> Reranked:
    return Reranked(tuple(passages), f"{problem}; the passages keep the order of the search")


async def _asked(
    plan: RerankPlan, question: str, passages: Sequence[Passage], meter: Meter
) -> tuple[int, ...]:
    """Places by a chat model's answer. Raises ModelError for a part of one: its last number may be cut."""
    call = ModelCall(Purpose.RERANK, plan.target, rerank_request(question, passages), _PARAMETERS)
    text = ""
    async with aclosing(meter.stream(call)) as items:
        async for item in items:
            match item:
                case ModelText():
                    text += item.text
                case ModelEnd(broken=str() as reason):
                    raise ModelError(f"its answer broke off: {reason}")
    return read_order(text, len(passages))


async def _scored(
    plan: RerankPlan, question: str, passages: Sequence[Passage], meter: Meter, endpoint: RerankEndpoint
) -> tuple[int, ...]:
    """Places by an endpoint's scores; equal ones stay in order. Those without a score are left out."""
    texts = [passage.text for passage in passages]
    async with meter.reading([question + text for text in texts], plan.target):
        try:
            answer = await endpoint.scores(plan.target, question, texts)
        except asyncio.CancelledError:
            # The request is out, and the provider bills for what it has begun.
            meter.reranking(plan.target, question, texts, None)
            raise
        meter.reranking(plan.target, question, texts, answer.tokens)
    scored = [(-score, place) for place, score in enumerate(answer.scores) if score is not None]
    return tuple(place for _, place in sorted(scored))
