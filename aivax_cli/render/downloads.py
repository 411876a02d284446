"""What a person hears of a download that a command waits for."""

from __future__ import annotations

import time
from collections.abc import Callable

TELL_EVERY_S = 5.0

DownloadProgress = Callable[[str, int, int | None], None]
"""Called with a name, the bytes that are there and the bytes there will be, None while unknown."""


def download_progress(
    tell: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
) -> DownloadProgress:
    """A progress callback that tells what is being downloaded, then every few seconds how far it is."""
    told_at: dict[str, float] = {}

    def progress(name: str, done: int, total: int | None) -> None:
        now = clock()
        if name in told_at and now - told_at[name] < TELL_EVERY_S:
            return
        of_total = f" of {total / 1e6:.0f} MB" if total else " MB"
        tell(f"downloading {name}: {done / 1e6:.0f}{of_total}")
        told_at[name] = now

    return progress
