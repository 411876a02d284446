"""The question whether a tool may run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from rich.text import Text

_LONGEST = 4000
"""Characters shown of the arguments. What is longer says so: nobody approves what they did not see."""


def approval_question(tool: str, origin: str, arguments: str, words: Callable[[str], str] = str) -> Text:
    """The question, made safe for a terminal: a model chose its words. `words` gives ours in the reader's
    language."""
    from rich.text import Text

    line = safe_line(arguments)
    unseen = len(line) - _LONGEST
    more = words(f"({unseen:,} more characters not shown)")
    shown = line if unseen <= 0 else f"{line[:_LONGEST]}… {more}"
    return Text.assemble(
        (words("run") + " ", ""),
        (safe_line(tool), "bold"),
        (f"  {safe_line(origin)}\n", "dim"),
        f"  {shown}\n",
        (words("[y]es  [n]o  [a]lways in this session ›") + " ", "cyan"),
    )
