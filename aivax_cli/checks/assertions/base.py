"""What every assertion is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from aivax_cli.checks.results import Answer
from aivax_cli.gateway.check_assertion import Assertion

LONGEST_SHOWN = 200


class Found(Struct, frozen=True):
    """Whether a rule holds, and what was expected and found, for people.

    `holds` of None: it cannot be decided, and `reason` says why.
    """

    holds: bool | None
    expected: str = ""
    actual: str = ""
    reason: str = ""


class Ground(Struct, frozen=True):
    """What a rule may need besides the answer."""

    folders: tuple[Path, ...]
    """Where files that an assertion names are looked for: beside the file of checks, then the workspace."""
    similarity: Callable[[str, str], float] | None = None
    """The calibrated similarity of two texts, 0 to 1."""

    def find(self, name: str) -> Path | None:
        """The file of that name, None when there is none."""
        return next((folder / name for folder in self.folders if (folder / name).is_file()), None)


Rule = Callable[[Assertion, Answer], Found]
GroundedRule = Callable[[Assertion, Answer, Ground], Found]


def excerpt(text: str) -> str:
    """A text on one line, not longer than a line may be."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + "…"
