"""Search results for a person: score, place and heading of each hit, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.render.closing import source_link
from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from rich.console import Group

    from aivax_cli.core.types import Passage

_EXCERPT_CHARACTERS = 240


def hits_view(hits: Sequence[Passage], *, root: Path | None = None, full: bool = False) -> Group:
    """The hits one below the other, best first; `full` shows whole passages, else their beginning.

    Places link to the file when it exists, below `root` or absolute.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    rows: list[Text | Padding] = []
    for hit in hits:
        head = Text.assemble(
            (f"{hit.score:.2f}", "bold"),
            "  ",
            (safe_line(hit.source.place), f"cyan {source_link(hit, root)}".strip()),
            "  ",
            (safe_line(hit.source.heading), "dim"),
        )
        rows += [head, Padding(Text(_body(hit.text, full=full)), (0, 0, 1, 6))]
    return Group(*rows)


def _body(text: str, *, full: bool) -> str:
    if full:
        return "\n".join(safe_line(line) for line in text.splitlines())
    line = safe_line(" ".join(text.split()))
    return line if len(line) <= _EXCERPT_CHARACTERS else line[: _EXCERPT_CHARACTERS - 1].rstrip() + "…"
