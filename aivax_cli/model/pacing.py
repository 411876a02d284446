"""How often a stream is read whose pieces come one upon the other."""

from __future__ import annotations

import asyncio

BEAT_S = 1 / 60
"""What a screen takes to show its next picture: nobody sees the difference."""
_BEGINNING = 4
"""Pieces that are read as they come: the first words are waited for."""


class Beat:
    """Wakes everybody who waits for it at once, `BEAT_S` seconds after the first one came at most.

    Reading, passing on and sending a piece takes several times longer than what is done with its text; for
    all the pieces of a beat it is done once.
    """

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def next(self) -> None:
        """Waits for the next beat."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(BEAT_S, self._strike)
        woken: asyncio.Future[None] = loop.create_future()
        self._waiting.append(woken)
        await woken

    def _strike(self) -> None:
        waiting, self._waiting = self._waiting, []
        for woken in waiting:
            if not woken.done():
                woken.set_result(None)


class Pace:
    """Whether the pieces of one stream come so quickly that they are read by the beat."""

    def __init__(self) -> None:
        self._read_at = 0.0
        self._beginning = _BEGINNING
        self.quick = False

    def read(self, asked: float, now: float) -> None:
        """A piece that was `asked` for was read `now`; both are the loop's time."""
        if self._beginning:
            self._beginning -= 1
        elif self.quick:  # the beat was waited for before
            self.quick = now - asked < BEAT_S / 4
        else:
            self.quick = now - self._read_at < BEAT_S
        self._read_at = now
