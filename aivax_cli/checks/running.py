"""Running cases: each one's turn, or its search alone, several at once; then what is asserted of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from aivax_cli.checks import retrieval
from aivax_cli.checks.assertions import GROUNDED_RULES, JUDGED, RULES
from aivax_cli.checks.assertions.base import Found, Ground
from aivax_cli.checks.cases import Case
from aivax_cli.checks.judging import Ask, Reply, judged
from aivax_cli.checks.python_rule import own_rule
from aivax_cli.checks.results import Answer, CaseResult, Finding, Sample, Status, sum_usd
from aivax_cli.core.errors import AivaxError
from aivax_cli.core.events import Event, Finished, TurnResult
from aivax_cli.core.types import Charge, Conversation, Purpose, Retrieval, total_usd
from aivax_cli.gateway.check_file import Assertion


class Subject(Protocol):
    """The gateway under test, with the settings of one cell."""

    def turn(self, conversation: Conversation) -> AsyncGenerator[Event, None]:
        """The events of a turn."""
        ...

    async def search(self, terms: Sequence[str]) -> Retrieval:
        """What its collections hold on these terms."""
        ...

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What the latest turn cost."""
        ...

    @property
    def problem(self) -> str:
        """Why nothing can be said of the sample although it came to an end; empty when all is well."""
        ...

    @property
    def recorded_ms(self) -> float | None:
        """Milliseconds that it took when it was recorded; None for a live turn."""
        ...


@dataclass(frozen=True, slots=True)
class Bench:
    """What cases run on.

    `subject` opens a gateway for one sample: the case and the number of the repeat. `judge` asks on behalf of
    such a sample.
    """

    subject: Callable[[Case, int], Subject]
    judge: Callable[[Case, int], Ask] | None
    ground: Callable[[Case], Ground]
    clock: Callable[[], float] = time.perf_counter


Progress = Callable[[CaseResult], None]


async def run_cases(cases: Sequence[Case], bench: Bench, on_result: Progress) -> tuple[CaseResult, ...]:
    """Every case's result, in the order of the cases; `on_result` hears of each as it is there."""
    if not cases:
        return ()
    room = asyncio.Semaphore(max(case.settings.concurrency for case in cases))

    async def one(case: Case) -> CaseResult:
        result = await _result(case, bench, room)
        on_result(result)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(case)) for case in cases]
    return tuple(task.result() for task in tasks)


async def _result(case: Case, bench: Bench, room: asyncio.Semaphore) -> CaseResult:
    line = case.located.line
    if case.test.skip is not None:
        reason = case.test.skip
        return CaseResult(
            case.test.id, case.cell, Status.SKIP, (), 0, case.file, line, tuple(case.test.tags), reason
        )

    async def sample(number: int) -> Sample:
        async with room:
            return await _sample(case, number, bench)

    samples = await asyncio.gather(*(sample(number) for number in range(case.repeat)))
    return CaseResult(
        case.test.id,
        case.cell,
        status_of(samples, case.needed),
        tuple(samples),
        case.needed,
        case.file,
        line,
        tuple(case.test.tags),
    )


def status_of(samples: Sequence[Sample], needed: int) -> Status:
    """A test passes when enough of its samples do. It is an error when errors alone keep it from passing."""
    passed = sum(sample.status is Status.PASS for sample in samples)
    errors = sum(sample.status is Status.ERROR for sample in samples)
    if passed >= needed:
        return Status.PASS
    return Status.ERROR if passed + errors >= needed else Status.FAIL


async def _sample(case: Case, number: int, bench: Bench) -> Sample:
    try:
        subject = bench.subject(case, number)
    except AivaxError as error:
        return Sample(Status.ERROR, problem=str(error))
    try:
        async with asyncio.timeout(case.settings.timeout_s):
            answer = await _answer(case, subject, bench)
    except TimeoutError:
        problem = f"took longer than {case.settings.timeout_s:g} s"
        return Sample(Status.ERROR, (), _unfinished(case, subject), problem)
    except AivaxError as error:
        return Sample(Status.ERROR, (), _unfinished(case, subject), subject.problem or str(error))
    if subject.problem:
        return Sample(Status.ERROR, (), answer, subject.problem)
    findings = list(_by_rule(case, answer, bench))
    pending = [(assertion, line) for assertion, line in _expected(case) if _needs_judge(assertion)]
    if pending and all(finding.holds for finding in findings):
        replies: list[Reply] = []
        for assertion, line in pending:
            found = await _by_judge(case, assertion, answer, bench, number, replies)
            findings.append(_finding(assertion, found, line))
        answer = _with_cost(answer, replies)
    return Sample(_sample_status(case, findings), tuple(findings), answer)


async def _answer(case: Case, subject: Subject, bench: Bench) -> Answer:
    if case.test.only == "retrieve":
        found = await subject.search([case.question])
        return Answer(case.question, search_terms=(case.question,), passages=found.passages)
    result: TurnResult | None = None
    began = bench.clock()
    async with aclosing(subject.turn(case.conversation)) as events:
        async for event in events:
            if isinstance(event, Finished):
                result = event.result
    if result is None or result.incomplete:
        raise AivaxError(
            f"the answer is incomplete: {result.incomplete if result else 'the turn did not end'}"
        )
    took_ms = (bench.clock() - began) * 1000 if subject.recorded_ms is None else subject.recorded_ms
    return answer_of(case.question, result, took_ms, replayed=subject.recorded_ms is not None)


