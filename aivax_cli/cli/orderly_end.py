"""An end that is ordered from outside leaves the terminal as it was, and what was said is kept."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import TypeVar

import typer

T = TypeVar("T")

_GRACE_S = 0.3
"""What is under way may end by itself for so long, as it does on Ctrl-C; then it is cancelled."""


async def until_told_to_end(work: Coroutine[object, object, T]) -> T:
    """Runs the work. `kill` and a terminal that is closed end it: first as Ctrl-C does, then for good.

    Raises typer.Exit with the code of the signal, 128 and its number, once everything is cleared up.
    Windows has no such signals.
    """
    if sys.platform == "win32":
        return await work
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    told: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        told.append(number)
        on_interrupt = signal.getsignal(signal.SIGINT)
        if callable(on_interrupt):
            on_interrupt(signal.SIGINT, None)
        if task is not None:
            loop.call_later(_GRACE_S, task.cancel)

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not told:
            raise
        raise typer.Exit(128 + told[0]) from None
