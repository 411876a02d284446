"""How long tests wait for what is bound to come: for ever, as far as a machine that works is concerned."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENT_S = 60.0
"""What a machine with much else to do may take for anything; what never comes fails its test after that."""


def until(holds: Callable[[], object], timeout_s: float = PATIENT_S, *, look_every_s: float = 0.02) -> None:
    """Waits until something holds."""
    ends = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < ends, f"it did not come about within {timeout_s:g} s"
        time.sleep(look_every_s)


def best(attempt: Callable[[], float], limit: float) -> float:
    """What the first of a few attempts comes to that stays below the limit, or else the best of them.

    What the program itself makes slow is slow each time; a machine that does much else is not.
    """
    least = attempt()
    for _ in range(4):
        if least < limit:
            break
        least = min(least, attempt())
    return least
