"""Ctrl-C while nothing listens for it: no chat ends by it, and the work that begins next hears of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupts:
    """A handler of SIGINT that notes that Ctrl-C was pressed."""

    def __init__(self) -> None:
        self._pressed = False

    def __call__(self, *_: object) -> None:
        self._pressed = True

    def forget(self) -> None:
        """What was pressed until now was meant for something that is over."""
        self._pressed = False

    def take(self) -> bool:
        """Whether Ctrl-C was pressed; it is told once."""
        pressed, self._pressed = self._pressed, False
        return pressed

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Inside the block Ctrl-C is only noted, but for what has a handler of its own."""
        before = signal.signal(signal.SIGINT, self)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
