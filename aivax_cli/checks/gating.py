"""Whether a run as a whole passes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from aivax_cli.checks.results import CaseResult, Comparison, Status, Verdict, sum_usd
from aivax_cli.gateway.check_file import Gate


def verdict(
    results: Sequence[CaseResult], gates: Sequence[tuple[Path, Gate]], comparison: Comparison | None = None
) -> Verdict:
    """Every file's tests against its gate. Repeats were counted for each test in each cell already."""
    reasons = [reason for file, gate in gates for reason in _reasons(file, gate, results, comparison)]
    return Verdict(not reasons, tuple(reasons))


def exit_code(results: Sequence[CaseResult], outcome: Verdict) -> int:
    """0 passed; 3 a test or a gate failed; 1 there are only errors."""
    failed = any(result.status is Status.FAIL for result in results)
    errors = any(result.status is Status.ERROR for result in results)
    if errors and not failed:
        return 1
    return 0 if outcome.passed else 3


def _reasons(
    file: Path, gate: Gate, every: Sequence[CaseResult], comparison: Comparison | None
) -> Iterator[str]:
    results = [result for result in every if result.file == file and result.status is not Status.SKIP]
    errors = [result for result in results if result.status is Status.ERROR]
    if errors:
        yield f"{file.name}: {len(errors)} tests could not be decided"
    if gate.max_new_failures is not None and comparison is not None:
        own = {result.key for result in results}
        new = [key for key in comparison.new_failures if key in own]
        if len(new) > gate.max_new_failures:
            yield f"{file.name}: {len(new)} new failures, at most {gate.max_new_failures} allowed"
    else:
        decided = [result for result in results if result.status is not Status.ERROR]
        passed = sum(result.status is Status.PASS for result in decided)
        rate = passed / len(decided) if decided else 1.0
        if rate < gate.pass_rate:
            yield f"{file.name}: {passed} of {len(decided)} tests passed, {gate.pass_rate:.0%} needed"
    spent = sum_usd(result.usd for result in results)
    if gate.run_usd is not None:
        if spent is None:
            yield f"{file.name}: a model has no price, so the run's limit of {gate.run_usd} USD says nothing"
        elif spent > gate.run_usd:
            yield f"{file.name}: the run cost {_money(spent)} USD, at most {gate.run_usd} allowed"


def _money(amount: Decimal) -> str:
    return f"{amount:.6f}".rstrip("0").rstrip(".")
