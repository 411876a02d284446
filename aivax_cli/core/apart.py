"""Work in a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def apart(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Runs it in a thread of this name that keeps the process from nothing: what hangs is left behind.

    It begins at once, and is to be awaited. Python waits for the threads of `asyncio.to_thread` before it
    ends. Raises RuntimeError where no loop runs.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_: Callable[[], None]) -> None:
        if not done.done():
            set_()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised where the result is waited for
            failure = error
            _tell(loop, lambda: settle(lambda: done.set_exception(failure)))
        else:
            _tell(loop, lambda: settle(lambda: done.set_result(result)))

    Thread(target=run, name=name, daemon=True).start()
    return done


def _tell(loop: asyncio.AbstractEventLoop, settle: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended: nobody waits any more
        loop.call_soon_threadsafe(settle)
