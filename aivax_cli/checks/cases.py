"""A file of checks → its cases: every test in every cell of the matrix, selected and put into order. Pure."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from aivax_cli.checks.results import Cell, case_key, case_name
from aivax_cli.core.types import Conversation, Message
from aivax_cli.gateway.check_file import CheckFile, CheckTest, Judge, Limits, RunSettings

DEFAULT = "default"
"""The matrix value that leaves a field as the gateway has it."""


class LocatedTest(Struct, frozen=True):
    """A test with its place: its own line, and that of each of its assertions."""

    test: CheckTest
    line: int
    lines: tuple[int, ...] = ()
    """Of `expect`, in order."""
    retrieve_line: int = 0


class Case(Struct, frozen=True):
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
        return case_name(self.test.id, self.cell)

    @property
    def key(self) -> str:
        """The name with that of its file: ids are a file's own."""
        return case_key(self.file, self.name)

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


class Selection(Struct, frozen=True):
    """Which cases are run: all that every part lets through."""

    text: str | None = None
    """A part of the name, upper and lower case alike."""
    tags: tuple[str, ...] = ()
    names: frozenset[str] | None = None
    """Keys of cases."""
    shard: tuple[int, int] | None = None
    """(i, n): the i-th of n parts of equal size, from 1, of what every other part lets through."""

    @property
    def everything(self) -> bool:
        return self == Selection()

    def of(self, every: Sequence[Case]) -> tuple[Case, ...]:
        """The cases that are run, in their order."""
        taken = [case for case in every if self._takes(case)]
        if self.shard is None:
            return tuple(taken)
        part, of = self.shard
        # By hash, so that neighbours, which are often alike, are spread over the parts.
        ranked = sorted(range(len(taken)), key=lambda place: _hash(taken[place].key))
        return tuple(taken[place] for place in sorted(ranked[part - 1 :: of]))

    def _takes(self, case: Case) -> bool:
        if self.text is not None and self.text.casefold() not in case.name.casefold():
            return False
        if self.tags and not set(self.tags) & set(case.test.tags):
            return False
        return self.names is None or case.key in self.names


def cells(matrix: dict[str, list[str | int | float | bool]]) -> tuple[Cell, ...]:
    """Every combination, in the order of the file; one empty cell without a matrix."""
    named = [[(field, _text(value)) for value in values] for field, values in matrix.items()]
    return tuple(itertools.product(*named))


def cases(definition: CheckFile, tests: Sequence[LocatedTest], file: Path) -> tuple[Case, ...]:
    """Every case of a file."""
    return tuple(
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


def assignments(cell: Cell) -> tuple[str, ...]:
    """The cell as `field=value`, for `overrides.with_settings`."""
    return tuple(f"{field}={value}" for field, value in cell if value != DEFAULT)


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
