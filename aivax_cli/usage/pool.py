"""Which model of a pool is tried first: the cheapest, among equals the quickest of late. Pure.

All times are Unix time, in seconds; no clock is read and no die is cast here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from aivax_cli.core.types import ModelTarget, Prices, Trial

MOST_TRIALS: Final = 20
"""Trials of a model that count, the newest; older ones are forgotten."""
EXPIRES_S: Final = 24 * 3600.0
"""Age at which a trial no longer counts: the model is then tried anew."""
HALF_LIFE_S: Final = 2 * 3600.0
"""Age at which a trial weighs half as much in the median as one of this moment."""
EXPLORED: Final = 0.05
"""Share of the calls that go to another of the equals than the quickest, the one tried longest ago."""
BENCH_S: Final = 30.0
"""How long a model is left alone after a failure; each further failure in a row doubles it."""
LONGEST_BENCH_S: Final = 15 * 60.0
"""The most that it comes to, unless the endpoint itself asks for more."""
LONGEST_WAIT_S: Final = 3600.0
"""The most that an endpoint may ask for."""

_TYPICAL_INPUT: Final = 300
_TYPICAL_OUTPUT: Final = 30


class KeptTrial(Struct, frozen=True):
    """A trial and when it ended."""

    at: float
    trial: Trial


class Standing(Struct, frozen=True):
    """How a model has done of late.

    `samples` is the number of times that `median_s` is made of: answers, and calls that took too long.
    `benched_until` and `problem` are set while it is left alone because of failures.
    """

    samples: int = 0
    median_s: float | None = None
    benched_until: float | None = None
    problem: str = ""
    last_at: float | None = None


UNTRIED: Final = Standing()


class Candidate(Struct, frozen=True):
    """A model of the pool with its prices in USD per token; None: nobody has said."""

    target: ModelTarget
    prices: Prices | None = None
    standing: Standing = UNTRIED

    @property
    def rewrite_usd(self) -> Decimal | None:
        """What a typical rewriting costs, 300 tokens read and 30 written: by it models are compared."""
        if self.prices is None:
            return None
        return self.prices.input_usd * _TYPICAL_INPUT + self.prices.output_usd * _TYPICAL_OUTPUT


def standing(trials: Iterable[KeptTrial], now: float) -> Standing:
    """What a model's trials, oldest first, come to at the moment `now`.

    The median is weighted by age. A trial from the future was written under a wrong clock and is left out.
    """
    kept = [each for each in trials if 0 <= now - each.at < EXPIRES_S][-MOST_TRIALS:]
    if not kept:
        return UNTRIED
    timed = [each for each in kept if not each.trial.problem or each.trial.timed_out]
    weights = [(each.trial.seconds, 0.5 ** ((now - each.at) / HALF_LIFE_S)) for each in timed]
    until, problem = _bench(kept)
    benched = until > now
    return Standing(
        samples=len(timed),
        median_s=_weighted_median(weights),
        benched_until=until if benched else None,
        problem=problem if benched else "",
        last_at=kept[-1].at,
    )


def arranged(
    candidates: Sequence[Candidate], price_margin: float, chance: float = 1.0
) -> tuple[Candidate, ...]:
    """The candidates in the order in which they are tried.

    Those that are benched come last, the one that is free again soonest first. The others stand in groups
    by price: the cheapest and what costs at most `price_margin` (0.1 is 10 %) more, then likewise what is
    left; unpriced ones make the last group. In a group those without any trial come first, then by median.
    With `chance`, drawn evenly from 0 to 1, below EXPLORED another of the first group goes to the front.
    """
    ready = [each for each in candidates if each.standing.benched_until is None]
    benched = sorted(
        (each for each in candidates if each.standing.benched_until is not None),
        key=lambda each: each.standing.benched_until or 0.0,
    )
    groups = [sorted(group, key=_speed) for group in _price_groups(ready, price_margin)]
    if groups and chance < EXPLORED:
        groups[0] = _explored(groups[0])
    return (*(each for group in groups for each in group), *benched)


def _price_groups(candidates: Sequence[Candidate], price_margin: float) -> list[list[Candidate]]:
    groups: list[list[Candidate]] = []
    most = Decimal(-1)
    for candidate in sorted(candidates, key=_price):
        cost = candidate.rewrite_usd
        unpriced_before = bool(groups) and groups[-1][0].rewrite_usd is None
        if groups and (unpriced_before if cost is None else cost <= most):
            groups[-1].append(candidate)
            continue
        groups.append([candidate])
        most = Decimal(-1) if cost is None else cost * (1 + Decimal(str(price_margin)))
    return groups


def _price(candidate: Candidate) -> tuple[bool, Decimal]:
    cost = candidate.rewrite_usd
    return cost is None, cost or Decimal(0)


def _speed(candidate: Candidate) -> tuple[int, float]:
    found = candidate.standing
    if found.last_at is None:
        return 0, 0.0
    return (2, 0.0) if found.median_s is None else (1, found.median_s)


def _explored(group: list[Candidate]) -> list[Candidate]:
    """The group with the one that was tried longest ago in front, if it is not the first already."""
    if len(group) < 2 or group[0].standing.last_at is None:
        return group
    stalest = min(group[1:], key=lambda each: each.standing.last_at or 0.0)
    return [stalest, *(each for each in group if each is not stalest)]


def _bench(trials: Sequence[KeptTrial]) -> tuple[float, str]:
    """Until when failures at the end of these trials keep the model away, and the latest problem."""
    until, problem, failures = 0.0, "", 0
    for kept in trials:
        if not kept.trial.problem:
            until, problem, failures = 0.0, "", 0
        elif kept.trial.benched:
            bench_s = min(LONGEST_BENCH_S, BENCH_S * 2.0**failures)
            asked_s = min(LONGEST_WAIT_S, kept.trial.wait_s or 0.0)
            until, problem = kept.at + max(bench_s, asked_s), kept.trial.problem
            failures += 1
    return until, problem


def _weighted_median(weighted: Sequence[tuple[float, float]]) -> float | None:
    """The value at which half of the weight is reached; midway to the next where it is exactly half."""
    if not weighted:
        return None
    ordered = sorted(weighted)
    half = sum(weight for _, weight in ordered) / 2
    reached = 0.0
    for place, (value, weight) in enumerate(ordered):
        reached += weight
        if reached == half and place + 1 < len(ordered):
            return (value + ordered[place + 1][0]) / 2
        if reached >= half:
            return value
    return ordered[-1][0]
