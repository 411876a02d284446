"""The one line that says what is being waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from aivax_cli.render.safe_text import safe_line
from aivax_cli.render.spoken import language_of

if TYPE_CHECKING:
    from rich.console import Console

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_INTERVAL_S = 0.1
# What is over sooner than this needs no announcement, only flickers.
_PATIENCE_S = 0.15
_SECONDS_FROM_S = 2.0


class Status:
    """A spinner with a label on the current line, erased without a trace by `clear`.

    Where nothing may move it is a line for whatever takes long, and stays. Needs a running event loop once
    `say` is called. Does nothing where the console is no terminal, nor while `held` says that the terminal
    is somebody else's.
    """

    def __init__(
        self, console: Console, held: Callable[[], bool] = lambda: False, *, long_s: float = _SECONDS_FROM_S
    ) -> None:
        self._console = console
        self._words = language_of(console).translate
        self._held = held
        self._live = console.is_terminal
        self._label = ""
        self._since = 0.0
        self._drawn = False
        self._long_s = long_s
        self._work = self._tell if console.is_dumb_terminal else self._animate
        self._task: asyncio.Task[None] | None = None

    def say(self, label: str) -> None:
        """Shows the label from now on."""
        if not self._live:
            return
        self._label = safe_line(self._words(label))
        self._since = time.monotonic()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def clear(self) -> None:
        """Takes the line away."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.hide()

    def hide(self) -> None:
        """Takes the line away until its next step, so that something else can be printed above it."""
        if self._drawn:
            self._drawn = False
            self._write("\r\x1b[K")

    async def _tell(self) -> None:
        """Says what is being waited for once it has taken long."""
        told = ""
        while True:
            await asyncio.sleep(self._long_s)
            if self._label != told and not self._held():
                told = self._label
                self._write(f"{told}\n")

    async def _animate(self) -> None:
        await asyncio.sleep(_PATIENCE_S)
        step = 0
        while True:
            self._draw(_FRAMES[step % len(_FRAMES)])
            step += 1
            await asyncio.sleep(_INTERVAL_S)

    def _draw(self, frame: str) -> None:
        if self._held():
            return
        waited = time.monotonic() - self._since
        seconds = f" {waited:.0f} s" if waited >= _SECONDS_FROM_S else ""
        room = max(1, self._console.width - len(frame) - len(seconds) - 2)
        label = self._label if len(self._label) <= room else self._label[: room - 1] + "…"
        self._write(f"\r\x1b[2m{frame} {label}{seconds}\x1b[22m\x1b[K")
        self._drawn = True

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()