def answer_of(question: str, result: TurnResult, latency_ms: float, *, replayed: bool) -> Answer:
    """A turn as assertions see it."""
    written = {f"{Purpose.ANSWER}.out", f"{Purpose.STRUCTURED}.out"}
    return Answer(
        question=question,
        text=result.text,
        model=result.model,
        finish_reason=result.finish_reason,
        routed=result.routed,
        search_terms=result.search_terms,
        passages=result.passages,
        tools=result.tools,
        structured=result.structured,
        charges=result.charges,
        usd=total_usd(result.charges),
        tokens_out=sum(charge.quantity for charge in result.charges if charge.sku in written),
        latency_ms=latency_ms,
        sent=result.sent,
        replayed=replayed,
    )


def _unfinished(case: Case, subject: Subject) -> Answer:
    """What is known of a turn that came to nothing: what it cost."""
    return Answer(case.question, charges=subject.charges, usd=total_usd(subject.charges))


def _expected(case: Case) -> Iterator[tuple[Assertion, int]]:
    lines = case.located.lines or (case.located.line,) * len(case.test.expect)
    yield from zip(case.test.expect, lines, strict=True)


def _by_rule(case: Case, answer: Answer, bench: Bench) -> Iterator[Finding]:
    """Everything that needs no judge: the search, the assertions, the limits."""
    if case.test.retrieve is not None:
        line = case.located.retrieve_line or case.located.line
        for name, found in retrieval.findings(case.test.retrieve, answer.passages):
            yield Finding(f"retrieve.{name}", found.holds, found.expected, found.actual, found.reason, line)
    ground = bench.ground(case)
    for assertion, line in _expected(case):
        if not _needs_judge(assertion):
            yield _finding(assertion, by_rule(assertion, answer, ground), line)
    if case.test.only is None:
        for name, limit in case.limits.model_dump(exclude_none=True).items():
            found = by_rule(Assertion.model_validate({name: limit}), answer, ground)
            yield Finding(
                f"limits.{name}", found.holds, found.expected, found.actual, found.reason, case.located.line
            )


def by_rule(assertion: Assertion, answer: Answer, ground: Ground) -> Found:
    """What a rule finds, also in groups of rules and under `not`."""
    kind = assertion.kind
    if kind in RULES:
        return RULES[kind](assertion, answer)
    if kind in GROUNDED_RULES:
        return GROUNDED_RULES[kind](assertion, answer, ground)
    if kind == "python":
        return own_rule(assertion.python or "", answer, ground)
    if kind == "negated" and assertion.negated is not None:
        return negation(by_rule(assertion.negated, answer, ground), assertion.negated)
    if kind in ("any_of", "all_of"):
        return group(kind, [by_rule(each, answer, ground) for each in _members(assertion)])
    return Found(None, reason="needs a judge")


def negation(found: Found, of: Assertion) -> Found:
    """The opposite. What could not be decided stays so."""
    if found.holds is None:
        return found
    return Found(not found.holds, f"not {of.kind}: {found.expected}", found.actual, f"{of.kind} holds")


def group(kind: str, found: Sequence[Found]) -> Found:
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


def _members(assertion: Assertion) -> Sequence[Assertion]:
    return assertion.any_of or assertion.all_of or ()


def _needs_judge(assertion: Assertion) -> bool:
    inside = [*_members(assertion), *([assertion.negated] if assertion.negated else [])]
    return assertion.kind in JUDGED or any(_needs_judge(each) for each in inside)


async def _by_judge(
    case: Case, assertion: Assertion, answer: Answer, bench: Bench, number: int, replies: list[Reply]
) -> Found:
    """The same as `by_rule` for what holds a judged part somewhere; `replies` gets what the judge said."""
    if assertion.kind == "negated" and assertion.negated is not None:
        inner = await _by_judge(case, assertion.negated, answer, bench, number, replies)
        return negation(inner, assertion.negated)
    if assertion.kind in ("any_of", "all_of"):
        parts = [await _by_judge(case, each, answer, bench, number, replies) for each in _members(assertion)]
        return group(assertion.kind, parts)
    if assertion.kind not in JUDGED:
        return by_rule(assertion, answer, bench.ground(case))
    if bench.judge is None or case.judge is None:
        return Found(None, reason=f"{assertion.kind} needs a judge; name one: judge: {{gateway: NAME}}")
    found, said = await judged(assertion, answer, bench.judge(case, number), case.judge.votes)
    replies += said
    return found


def _with_cost(answer: Answer, replies: Sequence[Reply]) -> Answer:
    spent = [answer.usd, *(reply.usd for reply in replies)]
    charges = (*answer.charges, *(charge for reply in replies for charge in reply.charges))
    return replace(answer, usd=sum_usd(spent), charges=charges)


def _finding(assertion: Assertion, found: Found, line: int) -> Finding:
    kind = "not" if assertion.kind == "negated" else assertion.kind
    return Finding(kind, found.holds, found.expected, found.actual, found.reason, line, assertion.weight)


def _sample_status(case: Case, findings: Sequence[Finding]) -> Status:
    """By the search and the limits, which must all hold, and the weighted share of the assertions."""
    if any(finding.holds is None for finding in findings):
        return Status.ERROR
    fixed = [finding for finding in findings if "." in finding.kind]
    weighed = [finding for finding in findings if "." not in finding.kind]
    total = sum(finding.weight for finding in weighed)
    held = sum(finding.weight for finding in weighed if finding.holds)
    enough = not total or held / total >= case.test.threshold - 1e-9
    return Status.PASS if enough and all(finding.holds for finding in fixed) else Status.FAIL
