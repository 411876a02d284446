"""What a run will ask at most, and what that may cost, before anything is asked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from aivax_cli.checks.assertions import JUDGED
from aivax_cli.checks.cases import Case
from aivax_cli.core.types import ModelCall, ModelTarget, Prices, Purpose
from aivax_cli.gateway.check_file import Assertion
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


@dataclass(frozen=True, slots=True)
class Estimate:
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
    return case.limits.usd is not None or any(map(_about_cost, case.test.expect))


def _about_cost(assertion: Assertion) -> bool:
    inside = [*(assertion.any_of or ()), *(assertion.all_of or ())]
    inside += [assertion.negated] if assertion.negated else []
    return assertion.usd is not None or any(map(_about_cost, inside))


def _calls(case: Case, plan: TurnPlan, judge: TurnPlan | None, prices_of: PricesOf) -> Iterator[Estimate]:
    if case.test.only == "retrieve":
        if plan.reranker:
            yield _small(plan.reranker.target, plan.reranker.candidates * _PASSAGE_TOKENS, prices_of)
        return
    said = sum(len(message.content) for message in case.conversation) // _CHARACTERS_PER_TOKEN + 1
    targets: Sequence[ModelTarget] = plan.targets[:1]
    if plan.routing:
        yield _small(plan.routing.router, said, prices_of)
        targets = [each[0] for each in plan.routing.levels.values()]
    found = 0
    rounds = 1
    if plan.knowledge:
        strategy = strategy_named(plan.knowledge.strategy)
        found = plan.knowledge.max_tokens or plan.knowledge.top * _PASSAGE_TOKENS
        if strategy.rewrite:
            yield _small(plan.rewriters[0], said, prices_of)
        if plan.reranker:
            yield _small(plan.reranker.target, plan.reranker.candidates * _PASSAGE_TOKENS, prices_of)
        rounds = plan.knowledge.max_rounds + 1 if strategy.tool else 1
    if plan.gateway.tools:
        rounds = max(rounds, plan.gateway.max_tool_rounds + 1)
    attempts = plan.gateway.max_attempts if plan.response_schema else 1
    for round_number in range(1, rounds + 1):
        yield _answer(case, plan, targets, found * round_number, prices_of, attempts)
    if judge is not None:
        output = plan.gateway.parameters.max_completion_tokens or _SMALL_OUTPUT
        questions = sum(map(_judged, case.test.expect)) * (case.judge.votes if case.judge else 1)
        for _ in range(questions):
            yield _of(judge.targets[:1], said + found + output + _JUDGE_FRAME, judge, prices_of)


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
    """One call of the dearest of these models."""
    dearest, unpriced = Decimal(0), set()
    for target in targets:
        prices = prices_of(target)
        if prices is None:
            unpriced.add(target.label)
        else:
            call = ModelCall(Purpose.ANSWER, target, (), plan.parameters)
            dearest = max(dearest, worst_case(call, prices, tokens, None).usd)
    return Estimate(1, dearest, frozenset(unpriced))


def _small(target: ModelTarget, tokens: int, prices_of: PricesOf) -> Estimate:
    """One call of a small model that answers briefly."""
    prices = prices_of(target)
    if prices is None:
        return Estimate(1, Decimal(0), frozenset((target.label,)))
    call = ModelCall(Purpose.REWRITE, target, (), {"max_completion_tokens": _SMALL_OUTPUT})
    return Estimate(1, worst_case(call, prices, tokens, None).usd)


def _judged(assertion: Assertion) -> int:
    inside = [*(assertion.any_of or ()), *(assertion.all_of or ())]
    inside += [assertion.negated] if assertion.negated else []
    return int(assertion.kind in JUDGED) + sum(map(_judged, inside))
