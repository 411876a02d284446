"""A run as one JSON object."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

from aivax_cli.checks.results import Answer, CaseResult, Comparison, Finding, Run, Sample, Status


def run_object(run: Run, root: Path, comparison: Comparison | None = None) -> dict[str, object]:
    """The run as values that `json` can write. Files are relative to `root`; money is in USD, null where a
    part is unpriced. `baseline` is null where there is none."""
    return {
        "passed": run.verdict.passed,
        "reasons": list(run.verdict.reasons),
        "mode": run.mode,
        "counts": {status.value: run.count(status) for status in Status},
        "usd": _number(run.usd),
        "duration_s": round(run.duration_s, 3),
        "baseline": _comparison(comparison) if comparison else None,
        "tests": [_test(result, root) for result in run.results],
    }


def _comparison(comparison: Comparison) -> dict[str, object]:
    return {
        "new_failures": list(comparison.new_failures),
        "fixed": list(comparison.fixed),
        "unknown": list(comparison.unknown),
        "changes": [
            {"test": each.name, "kind": each.kind, "detail": each.detail} for each in comparison.changes
        ],
    }


def _test(result: CaseResult, root: Path) -> dict[str, object]:
    return {
        "id": result.id,
        "name": result.name,
        "cell": dict(result.cell),
        "status": result.status.value,
        "passed": result.passed,
        "repeats": len(result.samples),
        "needed": result.needed,
        "file": Path(os.path.relpath(result.file, root)).as_posix(),
        "line": result.line,
        "tags": list(result.tags),
        "reason": result.reason,
        "usd": _number(result.usd),
        "samples": [_sample(sample) for sample in result.samples],
    }


def _sample(sample: Sample) -> dict[str, object]:
    return {
        "status": sample.status.value,
        "problem": sample.problem,
        "findings": [_finding(finding) for finding in sample.findings],
        "answer": _answer(sample.answer) if sample.answer else None,
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "holds": finding.holds,
        "expected": finding.expected,
        "actual": finding.actual,
        "reason": "" if finding.holds else finding.reason,
        "line": finding.line,
    }


def _answer(answer: Answer) -> dict[str, object]:
    return {
        "question": answer.question,
        "text": answer.text,
        "model": answer.model,
        "routed": answer.routed,
        "search_terms": list(answer.search_terms),
        "passages": [
            {"rank": p.rank, "source": p.source.place, "score": round(p.score, 4)} for p in answer.passages
        ],
        "tools": [run.call.name for run in answer.tools],
        "usd": _number(answer.usd),
        "latency_ms": round(answer.latency_ms, 1),
        "tokens_out": answer.tokens_out,
        "replayed": answer.replayed,
    }


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
