"""Files of checks → tests with their lines, those of datasets included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from pydantic import ValidationError

from aivax_cli.checks.cases import LocatedTest
from aivax_cli.checks.tables import read_table
from aivax_cli.core.errors import DefinitionError, Fault, UsageError
from aivax_cli.gateway.check_file import CheckFile, CheckTest, Dataset
from aivax_cli.gateway.loading import Reading, read_check_file
from aivax_cli.gateway.yamlfile import display

FOLDER = "checks"
_MOST_FAULTS = 20
"""Of a dataset, whose rows are often all wrong in the same way."""


class LoadedChecks(Struct, frozen=True):
    """A sound file of checks with all its tests."""

    file: Path
    shown_as: str
    definition: CheckFile
    tests: tuple[LocatedTest, ...]
    lines: Mapping[str, int] = field(default_factory=dict)
    """Of its top-level fields."""


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
        tree = reading.tree
        lines = {name: tree.key_line((name,)) for name in CheckFile.model_fields} if tree else {}
        loaded.append(LoadedChecks(file, reading.shown_as, reading.definition, tuple(tests), lines))
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
    try:
        rows = read_table(file)
    except FileNotFoundError:
        return [], [Fault(reading.shown_as, line, "datasets", f"no such file: {dataset.file}")]
    except (OSError, ValueError) as error:
        return [], [Fault(display(file, start), 1, "", f"cannot be read: {error}")]
    tests: list[LocatedTest] = []
    faults: list[Fault] = []
    for number, (at, row) in enumerate(rows, start=1):
        try:
            test = CheckTest.model_validate({"id": f"{file.stem}-{number}", **row})
        except ValidationError as error:
            faults.append(_row_fault(error, display(file, start), at))
            if len(faults) == _MOST_FAULTS:
                faults.append(Fault(display(file, start), at, "", "there may be more"))
                break
        else:
            tests.append(LocatedTest(test, line, (line,) * len(test.expect), line))
    return tests, faults


def _row_fault(error: ValidationError, shown: str, at: int) -> Fault:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(step) for step in first["loc"] if not isinstance(step, int))
    unknown = first["type"] == "extra_forbidden"
    return Fault(shown, at, field, "is no field of a test and no assertion" if unknown else first["msg"])
