"""Bookkeeping that makes nobody wait, for a process that answers many at once.

A ledger may be held by another process for seconds. What can be written at once is written at once; what
cannot is written in its order by a thread of its own, with more patience. Before an answer ends, `settled` is
awaited.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

from aivax_cli.core.errors import AivaxError
from aivax_cli.core.types import Charge
from aivax_cli.usage.answers import Claim, KeptAnswers
from aivax_cli.usage.guard import Day
from aivax_cli.usage.ledger import SqliteLedger
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.reservations import Reserved

PATIENCE_S: Final = 60.0
"""Seconds that a write waits in the thread for whoever holds the ledger, before it is given up."""
LONGEST_END_S: Final = 5.0
"""Seconds that the end of an answer waits for its charges to be kept; after that they still are kept."""
_LOG = logging.getLogger("aivax.ledger")
Work = Callable[[], None]


class Bookkeeper:
    """Carries out what is to be written, in the order in which it is told. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._soon: Work | None = None

    def soon(self, work: Work) -> None:
        """Carries out `work` in the loop's next round, or before the next thing that is told.

        Until then it can take in more: told again, it is still carried out once. Raises RuntimeError where no
        loop runs.
        """
        loop = asyncio.get_running_loop()
        if self._soon is None:
            self._soon = work
            loop.call_soon(self._flush)

    def do(self, at_once: Work, later: Work) -> None:
        """Tries `at_once`, which must not wait, where nothing is waiting; else `later` has its turn.

        What fails in the end becomes a line in the log.
        """
        self._flush()
        if not self._waiting:
            try:
                at_once()
            except AivaxError:  # whatever it is, the second try says it
                pass
            else:
                return
        self._put(later)

    async def settled(self, *, alone: bool = False) -> None:
        """Waits until all that has been told so far is written, for `LONGEST_END_S` at most.

        `alone`: nobody else is there whose charges could be written with it.
        """
        if self._soon is not None:
            if not alone:
                await asyncio.sleep(0)
            self._flush()
        if not self._waiting:
            return
        reached: Future[None] = Future()

        def mark() -> None:
            if reached.set_running_or_notify_cancel():
                reached.set_result(None)

        self._put(mark)
        try:
            await asyncio.wait_for(asyncio.wrap_future(reached), LONGEST_END_S)
        except TimeoutError:
            _LOG.warning("the ledger is held by somebody; charges are kept as soon as it is free")

    def close(self) -> None:
        """Waits until everything is written, and ends the thread."""
        self._flush()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _flush(self) -> None:
        soon, self._soon = self._soon, None
        if soon is not None:
            soon()

    def _put(self, work: Work) -> None:
        with self._lock:
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bookkeeper", daemon=True)
                self._thread.start()
        self._queue.put(work)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except AivaxError as error:
                _LOG.warning("this is not in the ledger: %s", error)
            except Exception:  # noqa: BLE001 - the thread goes on for the others
                _LOG.exception("this is not in the ledger")
            with self._lock:
                self._waiting -= 1


class UnwaitingLedger:
    """Implements `core.ports.Ledger`, and notes what is said of turns. Raises nothing; see `Bookkeeper`.

    Charges that are told in one round of a loop are kept in one transaction, which takes little longer than
    that of a single one.
    """

    def __init__(self, path: Path, books: Bookkeeper) -> None:
        self._books = books
        self._quick = SqliteLedger(path, busy_timeout_s=0)
        self._patient = SqliteLedger(path, busy_timeout_s=PATIENCE_S)
        self._lock = threading.Lock()
        self._gathered: list[tuple[object, ...]] = []

    def record(self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str) -> None:
        """See `SqliteLedger.record`."""
        rows = self._quick.rows(charges, turn_id=turn_id, gateway=gateway, model=model)
        with self._lock:
            self._gathered += rows
        try:
            self._books.soon(self._keep)
        except RuntimeError:  # a thread without a loop
            self._keep()

    def _keep(self) -> None:
        with self._lock:
            rows, self._gathered = self._gathered, []
        if rows:
            self._books.do(partial(self._quick.keep, rows), partial(self._patient.keep, rows))

    def note(self, turn_id: str, metadata: Mapping[str, str]) -> None:
        """See `SqliteLedger.note`."""
        quick, patient = self._quick.note, self._patient.note
        self._books.do(partial(quick, turn_id, metadata), partial(patient, turn_id, metadata))

    def close(self) -> None:
        """Lets go of the file."""
        self._quick.close()
        self._patient.close()


class UnwaitingDay:
    """Implements `guard.Day` over two of the same: one that does not wait for the ledger, and one that does.

    Room is made where waiting is no harm, in a thread of the guard's. It is given back once the charges that
    were told before are written.
    """

    def __init__(self, quick: Day, patient: Day, books: Bookkeeper) -> None:
        self._quick = quick
        self._patient = patient
        self._books = books

    def reserve(self, gateway: str, usd: Decimal, limit_usd: Decimal, *, unkept_usd: Decimal) -> Reserved:
        """See `Day.reserve`. Raises LedgerError."""
        return self._patient.reserve(gateway, usd, limit_usd, unkept_usd=unkept_usd)

    def release(self, number: int) -> None:
        """See `Day.release`. Raises nothing."""
        self._books.do(partial(self._quick.release, number), partial(self._patient.release, number))


class UnwaitingAnswers:
    """`KeptAnswers` whose keys are given back without waiting. The rest is called in threads."""

    def __init__(self, path: Path, books: Bookkeeper) -> None:
        self._books = books
        self._quick = KeptAnswers(LedgerFile(path, busy_timeout_s=0))
        self._patient = KeptAnswers(LedgerFile(path))

    def claim(self, owner: str, key: str, body: bytes) -> Claim:
        """See `KeptAnswers.claim`. Raises LedgerError."""
        return self._patient.claim(owner, key, body)

    def keep(self, owner: str, key: str, answer: str) -> None:
        """See `KeptAnswers.keep`. Raises LedgerError."""
        self._patient.keep(owner, key, answer)

    def release(self, owner: str, key: str) -> None:
        """See `KeptAnswers.release`. Raises nothing."""
        quick, patient = self._quick.release, self._patient.release
        self._books.do(partial(quick, owner, key), partial(patient, owner, key))

    def close(self) -> None:
        """Lets go of the file."""
        self._quick.close()
        self._patient.close()
