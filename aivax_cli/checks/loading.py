"""Files of checks → tests with their lines, those of datasets included."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aivax_cli.checks.cases import LocatedTest
from aivax_cli.core.errors import DefinitionError, Fault, UsageError
from aivax_cli.gateway.check_file import CheckFile, CheckTest, Dataset
from aivax_cli.gateway.loading import Reading, read_check_file
from aivax_cli.gateway.yamlfile import display, read_text

FOLDER = "checks"
_LISTS = ("must", "any", "must_not", "tags", "contains", "contains_any", "cites")
_RETRIEVE = ("must", "any", "must_not", "first", "none_above", "k", "recall", "mrr", "ndcg")
_TEST = ("id", "input", "only", "tags", "skip", "repeat", "min_pass")


@dataclass(frozen=True, slots=True)
class LoadedChecks:
    """A sound file of checks with all its tests."""

    file: Path
    shown_as: str
    definition: CheckFile
    tests: tuple[LocatedTest, ...]


def check_files(paths: Sequence[Path], root: Path) -> tuple[Path, ...]:
    """The files of checks below the paths given, by default the workspace's `checks/`.

    Raises UsageError when there are none.
    """
    given = paths or (root / FOLDER,)
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = [each for each in sorted(path.rglob("*")) if each.suffix in (".yaml", ".yml")]
            found += [each for each in inside if not each.name.startswith(".")]
        elif path.exists() or paths:
            found.append(path)
    if not found:
        listed = ", ".join(path.name for path in given)
        raise UsageError(f"no files of checks in {listed}", fix="write checks/NAME.yaml: see docs/checks.md")
    return tuple(dict.fromkeys(found))


def load_checks(files: Sequence[Path], *, start: Path) -> tuple[LoadedChecks, ...]:
    """Reads every file. Raises DefinitionError with all faults of all files."""
    faults: list[Fault] = []
    loaded = []
    for file in files:
        reading = read_check_file(file, start=start)
        if reading.definition is None:
            faults += reading.faults
            continue
        tests = [_located(reading, number) for number in range(len(reading.definition.tests))]
        for number, dataset in enumerate(reading.definition.datasets):
            line = reading.tree.line(("datasets", number, "file")) if reading.tree else 1
            rows, wrong = _rows(reading, dataset, line, start)
            tests += rows
            faults += wrong
        faults += _repeated(reading, tests)
        loaded.append(LoadedChecks(file, reading.shown_as, reading.definition, tuple(tests)))
    if faults:
        raise DefinitionError(faults)
    return tuple(loaded)


def _located(reading: Reading[CheckFile], number: int) -> LocatedTest:
    if reading.definition is None or reading.tree is None:
        raise ValueError("only a sound file has tests")
    test = reading.definition.tests[number]
    here = ("tests", number)
    lines = tuple(reading.tree.line((*here, "expect", place)) for place in range(len(test.expect)))
    return LocatedTest(
        test, reading.tree.line((*here, "id")), lines, reading.tree.key_line((*here, "retrieve"))
    )


def _repeated(reading: Reading[CheckFile], tests: Sequence[LocatedTest]) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for each in tests:
        if each.test.id in seen:
            problem = f"the id '{each.test.id}' is given twice, also in line {seen[each.test.id]}"
            yield Fault(reading.shown_as, each.line, "datasets", problem)
        seen.setdefault(each.test.id, each.line)


def _rows(
    reading: Reading[CheckFile], dataset: Dataset, line: int, start: Path
) -> tuple[list[LocatedTest], list[Fault]]:
    """The tests of a dataset. All of them have the line of its name in the file of checks."""
    file = reading.file.parent / dataset.file
    text, trouble = read_text(file)
    if text is None:
        problem = f"{dataset.file} {trouble.problem}"
        return [], [Fault(reading.shown_as, line, "datasets", problem)]
    tests: list[LocatedTest] = []
    faults: list[Fault] = []
    shown = display(file, start)
    try:
        rows = list(_read_rows(file.suffix.lower(), text))
    except (ValueError, csv.Error) as error:
        return [], [Fault(shown, 1, "", f"cannot be read: {error}")]
    for number, (at, row) in enumerate(rows, start=1):
        row.setdefault("id", f"{file.stem}-{number}")
        try:
            test = CheckTest.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(step) for step in first["loc"])
            faults.append(Fault(shown, at, field, first["msg"]))
            continue
        tests.append(LocatedTest(test, line, (line,) * len(test.expect), line))
    return tests, faults


def _read_rows(suffix: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their lines; raises ValueError for what is no table."""
    if suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text), strict=True)
        for row in reader:
            yield reader.line_num, _of_columns(row)
    elif suffix in (".jsonl", ".ndjson"):
        for at, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield at, _mapping(json.loads(line))
    elif suffix == ".json":
        value = json.loads(text)
        for row in value if isinstance(value, list) else [value]:
            yield 1, _mapping(row)
    else:
        raise ValueError("a dataset is CSV, JSON or JSONL")


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("every row is an object")  # noqa: TRY004 - a fault of the data
    return value


def _of_columns(row: dict[str, str | None]) -> dict[str, Any]:
    """A row of CSV as a test: its own fields, those of `retrieve`, and every other column an assertion."""
    test: dict[str, Any] = {}
    for column, cell in row.items():
        if column is None or cell is None or not cell.strip():
            continue
        value: Any = [part.strip() for part in cell.split(";") if part.strip()] if column in _LISTS else cell
        if column in _TEST:
            test[column] = value
        elif column in _RETRIEVE:
            test.setdefault("retrieve", {})[column] = value
        else:
            test.setdefault("expect", []).append({column: value})
    return test
