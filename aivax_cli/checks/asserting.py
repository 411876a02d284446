"""What is asserted of an answer, decided: rules first, the judge only where all of them hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from aivax_cli.checks import retrieval
from aivax_cli.checks.assertions import GROUNDED_RULES, JUDGED, RULES
from aivax_cli.checks.assertions.base import Found, Ground
from aivax_cli.checks.cases import Case
from aivax_cli.checks.judging import Ask, Reply, judged
from aivax_cli.checks.python_rule import own_rule
from aivax_cli.checks.results import Answer, Finding
from aivax_cli.core.apart import apart
from aivax_cli.gateway.check_assertion import Assertion

_APART = frozenset({"python", "similar"})
"""Kinds that may take long, and are decided in a thread of their own."""


async def found_by_rule(case: Case, answer: Answer, ground: Ground) -> list[Finding]:
    """Everything that needs no judge: the search, the assertions, the limits."""
    findings: list[Finding] = []
    if case.test.retrieve is not None:
        line = case.located.retrieve_line or case.located.line
        for name, found in retrieval.findings(case.test.retrieve, answer.passages):
            findings.append(_finding(f"retrieve.{name}", found, line))
    for assertion, line in _expected(case):
        if not _needs_judge(assertion):
            found = await _decided(assertion, answer, ground, case.settings.timeout_s)
            findings.append(_of_assertion(assertion, found, line))
    if case.test.only is None:
        for name, limit in case.limits:
            if limit is None:
                continue
            found = by_rule(Assertion.model_validate({name: limit}), answer, ground)
            findings.append(_finding(f"limits.{name}", found, case.located.line))
    return findings


async def found_by_judge(
    case: Case, answer: Answer, ground: Ground, ask: Ask | None
) -> tuple[list[Finding], list[Reply]]:
    """Everything that needs the judge, and what the judge said."""
    judging = _Judging(case, answer, ground, ask)
    findings = [
        _of_assertion(assertion, await judging.decided(assertion), line)
        for assertion, line in _expected(case)
        if _needs_judge(assertion)
    ]
    return findings, judging.replies


def by_rule(assertion: Assertion, answer: Answer, ground: Ground) -> Found:
    """What a rule finds, also in groups of rules and under `not`."""
    kind = assertion.kind
    if kind in RULES:
        return RULES[kind](assertion, answer)
    if kind in GROUNDED_RULES:
        return GROUNDED_RULES[kind](assertion, answer, ground)
    if kind == "python":
        return own_rule(assertion.python or "", answer, ground)
    return _combined(assertion, [by_rule(part, answer, ground) for part in assertion.parts])


class _Judging:
    """Decides what holds a judged part somewhere, and keeps what the judge said."""

    def __init__(self, case: Case, answer: Answer, ground: Ground, ask: Ask | None) -> None:
        self._case = case
        self._answer = answer
        self._ground = ground
        self._ask = ask
        self.replies: list[Reply] = []

    async def decided(self, assertion: Assertion) -> Found:
        if assertion.parts:
            return _combined(assertion, [await self.decided(part) for part in assertion.parts])
        if assertion.kind not in JUDGED:
            return await _decided(assertion, self._answer, self._ground, self._case.settings.timeout_s)
        judge = self._case.judge
        if self._ask is None or judge is None:
            return Found(None, reason=f"{assertion.kind} needs a judge")
        found, said = await judged(assertion, self._answer, self._ask, judge.votes)
        self.replies += said
        return found


async def _decided(assertion: Assertion, answer: Answer, ground: Ground, timeout_s: float) -> Found:
    """`by_rule`, with what may take long beside the other tests, and not for ever."""
    if all(part.kind not in _APART for part in assertion.flat()):
        return by_rule(assertion, answer, ground)
    try:
        async with asyncio.timeout(timeout_s):
            return await apart(lambda: by_rule(assertion, answer, ground), "assertion")
    except TimeoutError:
        return Found(None, assertion.kind, reason=f"took longer than {timeout_s:g} s")


def _combined(assertion: Assertion, found: Sequence[Found]) -> Found:
    """What the findings of a group's parts, or of what is under `not`, come to."""
    if assertion.kind == "negated":
        return _negation(found[0], assertion.parts[0])
    return _group(assertion.kind, found)


def _negation(found: Found, of: Assertion) -> Found:
    """The opposite. What could not be decided stays so."""
    if found.holds is None:
        return found
    return Found(not found.holds, f"not {of.kind}: {found.expected}", found.actual, f"{of.kind} holds")


def _group(kind: str, found: Sequence[Found]) -> Found:
    """Any or all of several findings. One that could not be decided matters where it might decide."""
    wanted = (" or " if kind == "any_of" else " and ").join(each.expected for each in found)
    bad = [each for each in found if each.holds is False]
    unknown = [each for each in found if each.holds is None]
    holds: bool | None
    if kind == "any_of":
        holds = True if any(each.holds for each in found) else None if unknown else False
    else:
        holds = False if bad else None if unknown else True
    why = "; ".join(each.reason for each in (unknown if holds is None else bad))
    return Found(holds, wanted, found[0].actual, why)


def _expected(case: Case) -> Iterator[tuple[Assertion, int]]:
    lines = case.located.lines or (case.located.line,) * len(case.test.expect)
    yield from zip(case.test.expect, lines, strict=True)


def _needs_judge(assertion: Assertion) -> bool:
    return any(part.kind in JUDGED for part in assertion.flat())


def _of_assertion(assertion: Assertion, found: Found, line: int) -> Finding:
    kind = "not" if assertion.kind == "negated" else assertion.kind
    return _finding(kind, found, line, assertion.weight)


def _finding(kind: str, found: Found, line: int, weight: float = 1.0) -> Finding:
    return Finding(kind, found.holds, found.expected, found.actual, found.reason, line, weight)
