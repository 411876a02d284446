"""The same tests over several settings: one row for each cell, and which cell to choose. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import comb, sqrt
from statistics import mean, quantiles

from msgspec import Struct

from aivax_cli.checks.cases import Case
from aivax_cli.checks.results import Answer, CaseResult, Cell, Sample, Status, sum_usd
from aivax_cli.checks.retrieval import recall, reciprocal_rank

_Z = 1.96
"""Standard deviations that hold 95 % of a normal distribution."""
SIGNIFICANT = 0.05
"""The probability of a chance difference below which one cell counts as worse than another."""
LEAST_SAMPLES = 6
"""With fewer, even cells that differ in every sample may differ by chance: 2 / 2⁵ is above `SIGNIFICANT`."""


class Row(Struct, frozen=True):
    """What a cell came to. Rates are from 0 to 1; figures that nothing was measured for are None."""

    cell: Cell
    samples: int
    passed: int
    errors: int
    low: float
    high: float
    recall: float | None
    mrr: float | None
    usd_per_test: float | None
    p50_ms: float | None
    p95_ms: float | None

    @property
    def pass_rate(self) -> float:
        return self.passed / self.samples if self.samples else 0.0


def rows(results: Sequence[CaseResult], cases: Sequence[Case]) -> tuple[Row, ...]:
    """A row for each cell, in the order of the cells."""
    wanted = {(case.file, case.test.id): case.test.retrieve for case in cases}
    cells = dict.fromkeys(result.cell for result in results)
    found = []
    for cell in cells:
        some = [result for result in results if result.cell == cell and result.status is not Status.SKIP]
        samples = [sample for result in some for sample in result.samples]
        ranked = [
            (_documents(sample.answer), [*retrieve.must, *retrieve.any])
            for result in some
            for sample in result.samples
            if sample.answer and (retrieve := wanted[result.file, result.id])
            if retrieve.must or retrieve.any
        ]
        found.append(_row(cell, samples, ranked))
    return tuple(found)


def best(results: Sequence[CaseResult], table: Sequence[Row]) -> Row | None:
    """The cheapest cell that is not significantly worse than the one that passes most.

    Cells are compared by McNemar's exact test on the samples that both have. Cells with errors are out of the
    question while there are others; those with an unknown cost come last. None where nothing was decided.
    """
    sound = [row for row in table if row.samples and not row.errors] or [row for row in table if row.samples]
    if not sound:
        return None
    top = max(sound, key=lambda row: row.pass_rate)
    passed = {row.cell: _passed(results, row.cell) for row in sound}
    good = [row for row in sound if not _worse(passed[row.cell], passed[top.cell])]
    return min(good, key=lambda row: (row.usd_per_test is None, row.usd_per_test or 0.0, -row.pass_rate))


def wilson(passed: int, of: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson, 1927)."""
    if not of:
        return 0.0, 1.0
    share = passed / of
    middle = share + _Z * _Z / (2 * of)
    spread = _Z * sqrt(share * (1 - share) / of + _Z * _Z / (4 * of * of))
    scale = 1 + _Z * _Z / of
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided exact probability of such a difference by chance (McNemar, 1947)."""
    total = only_first + only_second
    least = min(only_first, only_second)
    tail = sum(comb(total, k) for k in range(least + 1)) / float(2**total)
    return min(1.0, 2 * tail)


def _row(cell: Cell, samples: Sequence[Sample], ranked: Sequence[tuple[list[str], list[str]]]) -> Row:
    passed = sum(sample.status is Status.PASS for sample in samples)
    errors = sum(sample.status is Status.ERROR for sample in samples)
    decided = len(samples) - errors
    answers = [sample.answer for sample in samples if sample.answer and sample.status is not Status.ERROR]
    spent = sum_usd(answer.usd for answer in answers)
    low, high = wilson(passed, decided)
    times = sorted(answer.latency_ms for answer in answers)
    return Row(
        cell,
        decided,
        passed,
        errors,
        low,
        high,
        mean(recall(right, found) for found, right in ranked) if ranked else None,
        mean(reciprocal_rank(right, found) for found, right in ranked) if ranked else None,
        float(spent) / len(answers) if spent is not None and answers else None,
        _quantile(times, 50),
        _quantile(times, 95),
    )


def _documents(answer: Answer) -> list[str]:
    ranked = sorted(answer.passages, key=lambda passage: passage.rank)
    return list(dict.fromkeys(passage.source.document for passage in ranked))


def _quantile(values: Sequence[float], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]


Outcomes = Mapping[tuple[str, str, int], bool]


def _passed(results: Iterable[CaseResult], cell: Cell) -> Outcomes:
    """Whether each sample passed, by file, test and repeat; samples that are errors are left out."""
    return {
        (str(result.file), result.id, number): sample.status is Status.PASS
        for result in results
        if result.cell == cell
        for number, sample in enumerate(result.samples)
        if sample.status is not Status.ERROR
    }


def _worse(mine: Outcomes, theirs: Outcomes) -> bool:
    common = mine.keys() & theirs.keys()
    lost = sum(theirs[key] and not mine[key] for key in common)
    won = sum(mine[key] and not theirs[key] for key in common)
    return lost > won and mcnemar(lost, won) < SIGNIFICANT
