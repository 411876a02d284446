"""Every charge, kept: one SQLite file in the workspace's `.aivax/`, one row a charge.

Several processes may write at once, and one that is killed loses at most the turn it was in.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from aivax_cli.core.errors import LedgerError
from aivax_cli.core.types import Charge

Grouping = Literal["day", "gateway", "model", "sku"]

LEDGER_FILE: Final = "ledger.db"
"""The ledger's name in a workspace's state folder."""

SCHEMA_VERSION: Final = 1

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
"""

_GROUPS: Final[dict[Grouping, str]] = {
    "day": "substr(at, 1, 10)",
    "gateway": "gateway",
    "model": "model",
    "sku": "sku",
}

_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one day, gateway, model or SKU took.

    `amount_usd` is exact and sums the priced tokens alone; `unpriced_tokens` are those whose price
    nobody has said, `estimated_tokens` those counted here. Both are part of `tokens`.
    """

    key: str
    turns: int
    tokens: int
    amount_usd: Decimal
    unpriced_tokens: int
    estimated_tokens: int


class SqliteLedger:
    """The ledger in one file. Nothing is opened or created before the first charge.

    Safe to share between threads. Raises LedgerError for whatever keeps it from reading or writing.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = 5.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._now = now
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @property
    def path(self) -> Path:
        return self._path

    def record(self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str) -> None:
        """Keeps the charges of one call, all or none; they are safe when it returns."""
        if not charges:
            return
        at = _iso(self._now())
        rows = [
            (
                at,
                turn_id,
                gateway,
                model,
                charge.sku,
                charge.quantity,
                _text(charge.unit_price_usd),
                _text(charge.amount_usd),
                charge.description,
                int(charge.estimated),
            )
            for charge in charges
        ]
        with self._lock, self._translated(), self._transaction() as connection:
            connection.executemany(
                "INSERT INTO charges (at, turn_id, gateway, model, sku, quantity, unit_price_usd,"
                " amount_usd, description, estimated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def summarise(
        self, by: Grouping, *, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[UsageRow, ...]:
        """Rows by key; `since` is included, `until` is not (both aware of their zone). Days are UTC.

        A ledger that does not exist yet has no rows, and is not created.
        """
        return self._sums(_GROUPS[by], since, until)

    def total(self, *, since: datetime | None = None, until: datetime | None = None) -> UsageRow:
        """Everything in one row, its key "total"."""
        rows = self._sums("'total'", since, until)
        return rows[0] if rows else UsageRow("total", 0, 0, Decimal(0), 0, 0)

    def check(self) -> int:
        """SQLite's own check of the file; returns how many charges it holds, 0 for no file yet."""
        with self._lock, self._translated():
            if not self._path.exists():
                return 0
            connection = self._open()
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise self._damaged(verdict)
            return int(connection.execute("SELECT count(*) FROM charges").fetchone()[0])

    def close(self) -> None:
        """Lets go of the file; the next charge opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _sums(self, key: str, since: datetime | None, until: datetime | None) -> tuple[UsageRow, ...]:
        where = "WHERE at >= ? AND at < ?"
        span = (_iso(since) if since else "", _iso(until) if until else "~")
        with self._lock, self._translated():
            if self._connection is None and not self._path.exists():
                return ()
            connection = self._open()
            # One transaction, so that the two queries see the same rows.
            connection.execute("BEGIN")
            try:
                sums = connection.execute(
                    f"SELECT {key}, unit_price_usd, sum(quantity), sum(quantity * estimated)"
                    f" FROM charges {where} GROUP BY 1, 2 ORDER BY 1",
                    span,
                ).fetchall()
                turns = dict(
                    connection.execute(
                        f"SELECT {key}, count(DISTINCT turn_id) FROM charges {where} GROUP BY 1", span
                    ).fetchall()
                )
            finally:
                connection.rollback()
        return _rows(sums, turns)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open()
        # IMMEDIATE takes the write lock at once: a later upgrade fails without waiting its turn.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _prepare(connection, self._path, time.monotonic() + self._busy_timeout_s)
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
                raise self._damaged(error) from error
            raise LedgerError(
                f"{self._path}: the ledger cannot be used: {error}",
                fix="check the disk's free space and the folder's permissions, and that nothing holds it",
            ) from error
        except OSError as error:
            raise LedgerError(
                f"{self._path}: the ledger cannot be opened: {error.strerror or error}",
                fix="check the folder's permissions",
            ) from error

    def _damaged(self, detail: object) -> LedgerError:
        return LedgerError(
            f"{self._path}: the ledger is damaged ({detail})",
            fix="move the file away; the next charge begins a new one",
        )


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


def _rows(sums: Sequence[tuple[str, str | None, int, int]], turns: dict[str, int]) -> tuple[UsageRow, ...]:
    """SQL adds whole tokens of one unit price; only Decimals are multiplied, so nothing is rounded."""
    rows: dict[str, UsageRow] = {}
    for key, unit, tokens, estimated in sums:
        row = rows.get(key, UsageRow(key, turns[key], 0, Decimal(0), 0, 0))
        rows[key] = UsageRow(
            key,
            row.turns,
            row.tokens + tokens,
            row.amount_usd if unit is None else row.amount_usd + Decimal(unit) * tokens,
            row.unpriced_tokens + (tokens if unit is None else 0),
            row.estimated_tokens + estimated,
        )
    return tuple(rows.values())


def _text(value: Decimal | None) -> str | None:
    """Plain digits, no exponent: people read the file with other tools."""
    return None if value is None else format(value, "f")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
