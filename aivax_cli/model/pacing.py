"""How often a stream is read whose pieces come one upon the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BEAT_S = 1 / 30
"""How long a piece of a quick stream waits at most: less than one picture of a film."""
QUICK_S = 1 / 60
"""Pieces that come closer together than this are read by the beat."""
_BEGINNING = 2
"""Pieces that are read as they come: the first words are waited for."""


class Beat:
    """Does what it is told all at once, `BEAT_S` seconds after the first of it was told at most.

    Reading, passing on and sending a piece takes several times longer than what is done with its text; for
    all the pieces of a beat it is done once.
    """

    def __init__(self) -> None:
        self._told: list[Callable[[], None]] = []

    def at_next(self, do: Callable[[], None]) -> None:
        """Calls `do` at the next beat."""
        if not self._told:
            asyncio.get_running_loop().call_later(BEAT_S, self._strike)
        self._told.append(do)

    def _strike(self) -> None:
        told, self._told = self._told, []
        for do in told:
            do()


class Pace:
    """Whether the pieces of one stream come so quickly that they are read by the beat."""

    def __init__(self) -> None:
        self._read_at = 0.0
        self._beginning = _BEGINNING
        self.quick = False

    def read(self, asked: float, now: float) -> None:
        """A piece that was `asked` for, which is at the beat for a quick stream, was read `now`; both are the
        loop's time."""
        if self._beginning:
            self._beginning -= 1
        elif self.quick:
            self.quick = now - asked < BEAT_S / 4
        else:
            self.quick = now - self._read_at < QUICK_S
        self._read_at = now
