"""Answers kept for a day by the key of who asked, so that a request that is sent again is charged once.

They are in the ledger's file, which the server's processes share.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.reservations import process_lives

KEPT_FOR: Final = timedelta(hours=24)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,         -- SHA-256 of whose key it is, and of the key
    body TEXT NOT NULL,           -- SHA-256 of what was asked
    at TEXT NOT NULL,             -- UTC, as `at` of the charges
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    answer TEXT                   -- NULL: under way
)
"""


class Claim(Struct, frozen=True):
    """What came of claiming a key: it is ours (`mine`), or has an `answer`, or neither while another asks.

    `other_body`: the key stands for another request.
    """

    mine: bool = False
    answer: str | None = None
    other_body: bool = False


class KeptAnswers:
    """The answers in a ledger's file. May be shared by threads. Raises LedgerError."""

    def __init__(self, file: LedgerFile, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._file = file
        self._now = now

    def claim(self, owner: str, key: str, body: bytes) -> Claim:
        """Takes the key for a request, or tells what became of it. What a dead process left is nobody's."""
        name, asked, now = _name(owner, key), hashlib.sha256(body).hexdigest(), self._now()
        with self._file.writing() as connection:
            connection.execute(_SCHEMA)
            connection.execute("DELETE FROM answers WHERE at < ?", (_iso(now - KEPT_FOR),))
            row = connection.execute(
                "SELECT body, answer, host, pid FROM answers WHERE key = ?", (name,)
            ).fetchone()
            if row is not None and row[1] is None and row[2] == platform.node() and not process_lives(row[3]):
                row = None
            if row is not None:
                return Claim(answer=row[1], other_body=row[0] != asked)
            connection.execute(
                "INSERT OR REPLACE INTO answers (key, body, at, host, pid) VALUES (?, ?, ?, ?, ?)",
                (name, asked, _iso(now), platform.node(), os.getpid()),
            )
        return Claim(mine=True)

    def keep(self, owner: str, key: str, answer: str) -> None:
        """The answer of a claimed key."""
        with self._file.writing() as connection:
            connection.execute("UPDATE answers SET answer = ? WHERE key = ?", (answer, _name(owner, key)))

    def release(self, owner: str, key: str) -> None:
        """Gives a claimed key back: its request came to nothing."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM answers WHERE key = ? AND answer IS NULL", (_name(owner, key),))

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()


def _name(owner: str, key: str) -> str:
    return hashlib.sha256(f"{owner}\0{key}".encode("utf-8", "replace")).hexdigest()


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
