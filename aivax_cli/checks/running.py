"""Running cases: each one's turn, or its search alone, several at once; then what is asserted of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.checks.asserting import found_by_judge, found_by_rule
from aivax_cli.checks.assertions.base import Ground
from aivax_cli.checks.cases import Case
from aivax_cli.checks.judging import Ask, Reply
from aivax_cli.checks.results import Answer, CaseResult, Finding, Sample, Status, sum_usd
from aivax_cli.core.errors import AivaxError
from aivax_cli.core.events import Event, Finished, TurnResult
from aivax_cli.core.types import Charge, Conversation, Purpose, Retrieval, total_usd


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
        """What the latest turn, or search, cost."""
        ...

    @property
    def problem(self) -> str:
        """Why nothing can be said of the sample although it came to an end; empty when all is well."""
        ...

    @property
    def recorded_ms(self) -> float | None:
        """Milliseconds that it took when it was recorded; None for a live turn."""
        ...


class Bench(Struct, frozen=True):
    """What cases run on.

    `subject` opens a gateway for one sample: the case and the number of the repeat. `judge` asks on behalf of
    such a sample.
    """

    subject: Callable[[Case, int], Subject]
    judge: Callable[[Case, int], Ask]
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
        # A recording is there at once; what takes time then is this machine, and no fault of the answer's.
        async with asyncio.timeout(case.settings.timeout_s if subject.recorded_ms is None else None):
            answer = await _answer(case, subject, bench)
    except TimeoutError:
        problem = f"took longer than {case.settings.timeout_s:g} s"
        return Sample(Status.ERROR, (), _unfinished(case, subject), problem)
    except AivaxError as error:
        return Sample(Status.ERROR, (), _unfinished(case, subject), subject.problem or str(error))
    if subject.problem:
        return Sample(Status.ERROR, (), answer, subject.problem)
    ground = bench.ground(case)
    findings = await found_by_rule(case, answer, ground)
    if _may_pass(case, findings):
        judged, replies = await found_by_judge(case, answer, ground, bench.judge(case, number))
        findings += judged
        answer = _with_cost(answer, replies)
    return Sample(_sample_status(case, findings), tuple(findings), answer)


async def _answer(case: Case, subject: Subject, bench: Bench) -> Answer:
    result: TurnResult | None = None
    began = bench.clock()
    if case.test.only == "retrieve":
        found = await subject.search([case.question])
        return Answer(
            case.question,
            search_terms=(case.question,),
            passages=found.passages,
            charges=subject.charges,
            usd=total_usd(subject.charges),
            latency_ms=(bench.clock() - began) * 1000 + (subject.recorded_ms or 0.0),
            replayed=subject.recorded_ms is not None,
        )
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


def _with_cost(answer: Answer, replies: Sequence[Reply]) -> Answer:
    spent = [answer.usd, *(reply.usd for reply in replies)]
    charges = (*answer.charges, *(charge for reply in replies for charge in reply.charges))
    return replace(answer, usd=sum_usd(spent), charges=charges)


def _sample_status(case: Case, findings: Sequence[Finding]) -> Status:
    """By the search and the limits, which must all hold, and the weighted share of the assertions."""
    if any(finding.holds is None for finding in findings):
        return Status.ERROR
    return Status.PASS if _enough(case, findings, open_weight=0.0) else Status.FAIL


def _may_pass(case: Case, findings: Sequence[Finding]) -> bool:
    """Whether the sample passes if the judge, who has not been asked, approves of everything."""
    decided = sum(finding.weight for finding in findings if "." not in finding.kind)
    if any(finding.holds is None for finding in findings):
        return False
    return _enough(case, findings, open_weight=_weight(case) - decided)


def _enough(case: Case, findings: Sequence[Finding], *, open_weight: float) -> bool:
    """Whether what holds is enough, counting `open_weight` as held."""
    held = sum(finding.weight for finding in findings if "." not in finding.kind and finding.holds)
    total = _weight(case)
    share = (held + open_weight) / total if total else 1.0
    fixed = all(finding.holds for finding in findings if "." in finding.kind)
    return fixed and share >= case.test.threshold - 1e-9


def _weight(case: Case) -> float:
    return sum(assertion.weight for assertion in case.test.expect)
