"""The run that later ones are compared with: `baseline.json` beside the checks, written only by `--bless`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from msgspec import Struct

from aivax_cli.checks.results import CaseResult, Change, Comparison, Status
from aivax_cli.core.errors import UsageError

FILE = "baseline.json"
_FORMAT = 1
_COST_CHANGE = Decimal("0.1")
"""The share by which a cost must change to be told."""


class Entry(Struct, frozen=True):
    """What the baseline knows of a test: k of n passed, documents by rank, cost, milliseconds."""

    status: Status
    passed: int
    repeats: int
    documents: tuple[str, ...]
    usd: Decimal | None
    latency_ms: float


def read_baseline(file: Path) -> dict[str, Entry] | None:
    """The entries by a test's name, None without a file. Raises UsageError when it is no baseline."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        return {name: _entry(each) for name, each in value["tests"].items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise UsageError(
            f"{file.name} cannot be read as a baseline ({error})", fix="write it anew: aivax check --bless"
        ) from error


def baseline_text(
    results: Sequence[CaseResult], before: Mapping[str, Entry] | None = None, *, whole: bool = False
) -> str:
    """The file's text. What `before` has of tests that were not decided now is kept.

    `whole` says that every test was run: those that are not among the results are forgotten.
    """
    run = {result.key for result in results}
    entries = {key: entry for key, entry in (before or {}).items() if key in run or not whole}
    for result in results:
        if result.status in (Status.PASS, Status.FAIL):
            entries[result.key] = entry_of(result)
    tests = {name: _object(entries[name]) for name in sorted(entries)}
    return json.dumps({"format": _FORMAT, "tests": tests}, indent=1, ensure_ascii=False) + "\n"


def compare(results: Sequence[CaseResult], baseline: Mapping[str, Entry]) -> Comparison:
    """What is different from the baseline. A test that it does not have and that fails is a new failure."""
    known = [result for result in results if result.key in baseline]
    failed_before = {key for key, entry in baseline.items() if entry.status is Status.FAIL}
    failed = [result.key for result in results if result.status is Status.FAIL]
    passed = [result.key for result in results if result.status is Status.PASS]
    return Comparison(
        new_failures=tuple(key for key in failed if key not in failed_before),
        fixed=tuple(key for key in passed if key in failed_before),
        changes=tuple(
            change
            for result in known
            if result.status in (Status.PASS, Status.FAIL)
            for change in _changes(result.key, baseline[result.key], result)
        ),
        unknown=tuple(result.key for result in results if result.key not in baseline),
    )


def entry_of(result: CaseResult) -> Entry:
    """What the baseline keeps of a result; documents of its first sample."""
    answers = [sample.answer for sample in result.samples if sample.answer]
    documents = dict.fromkeys(
        passage.source.document
        for passage in sorted(answers[0].passages if answers else (), key=lambda passage: passage.rank)
    )
    latency_ms = sum(answer.latency_ms for answer in answers) / len(answers) if answers else 0.0
    return Entry(
        result.status, result.passed, len(result.samples), tuple(documents), result.usd, round(latency_ms, 1)
    )


def _changes(name: str, before: Entry, result: CaseResult) -> Iterator[Change]:
    now = entry_of(result)
    for old_rank, document in enumerate(before.documents, start=1):
        rank = now.documents.index(document) + 1 if document in now.documents else None
        if rank is None:
            yield Change(name, "rank", f"{document}: was {old_rank}, is not found")
        elif rank > old_rank:
            yield Change(name, "rank", f"{document}: was {old_rank}, is {rank}")
    if before.usd and now.usd is not None and abs(now.usd - before.usd) > _COST_CHANGE * before.usd:
        share = (now.usd - before.usd) / before.usd
        yield Change(name, "cost", f"{share:+.0%}: was {before.usd} USD, is {now.usd} USD")


def _entry(value: Mapping[str, Any]) -> Entry:
    usd = value["usd"]
    return Entry(
        Status(value["status"]),
        int(value["passed"]),
        int(value["of"]),
        tuple(value["documents"]),
        None if usd is None else Decimal(usd),
        float(value["latency_ms"]),
    )


def _object(entry: Entry) -> dict[str, object]:
    return {
        "status": entry.status.value,
        "passed": entry.passed,
        "of": entry.repeats,
        "documents": list(entry.documents),
        "usd": None if entry.usd is None else str(entry.usd),
        "latency_ms": entry.latency_ms,
    }
