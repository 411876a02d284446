"""A file of checks → its cases: every test in every cell of the matrix, selected and put into order. Pure."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aivax_cli.checks.results import Cell, cell_label
from aivax_cli.core.types import Conversation, Message
from aivax_cli.gateway.check_file import CheckFile, CheckTest, Judge, Limits, RunSettings

DEFAULT = "default"
"""The matrix value that leaves a field as the gateway has it."""


@dataclass(frozen=True, slots=True)
class LocatedTest:
    """A test with its place: its own line, and that of each of its assertions."""

    test: CheckTest
    line: int
    lines: tuple[int, ...] = ()
    """Of `expect`, in order."""
    retrieve_line: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """One test in one cell."""

    located: LocatedTest
    cell: Cell
    file: Path
    settings: RunSettings
    limits: Limits
    gateway: str
    judge: Judge | None = None

    @property
    def test(self) -> CheckTest:
        return self.located.test

    @property
    def name(self) -> str:
        """`id`, or `id[cell]`."""
        return f"{self.test.id}[{cell_label(self.cell)}]" if self.cell else self.test.id

    @property
    def repeat(self) -> int:
        return self.test.repeat or self.settings.repeat

    @property
    def needed(self) -> int:
        """How many repeats must pass."""
        asked = self.test.min_pass or (None if self.test.repeat else self.settings.min_pass)
        return min(asked or self.repeat, self.repeat)

    @property
    def conversation(self) -> Conversation:
        if self.test.messages is not None:
            return tuple(Message(message.role, message.content) for message in self.test.messages)
        return (Message("user", self.test.input or ""),)

    @property
    def question(self) -> str:
        return self.conversation[-1].content


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cases are run: all that every part lets through."""

    text: str | None = None
    """A part of the name, upper and lower case alike."""
    tags: tuple[str, ...] = ()
    names: frozenset[str] | None = None
    shard: tuple[int, int] | None = None
    """(i, n): the i-th of n parts, from 1. A case is always in the same part."""

    def takes(self, case: Case) -> bool:
        if self.text is not None and self.text.casefold() not in case.name.casefold():
            return False
        if self.tags and not set(self.tags) & set(case.test.tags):
            return False
        if self.names is not None and case.name not in self.names:
            return False
        return self.shard is None or _part(case.name, self.shard[1]) == self.shard[0]


def cells(matrix: dict[str, list[str | int | float | bool]]) -> tuple[Cell, ...]:
    """Every combination, in the order of the file; one empty cell without a matrix."""
    named = [[(field, _text(value)) for value in values] for field, values in matrix.items()]
    return tuple(itertools.product(*named))


def cases(
    definition: CheckFile, tests: Sequence[LocatedTest], file: Path, selection: Selection | None = None
) -> tuple[Case, ...]:
    """Every selected case of a file."""
    chosen = selection or Selection()
    every = (
        Case(
            test,
            cell,
            file,
            definition.run,
            test.test.limits or definition.limits,
            definition.gateway,
            definition.judge,
        )
        for cell in cells(definition.matrix)
        for test in tests
    )
    return tuple(case for case in every if chosen.takes(case))


def assignments(cell: Cell) -> tuple[str, ...]:
    """The cell as `field=value`, for `overrides.with_settings`."""
    return tuple(f"{field}={value}" for field, value in cell if value != DEFAULT)


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _part(name: str, of: int) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % of + 1
