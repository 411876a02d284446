"""Where output goes: the answer and the data to stdout, everything for a person beside it.

The one object that knows about terminals, colour, `--quiet` and `--json`. Commands get it; nothing
below `render` prints.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from msgspec.structs import replace

from aivax_cli.messages.language import ENGLISH, Language
from aivax_cli.render.appearance import Appearance
from aivax_cli.render.safe_text import safe_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from aivax_cli.core.errors import AivaxError, Fault

_PIPE_COLUMNS = 500
"""Width of what is no terminal: nothing is folded or cut there, so that `grep` finds it."""


def _plain(value: object) -> object:
    """JSON's form of the values that `json` does not know: Decimals as numbers, paths as text."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


class Screen:
    """stdout and stderr with their rules.

    `out` carries the answer or the data and nothing else. `aside` is for people: progress, tables of
    cost, notes. It is stdout when that is a terminal, else stderr. Warnings and errors always go to stderr.
    """

    def __init__(
        self,
        *,
        json_output: bool = False,
        quiet: bool = False,
        no_color: bool = False,
        debug: bool = False,
        plain: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        language: Language = ENGLISH,
    ) -> None:
        look = Appearance.of(os.environ, plain=plain, no_color=no_color)
        self.language = language
        self.palette = look.palette
        """What stands for the terminal's own colours, by their names; empty where they are meant."""
        self.plain = look.plain
        """Whether everything is lines of text: nothing moves, nothing is drawn."""
        self.json_output = json_output
        self.quiet = quiet
        self.debug = debug
        self._make_way: Callable[[], None] = _nothing
        self.held = False
        """Whether the terminal waits for a person's answer: nothing may be painted on it."""

        self._look = look
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        if look.problem:
            self.warn(look.problem)

    @cached_property
    def out(self) -> Console:
        """stdout. It takes 20 ms to load what it is made of, so it is there once somebody asks for it."""
        return _console(self._stdout, self._look, self.language)

    @cached_property
    def err(self) -> Console:
        """stderr, likewise."""
        return _console(self._stderr, self._look, self.language)

    @contextmanager
    def making_way(self, make_way: Callable[[], None]) -> Iterator[None]:
        """Inside the block `make_way` is called before anything is printed beside the answer.

        Whoever repaints a part of the screen gives it free, so that a line does not end up inside it.
        """
        before, self._make_way = self._make_way, make_way
        try:
            yield
        finally:
            self._make_way = before

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Inside the block the terminal belongs to a question: whoever repaints a part of it waits."""
        self._make_way()
        self.held = True
        try:
            yield
        finally:
            self.held = False

    @property
    def interactive(self) -> bool:
        """Whether a person reads stdout as it comes."""
        return self._stdout.isatty() and not self.json_output

    @property
    def watched(self) -> bool:
        """Whether a person sees what is put aside."""
        return self.interactive or self._stderr.isatty()

    @property
    def aside(self) -> Console:
        """Where things for a person go."""
        return self.out if self.interactive else self.err

    def words(self, text: str) -> str:
        """A text of ours in the reader's language."""
        return self.language.translate(text)

    def data(self, value: Mapping[str, object] | Sequence[object]) -> None:
        """One JSON value on stdout: indented for a terminal, one line for a pipe.

        Nothing of it is lost, whatever characters stdout can have.
        """
        indent = 2 if self._stdout.isatty() else None
        narrow = not (getattr(self._stdout, "encoding", None) or "utf-8").lower().startswith("utf")
        self.write(json.dumps(value, ensure_ascii=narrow, indent=indent, default=_plain) + "\n")

    def write(self, text: str) -> None:
        """Text on stdout exactly as it is, at once."""
        self._stdout.write(text)
        self._stdout.flush()

    def show(self, renderable: RenderableType) -> None:
        """A table or text that is the command's data, on stdout. A pipe gets it unfolded."""
        self.out.print(renderable)

    def line(self, text: str, style: str = "") -> None:
        """A line of text, no markup, that is the command's data, on stdout. A pipe gets it as it is."""
        if self._stdout.isatty() or self._look.colour:
            from rich.text import Text

            self.show(Text(text, style))
        else:
            self.write(text + "\n")

    def tell(self, renderable: RenderableType) -> None:
        """Something for a person beside the data; silent with --quiet."""
        if not self.quiet:
            self._make_way()
            self.aside.print(renderable)

    def note(self, message: str) -> None:
        """A dim line for a person; silent with --quiet. The message is text, not markup."""
        if not self.quiet:
            self._make_way()
            self.aside.print(safe_text(self.words(message)), style="dim", markup=False)

    def trace(self, text: str) -> None:
        """Lines for --debug on stderr, as they are. The text is text, not markup."""
        self._make_way()
        self.err.print(text, style="dim", markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """A warning line on stderr. The message is text, not markup."""
        self._make_way()
        label = self.words("warning")
        self.err.print(f"[yellow]{label}:[/] {_escape(safe_text(self.words(message)))}", soft_wrap=True)

    def error(self, error: AivaxError) -> None:
        """An error as its one line (several for several faults), on stderr."""
        self._make_way()
        label = self.words("error")
        for line in self._lines(error):
            self.err.print(f"[red]{label}:[/] {_escape(safe_text(line))}", soft_wrap=True)

    def fault(self, fault: Fault) -> str:
        """A fault of a definition as its line."""
        return str(replace(fault, problem=self.words(fault.problem)))

    def _lines(self, error: AivaxError) -> list[str]:
        if self.language.is_english:
            return str(error).splitlines()
        if faults := getattr(error, "faults", ()):
            return [self.fault(fault) for fault in faults]
        return "; ".join(map(self.words, filter(None, (error.message, error.fix)))).splitlines()


def _console(file: TextIO, look: Appearance, language: Language) -> Console:
    from rich.console import Console
    from rich.theme import Theme

    kind: Any = Console
    if not language.is_english:
        from aivax_cli.render.spoken import SpokenConsole

        kind = SpokenConsole
    if look.plain:
        from aivax_cli.render.plain_console import plain_console

        kind = plain_console(kind)
    made: Callable[..., Console] = kind if language.is_english else partial(kind, language)
    terminal = file.isatty()
    # Who asks for colour in a file gets it. Rich would take the file for a terminal, and move its cursor.
    forced = look.colour is True and not terminal and not look.plain
    console = made(
        file=file,
        highlight=False,
        no_color=True if look.colour is False else None,
        force_terminal=terminal,
        color_system="256" if forced else "auto",
        theme=Theme(_styles(look.palette)) if look.palette else None,
    )
    if not terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_COLUMNS
    return console


def _styles(palette: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{weight}{name}": f"{weight}{colour}" for name, colour in palette.items() for weight in ("", "bold ")
    }


def _nothing() -> None:
    return None


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
