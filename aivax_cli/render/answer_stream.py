"""The ways an answer's text goes to stdout while it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aivax_cli.render.safe_text import safe_text

if TYPE_CHECKING:
    from aivax_cli.render.screen import Screen


class AnswerStream(Protocol):
    """Shows an answer's text piece by piece."""

    def feed(self, text: str, /) -> float | None:
        """Takes a piece. Returns in how many seconds `refresh` should be called, None for never."""
        ...

    def refresh(self) -> None:
        """Shows what has been held back for the sake of the frame rate."""
        ...

    def hide(self) -> None:
        """Leaves the cursor on an empty line, so that something else can be printed."""
        ...

    def settle(self) -> None:
        """Shows everything so far for good, and leaves the cursor on an empty line; more may follow."""
        ...

    def close(self) -> None:
        """Shows everything that is left and ends the line."""
        ...


class SilentAnswer:
    """Shows nothing: the answer is printed as JSON when it is whole."""

    def feed(self, _text: str, /) -> float | None:
        return None

    def refresh(self) -> None:
        return None

    def hide(self) -> None:
        return None

    def settle(self) -> None:
        return None

    def close(self) -> None:
        return None


class RawAnswer:
    """The text exactly as it comes, for pipes; on a terminal without the characters it would obey."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._safe = screen.out.is_terminal
        self._open_line = False
        self._held = ""

    def feed(self, text: str, /) -> float | None:
        text = self._held + text
        self._held = ""
        if self._safe:
            if text.endswith("\r"):
                # Half of a line end, perhaps; the next piece tells.
                text, self._held = text[:-1], "\r"
            text = safe_text(text)
        if text:
            self._screen.write(text)
            self._open_line = not text.endswith("\n")
        return None

    def refresh(self) -> None:
        return None

    def hide(self) -> None:
        # On a pipe the other things go elsewhere, and the text stays what the model wrote.
        if self._safe:
            self._end_line()

    def settle(self) -> None:
        self.hide()

    def close(self) -> None:
        self._end_line()

    def _end_line(self) -> None:
        if self._open_line:
            self._screen.write("\n")
            self._open_line = False
