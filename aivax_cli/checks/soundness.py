"""What no single field of a file of checks tells: a judge that is not named, a file that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aivax_cli.checks.assertions import JUDGED
from aivax_cli.checks.assertions.base import Ground
from aivax_cli.checks.cases import LocatedTest
from aivax_cli.checks.loading import LoadedChecks
from aivax_cli.core.errors import Fault
from aivax_cli.gateway.check_assertion import Assertion


def faults(checks: LoadedChecks, root: Path) -> Iterator[Fault]:
    """Every such fault of a file, at the line of its assertion. Nothing is called to find them."""
    ground = Ground((checks.file.parent, root))
    for located in checks.tests:
        test = located.test
        repeat = checks.definition.run.repeat
        if test.repeat is None and (test.min_pass or 1) > repeat:
            problem = f"'{test.id}' must pass {test.min_pass} times, and is run {repeat}; write repeat, too"
            yield Fault(checks.shown_as, located.line, "min_pass", problem)
        for part, line in _parts(located):
            problem = _problem(part, checks, ground)
            if problem:
                yield Fault(checks.shown_as, line, part.kind, problem)


def _parts(located: LocatedTest) -> Iterator[tuple[Assertion, int]]:
    for place, assertion in enumerate(located.test.expect):
        line = located.lines[place] if located.lines else located.line
        for part in assertion.flat():
            yield part, line


def _problem(part: Assertion, checks: LoadedChecks, ground: Ground) -> str:
    if part.kind in JUDGED and checks.definition.judge is None:
        return "needs a judge; name one above the tests: judge: {gateway: NAME}"
    named = part.json_schema if isinstance(part.json_schema, str) else None
    if part.python is not None:
        named = part.python.rpartition(":")[0]
    if named is not None and ground.find(named) is None:
        return f"no such file: {named}"
    return ""
