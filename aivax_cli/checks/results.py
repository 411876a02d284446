"""What a run of checks comes to. Everything frozen; nothing here decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from aivax_cli.core.types import Charge, Conversation, JsonValue, Level, Passage, ToolRun


class Status(StrEnum):
    """How a test ended. An error is neither a pass nor a failure: nothing is known about the answer."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    SKIP = "skip"


class Answer(Struct, frozen=True):
    """What assertions look at: one turn, or a search alone.

    `usd` is None while any part is unpriced. `replayed` says that time and cost are those of a recording.
    """

    question: str
    text: str = ""
    model: str = ""
    finish_reason: str | None = None
    routed: Level | None = None
    search_terms: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    tools: tuple[ToolRun, ...] = ()
    structured: JsonValue = None
    charges: tuple[Charge, ...] = ()
    usd: Decimal | None = Decimal(0)
    tokens_out: int = 0
    latency_ms: float = 0.0
    sent: Conversation = ()
    replayed: bool = False


class Finding(Struct, frozen=True):
    """What one assertion found. `holds` of None: it could not be decided, and `reason` says why.

    `expected` and `actual` are for people, `reason` the first difference in a line. `line` is that of the
    assertion in its file.
    """

    kind: str
    holds: bool | None
    expected: str = ""
    actual: str = ""
    reason: str = ""
    line: int = 0
    weight: float = 1.0


class Sample(Struct, frozen=True):
    """One run of a test."""

    status: Status
    findings: tuple[Finding, ...] = ()
    answer: Answer | None = None
    problem: str = ""
    """Why there is no answer, for an error."""

    @property
    def first(self) -> Finding | None:
        """The first finding that does not hold, or could not be decided."""
        return next((finding for finding in self.findings if not finding.holds), None)


Cell = tuple[tuple[str, str], ...]
"""A combination of the matrix: field and value, in the order of the file; empty without a matrix."""


def cell_label(cell: Cell) -> str:
    """`FullRewrite, top=8`; empty for no matrix."""
    return ", ".join(value if name in ("strategy", "model") else f"{name}={value}" for name, value in cell)


def case_name(test: str, cell: Cell) -> str:
    """`id`, or `id[cell]`."""
    return f"{test}[{cell_label(cell)}]" if cell else test


def case_key(file: Path, name: str) -> str:
    """The name with that of its file: `shop/refund-window`."""
    return f"{file.stem}/{name}"


class CaseResult(Struct, frozen=True):
    """All repeats of a test in one cell."""

    id: str
    cell: Cell
    status: Status
    samples: tuple[Sample, ...]
    needed: int
    """How many samples had to pass."""
    file: Path
    line: int
    tags: tuple[str, ...] = ()
    reason: str = ""
    """Why it was skipped."""

    @property
    def name(self) -> str:
        """`id`, or `id[cell]`."""
        return case_name(self.id, self.cell)

    @property
    def key(self) -> str:
        """The name with that of its file."""
        return case_key(self.file, self.name)

    @property
    def passed(self) -> int:
        return sum(sample.status is Status.PASS for sample in self.samples)

    @property
    def shown(self) -> Sample | None:
        """The sample that explains the status: the first that did not pass, else the first."""
        bad = (sample for sample in self.samples if sample.status is not Status.PASS)
        return next(bad, self.samples[0] if self.samples else None)

    @property
    def why(self) -> str:
        """Why it was skipped, or did not pass, in a line."""
        sample = self.shown
        if sample is None or self.status in (Status.PASS, Status.SKIP):
            return self.reason
        first = sample.first
        said = sample.problem or (f"{first.kind}: {first.reason}" if first else "")
        repeats = f" ({self.passed} of {len(self.samples)} passed, {self.needed} needed)"
        return said + (repeats if len(self.samples) > 1 else "")

    @property
    def usd(self) -> Decimal | None:
        """What it cost; None while a part is unpriced."""
        return sum_usd(sample.answer.usd for sample in self.samples if sample.answer)


def sum_usd(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of amounts, None while one is unpriced."""
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


class Verdict(Struct, frozen=True):
    """Of the whole run: whether its gate holds, and a line for each reason why it does not."""

    passed: bool
    reasons: tuple[str, ...] = ()


class Run(Struct, frozen=True):
    """A run of checks."""

    results: tuple[CaseResult, ...]
    verdict: Verdict
    duration_s: float
    mode: str
    """`live`, `record` or `replay`."""

    def count(self, status: Status) -> int:
        return sum(result.status is status for result in self.results)

    @property
    def usd(self) -> Decimal | None:
        """What the run cost; None while a part is unpriced."""
        return sum_usd(result.usd for result in self.results)


class Change(Struct, frozen=True):
    """What is different from the baseline in one test; `name` is its key."""

    name: str
    kind: str
    detail: str


class Comparison(Struct, frozen=True):
    """A run beside its baseline; tests are named by their keys."""

    new_failures: Sequence[str] = ()
    fixed: Sequence[str] = ()
    changes: Sequence[Change] = ()
    unknown: Sequence[str] = ()
    """Tests that the baseline does not have."""
