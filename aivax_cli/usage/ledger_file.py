"""The file behind the ledger: one SQLite database in WAL mode that several processes write at once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aivax_cli.core.errors import LedgerError

SCHEMA_VERSION: Final = 1
"""Raised only when an older aivax could no longer write the file; a further table is no such change."""

# The last two indexes are in the order that sums are made in: a million charges need no sorting. An older
# ledger without them is summed more slowly.
_SCHEMA: Final = """
CREATE TABLE charges (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,             -- UTC, ISO 8601 with milliseconds and Z
    turn_id TEXT NOT NULL,
    gateway TEXT NOT NULL,
    model TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,    -- tokens
    unit_price_usd TEXT,          -- exact decimal, USD a token; NULL: unpriced, never free
    amount_usd TEXT,              -- unit price x quantity; NULL: unpriced
    description TEXT NOT NULL,
    estimated INTEGER NOT NULL    -- 1: the tokens were counted here, not reported by the endpoint
);
CREATE INDEX charges_at ON charges (at);
CREATE INDEX charges_day ON charges
    (substr(at, 1, 10), gateway, model, sku, unit_price_usd, quantity, estimated);
CREATE INDEX charges_turn ON charges (turn_id, at, unit_price_usd);
"""

_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class LedgerFile:
    """A ledger's database. Nothing is opened or created before it is needed.

    Safe to share between threads. Raises LedgerError for whatever keeps it from being read or written.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is kept, or nothing. Makes the file where there is none."""
        with self._lock, self._translated():
            connection = self._open()
            # IMMEDIATE takes the write lock at once: a later upgrade fails without waiting its turn.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A transaction in which every query sees the same rows; None for a file that is not there yet."""
        with self._lock, self._translated():
            if self._connection is None and not self.path.exists():
                yield None
                return
            connection = self._open()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def damaged(self, detail: object) -> LedgerError:
        """The error for a file that is no sound ledger."""
        return LedgerError(
            f"{self.path}: the ledger is damaged ({detail})",
            fix="move the file away; the next charge begins a new one",
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _prepare(connection, self.path, time.monotonic() + self._busy_timeout_s)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is not None and code & 0xFF in _CORRUPT:
                raise self.damaged(error) from error
            raise LedgerError(
                f"{self.path}: the ledger cannot be used: {error}",
                fix="check the disk's free space and the folder's permissions, and that nothing holds it",
            ) from error
        except OSError as error:
            raise LedgerError(
                f"{self.path}: the ledger cannot be opened: {error.strerror or error}",
                fix="check the folder's permissions",
            ) from error


def _prepare(connection: sqlite3.Connection, path: Path, deadline: float) -> None:
    """Makes a new file a ledger, or sees that an existing one is one."""
    # NORMAL survives the death of the process; only a power cut can take the last rows.
    connection.execute("PRAGMA synchronous=NORMAL")
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait its busy timeout when two processes switch a new file at once.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _create(connection)
    elif version > SCHEMA_VERSION:
        raise LedgerError(
            f"{path}: the ledger was written by a newer aivax (schema {version}, this one knows"
            f" {SCHEMA_VERSION})",
            fix="update aivax",
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have been first.
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
