"""Text into the clipboard of whoever sits at the terminal, also through ssh."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.render.screen import Screen

MOST_BYTES: Final = 74_994
"""What becomes 100,000 bytes of sequence, the most that many terminals take: xterm's `OSC 52`."""


def copied(screen: Screen, text: str, what: str, environ: Mapping[str, str]) -> None:
    """Asks the terminal to take the text into its clipboard, and says so; `what` names it.

    Terminals do not answer whether they did. Raises UsageError where there is no terminal, or too much text.
    """
    if not screen.interactive:
        raise UsageError(
            "there is no terminal that has a clipboard", fix="/save writes the conversation to a file"
        )
    length = len(text.encode("utf-8", "replace"))
    if length > MOST_BYTES:
        raise UsageError(
            f"{what} is {length:,} bytes long; terminals take {MOST_BYTES:,} into the clipboard",
            fix="/copy N takes one code block, /save all to a file",
        )
    screen.write(clipboard_sequence(text, environ))
    characters = f"{len(text):,} character{'' if len(text) == 1 else 's'}"
    allowed = ", if tmux has `set-clipboard on`" if environ.get("TMUX") else ""
    screen.note(f"copied {what}: {characters}{allowed}")


def clipboard_sequence(text: str, environ: Mapping[str, str]) -> str:
    """The control sequence OSC 52 with the text in base64.

    tmux takes it for its own clipboard, or hands it on when it stands in a pass-through sequence: which of
    the two depends on its settings, so it gets both.
    """
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    sequence = f"\x1b]52;c;{encoded}\x07"
    if environ.get("TMUX"):
        passed = sequence.replace("\x1b", "\x1b\x1b")
        return f"{sequence}\x1bPtmux;{passed}\x1b\\"
    return sequence
