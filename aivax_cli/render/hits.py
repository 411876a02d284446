"""Search results for a person: score, place and heading of each hit, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.render.closing import source_link
from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from aivax_cli.core.types import Passage
    from aivax_cli.render.screen import Screen

_EXCERPT_CHARACTERS = 240
_INDENT = " " * 6


def print_hits(
    screen: Screen, hits: Sequence[Passage], *, root: Path | None = None, full: bool = False
) -> None:
    """The hits one below the other, best first; `full` shows whole passages, else their beginning.

    Places link to the file when it exists, below `root` or absolute.
    """
    from rich.text import Text

    for hit in hits:
        place = (safe_line(hit.source.place), f"cyan {source_link(hit, root)}".strip())
        heading = (safe_line(hit.source.heading), "dim")
        screen.show(Text.assemble((f"{hit.score:.2f}", "bold"), "  ", place, "  ", heading))
        for line in Text(_body(hit.text, full=full)).wrap(screen.out, screen.out.width - len(_INDENT)):
            line.rstrip()
            screen.show(Text(_INDENT) + line)
        screen.show("")


def _body(text: str, *, full: bool) -> str:
    if full:
        return "\n".join(safe_line(line) for line in text.splitlines())
    # The headings that a chunk begins with are shown above it already.
    said = [row for row in text.splitlines() if not row.startswith("#")] or text.splitlines()
    line = safe_line(" ".join(" ".join(said).split()))
    return line if len(line) <= _EXCERPT_CHARACTERS else line[: _EXCERPT_CHARACTERS - 1].rstrip() + "…"
