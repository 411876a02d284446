"""The counters of several workers in one answer: whichever of them is asked asks the others.

Each listens on a Unix socket in a folder of the server's own, which nobody else may enter, and writes its
samples to whoever connects.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aivax_cli.server.metrics import Metrics, Samples

_LOG = logging.getLogger("aivax.server")
_WITHIN_S = 2.0


class Siblings:
    """The workers of one server, as one of them sees the others. Its own socket is `place`, `N.sock`."""

    def __init__(self, metrics: Metrics, place: Path) -> None:
        self._metrics = metrics
        self._place = place
        self._listening: asyncio.Server | None = None
        metrics.worker = place.stem

    async def listen(self) -> None:
        """Answers the others from here on; a worker that this one takes the place of has left its socket.

        Without a socket the server goes on, and its log says so.
        """
        if sys.platform == "win32":  # where several workers are refused
            return
        try:
            self._place.parent.mkdir(mode=0o700, exist_ok=True)
            self._place.unlink(missing_ok=True)
            self._listening = await asyncio.start_unix_server(self._answer, self._place)
        except OSError as error:
            _LOG.warning("/metrics misses the counters of worker %s: %s", self._place.stem, error)

    async def aclose(self) -> None:
        """Answers nobody any more. The last one takes the folder away, where nobody is left to do so."""
        if self._listening is not None:
            self._listening.close()
        self._place.unlink(missing_ok=True)
        with suppress(OSError):
            self._place.parent.rmdir()

    async def samples(self) -> Sequence[Samples]:
        """What the others count. One that does not answer is left out: it is being replaced."""
        others = [each for each in self._place.parent.glob("*.sock") if each != self._place]
        found = await asyncio.gather(*map(_asked, sorted(others)))
        return [samples for samples in found if samples is not None]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        with suppress(ConnectionError):
            writer.write(json.dumps(self._metrics.samples()).encode())
            await writer.drain()
        writer.close()


async def _asked(place: Path) -> Samples | None:
    if sys.platform == "win32":
        return None
    try:
        async with asyncio.timeout(_WITHIN_S):
            reader, writer = await asyncio.open_unix_connection(place)
            try:
                found: Samples = json.loads(await reader.read())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return None
    return found
