"""What the calls under way may cost, kept beside the charges so that several processes share one budget.

A call's worst case is reserved in the same transaction that finds room for it, and taken back once its
charges are kept. `aivax usage` reads the charges alone.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from msgspec import Struct

from aivax_cli.usage.ledger_file import LedgerFile

LEASE: Final = timedelta(hours=1)
"""A reservation counts no longer, whatever became of its process. No answer takes that long."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS reservations (
    id INTEGER PRIMARY KEY,
    until TEXT NOT NULL,          -- UTC, as `at` of the charges
    gateway TEXT NOT NULL,
    amount_usd TEXT NOT NULL,     -- exact decimal
    host TEXT NOT NULL,
    pid INTEGER NOT NULL
)
"""


class Reserved(Struct, frozen=True):
    """What came of asking for room. `number` is None when there was none.

    `taken_usd` is what the gateway has spent today and what its calls under way may cost, without the one
    that was asked for.
    """

    number: int | None
    taken_usd: Decimal


class Reservations:
    """The reservations in a ledger's file. May be shared by threads. Raises LedgerError."""

    def __init__(
        self,
        file: LedgerFile,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        alive: Callable[[int], bool] | None = None,
        spent: Callable[[sqlite3.Connection, str, datetime], Decimal] | None = None,
    ) -> None:
        """`spent` finds what somebody else than a gateway has spent today, who is named in its place."""
        self._file = file
        self._spent = spent or _spent
        self._now = now
        self._alive = alive or process_lives

    def reserve(self, gateway: str, usd: Decimal, limit_usd: Decimal, *, unkept_usd: Decimal) -> Reserved:
        """Reserves `usd` if the day (UTC) has room for it. `unkept_usd` is spent and not in the ledger."""
        now = self._now()
        with self._file.writing() as connection:
            connection.execute(_SCHEMA)
            taken = (
                self._spent(connection, gateway, now) + self._reserved(connection, gateway, now) + unkept_usd
            )
            if taken + usd > limit_usd:
                return Reserved(None, taken)
            made = connection.execute(
                "INSERT INTO reservations (until, gateway, amount_usd, host, pid) VALUES (?, ?, ?, ?, ?)",
                (_iso(now + LEASE), gateway, format(usd, "f"), platform.node(), os.getpid()),
            )
            return Reserved(made.lastrowid, taken)

    def release(self, number: int) -> None:
        """Takes a reservation back."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM reservations WHERE id = ?", (number,))

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _reserved(self, connection: sqlite3.Connection, gateway: str, now: datetime) -> Decimal:
        """The sum of what is under way; what dead processes left behind is thrown away."""
        connection.execute("DELETE FROM reservations WHERE until <= ?", (_iso(now),))
        here = platform.node()
        rows = connection.execute(
            "SELECT id, amount_usd, host, pid FROM reservations WHERE gateway = ?", (gateway,)
        ).fetchall()
        total = Decimal(0)
        for number, amount, host, pid in rows:
            if host == here and not self._alive(pid):
                connection.execute("DELETE FROM reservations WHERE id = ?", (number,))
            else:
                total += Decimal(amount)
        return total


def process_lives(pid: int) -> bool:
    """Whether a process of this machine runs; True where that cannot be asked without doing it harm."""
    if sys.platform == "win32":  # os.kill ends the process there, whatever the signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _spent(connection: sqlite3.Connection, gateway: str, now: datetime) -> Decimal:
    """What the gateway's charges of the day come to, exactly. Unpriced ones count nothing."""
    day = now.astimezone(UTC).date().isoformat()
    rows = connection.execute(
        "SELECT unit_price_usd, sum(quantity) FROM charges"
        " WHERE substr(at, 1, 10) = ? AND gateway = ? AND unit_price_usd IS NOT NULL GROUP BY 1",
        (day, gateway),
    )
    return sum((Decimal(unit) * quantity for unit, quantity in rows), Decimal(0))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
