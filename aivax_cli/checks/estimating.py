"""What a run will ask at most, and what that may cost, before anything is asked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct, field

from aivax_cli.checks.assertions import JUDGED
from aivax_cli.checks.cases import Case
from aivax_cli.core.types import JsonValue, ModelCall, ModelTarget, Prices, Purpose
from aivax_cli.prompt.assembly import assemble
from aivax_cli.steps.plan import TurnPlan
from aivax_cli.strategy import strategy_named
from aivax_cli.usage.budget import worst_case

_CHARACTERS_PER_TOKEN = 3
"""Fewer than in most texts, so that the estimate is rather too high."""
_PASSAGE_TOKENS = 480
"""The longest passage that a collection holds."""
_SMALL_OUTPUT = 400
"""The longest answer of a small model that rewrites, routes or reranks."""
_JUDGE_FRAME = 300
"""Tokens of the judge's question around the answer."""

PricesOf = Callable[[ModelTarget], Prices | None]


class Estimate(Struct, frozen=True):
    """Model calls and USD at most; `unpriced` are models whose price nobody knows."""

    calls: int = 0
    usd: Decimal = Decimal(0)
    unpriced: frozenset[str] = field(default_factory=frozenset)

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.calls + other.calls, self.usd + other.usd, self.unpriced | other.unpriced)


def estimate(case: Case, plan: TurnPlan, judge: TurnPlan | None, prices_of: PricesOf) -> Estimate:
    """What all repeats of a case may take."""
    one = sum(_calls(case, plan, judge, prices_of), Estimate())
    return Estimate(one.calls * case.repeat, one.usd * case.repeat, one.unpriced)


def limits_cost(case: Case) -> bool:
    """Whether anything of the case is about what it costs."""
    asserted = any(part.usd is not None for each in case.test.expect for part in each.flat())
    return asserted or case.limits.usd is not None


def _calls(case: Case, plan: TurnPlan, judge: TurnPlan | None, prices_of: PricesOf) -> Iterator[Estimate]:
    if case.test.only == "retrieve":
        if plan.reranker:
            yield _small([plan.reranker.target], plan.reranker.candidates * _PASSAGE_TOKENS, prices_of)
        return
    said = sum(len(message.content) for message in case.conversation) // _CHARACTERS_PER_TOKEN + 1
    targets: Sequence[ModelTarget] = plan.targets
    if plan.routing:
        yield _small([plan.routing.router], said, prices_of)
        targets = [target for each in plan.routing.levels.values() for target in each]
    found = 0
    rounds = 1
    if plan.knowledge:
        strategy = strategy_named(plan.knowledge.strategy)
        found = plan.knowledge.max_tokens or plan.knowledge.top * _PASSAGE_TOKENS
        if strategy.rewrite:
            yield _small(plan.rewriters, said, prices_of)
        if plan.reranker:
            yield _small([plan.reranker.target], plan.reranker.candidates * _PASSAGE_TOKENS, prices_of)
        rounds = plan.knowledge.max_rounds + 1 if strategy.tool else 1
    if plan.gateway.tools:
        rounds = max(rounds, plan.gateway.max_tool_rounds + 1)
    attempts = plan.gateway.max_attempts if plan.response_schema else 1
    for round_number in range(1, rounds + 1):
        yield _answer(case, plan, targets, found * round_number, prices_of, attempts)
    if judge is not None:
        output = plan.gateway.parameters.max_completion_tokens or _SMALL_OUTPUT
        parts = [part for each in case.test.expect for part in each.flat() if part.kind in JUDGED]
        for _ in range(len(parts) * (case.judge.votes if case.judge else 1)):
            yield _of(judge.targets, said + found + output + _JUDGE_FRAME, judge, prices_of)


def _answer(
    case: Case,
    plan: TurnPlan,
    targets: Sequence[ModelTarget],
    found: int,
    prices_of: PricesOf,
    attempts: int,
) -> Estimate:
    sent = assemble(plan.gateway, plan.instructions, case.conversation, None)
    tokens = sum(len(message.content) for message in sent) // _CHARACTERS_PER_TOKEN + 1 + found
    one = _of(targets, tokens, plan, prices_of)
    return Estimate(attempts, one.usd * attempts, one.unpriced)


def _of(targets: Sequence[ModelTarget], tokens: int, plan: TurnPlan, prices_of: PricesOf) -> Estimate:
    """One answer by any of these models."""
    return _dearest(targets, tokens, Purpose.ANSWER, plan.parameters, prices_of)


def _small(targets: Sequence[ModelTarget], tokens: int, prices_of: PricesOf) -> Estimate:
    """One call of a small model that answers briefly."""
    return _dearest(targets, tokens, Purpose.REWRITE, {"max_completion_tokens": _SMALL_OUTPUT}, prices_of)


def _dearest(
    targets: Sequence[ModelTarget],
    tokens: int,
    purpose: Purpose,
    parameters: Mapping[str, JsonValue],
    prices_of: PricesOf,
) -> Estimate:
    """One call of the dearest: each may have to stand in for the one before it."""
    dearest, unpriced = Decimal(0), set()
    for target in targets:
        prices = prices_of(target)
        if prices is None:
            unpriced.add(target.label)
        else:
            call = ModelCall(purpose, target, (), parameters)
            dearest = max(dearest, worst_case(call, prices, tokens, None).usd)
    return Estimate(1, dearest, frozenset(unpriced))
