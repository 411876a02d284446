"""Checks as pytest items: `pytest --aivax checks/` runs what `aivax check checks/` runs.

pytest loads this module in every project where aivax is installed, so it imports nothing but pytest until it
is asked to collect. All selected cases of a file are run at once, when the first of them is due.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aivax_cli.checks.cases import Case
    from aivax_cli.checks.loading import LoadedChecks
    from aivax_cli.checks.results import CaseResult
    from aivax_cli.gateway.workspace import Workspace


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --aivax and --aivax-mode."""
    group = parser.getgroup("aivax")
    group.addoption("--aivax", action="store_true", help="Collect YAML files of aivax checks.")
    group.addoption(
        "--aivax-mode",
        choices=("live", "record", "replay"),
        help="Where answers come from; in CI, recordings where there are any.",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ChecksFile | None:
    """A YAML file below the paths given, when --aivax is; recordings are no YAML."""
    if not parent.config.getoption("--aivax") or file_path.suffix not in (".yaml", ".yml"):
        return None
    return ChecksFile.from_parent(parent, path=file_path)


class CheckFailed(Exception):
    """A check that did not pass, with its report as text."""


class ChecksFile(pytest.File):
    """A file of checks."""

    loaded: LoadedChecks
    known: dict[str, CaseResult]
    """Results by name, of what has been run."""

    def collect(self) -> Iterator[CheckItem]:
        """An item for each test and cell. A fault in the file is an error of the collection."""
        from aivax_cli.checks.cases import cases
        from aivax_cli.checks.loading import load_checks
        from aivax_cli.core.errors import DefinitionError

        try:
            (self.loaded,) = load_checks((self.path,), start=self.config.rootpath)
        except DefinitionError as error:
            raise self.CollectError(str(error)) from error
        self.known = {}
        for case in cases(self.loaded.definition, self.loaded.tests, self.path):
            yield CheckItem.from_parent(self, name=case.name, case=case)

    def result_of(self, item: CheckItem) -> CaseResult:
        """The item's result. All that this session has selected of the file are run at once, for the first.

        A worker of pytest-xdist is given its share item by item, and runs each by itself.
        """
        if item.name not in self.known:
            alone = "PYTEST_XDIST_WORKER" in os.environ
            every = (other for other in item.session.items if isinstance(other, CheckItem))
            due = [item] if alone else [other for other in every if other.parent is self]
            mode = self.config.getoption("--aivax-mode")
            self.known.update(_run(self.loaded, tuple(each.case for each in due), mode))
        return self.known[item.name]


class CheckItem(pytest.Item):
    """One test in one cell."""

    def __init__(self, *, case: Case, **others: Any) -> None:
        super().__init__(**others)
        self.case = case
        for tag in case.test.tags:
            self.keywords[tag] = True

    def runtest(self) -> None:
        """Fails with the first difference, skips what the file skips."""
        from aivax_cli.checks.results import Status
        from aivax_cli.core.errors import AivaxError

        file = self.parent
        if not isinstance(file, ChecksFile):
            raise TypeError("a check is collected from a file of checks")
        try:
            result = file.result_of(self)
        except AivaxError as error:
            raise CheckFailed(f"error: {error}") from error
        if result.status is Status.SKIP:
            pytest.skip(result.reason)
        if result.status is not Status.PASS:
            raise CheckFailed(f"{result.status}: {result.why}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The report without a traceback: nothing in it would help."""
        if isinstance(excinfo.value, CheckFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The test's place in its file."""
        return self.path, self.case.located.line - 1, self.name


def _run(checks: LoadedChecks, selected: tuple[Case, ...], mode: str | None) -> dict[str, CaseResult]:
    """The results by name. Raises AivaxError for what keeps all of them from being run."""
    import asyncio

    from aivax_cli.checks.cassettes import FOLDER, Cassettes, Mode, default_mode, environment_secrets
    from aivax_cli.checks.loading import FOLDER as CHECKS
    from aivax_cli.checks.running import run_cases
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.wiring.checks import key_variables, open_bench, refuse_unpriced

    workspace: Workspace = find_workspace(checks.file.parent)
    keys = key_variables(workspace, (checks,), selected)
    refuse_unpriced(workspace, (checks,), selected)
    folder = workspace.root / CHECKS / FOLDER
    chosen = Mode(mode) if mode else default_mode(os.environ, folder)
    cassettes = Cassettes(folder, chosen, environment_secrets(os.environ, keys))

    async def run() -> dict[str, CaseResult]:
        async with open_bench(workspace, cassettes) as bench:
            results = await run_cases(selected, bench, lambda _: None)
        return {result.name: result for result in results}

    return asyncio.run(run())
