"""One writer at a time, over all processes of a workspace.

The lock is the operating system's own on an open file, so it vanishes with the process that holds it, however
that ends. Who holds it stands in a file beside it, for messages alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aivax_cli.core.errors import IngestError

LOCK_FILE = "write.lock"
HOLDER_FILE = "write.holder.json"
POLL_S = 0.1


@contextmanager
def write_lock(
    directory: Path,
    *,
    purpose: str,
    wait_s: float | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Holds the right to write in `directory`.

    Waits up to `wait_s` seconds for another holder (None: as long as it takes), after telling `on_wait` once
    who that is. Raises IngestError when the wait is over or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / LOCK_FILE)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = _holder(directory)
            if on_wait is not None and wait_s != 0:
                on_wait(f"waiting for {holder}")
            try:
                lock.acquire(timeout=-1 if wait_s is None else wait_s, poll_interval=POLL_S)
            except Timeout as error:
                raise IngestError(
                    f"{directory}: being written by {_holder(directory)}",
                    fix="try again when it has finished",
                ) from error
        _write_holder(directory, purpose)
    except OSError as error:
        raise IngestError(
            f"{directory}: cannot be written: {error.strerror or error}",
            fix="check the folder's permissions and free space",
        ) from error
    try:
        yield
    finally:
        (directory / HOLDER_FILE).unlink(missing_ok=True)
        lock.release()


def _write_holder(directory: Path, purpose: str) -> None:
    holder = {"pid": os.getpid(), "purpose": purpose, "since": time.time()}
    (directory / HOLDER_FILE).write_text(json.dumps(holder), encoding="utf-8")


def _holder(directory: Path) -> str:
    try:
        holder = json.loads((directory / HOLDER_FILE).read_text(encoding="utf-8"))
        return f"process {int(holder['pid'])} ({holder['purpose']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
