"""Every charge, kept: one SQLite file in the workspace's `.aivax/`, one row a charge.

Several processes may write at once, and one that is killed loses at most the turn it was in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from msgspec import Struct

from aivax_cli.core.types import Charge
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.report import Row, usage_report
from aivax_cli.usage.sums import Selection

Grouping = Literal["day", "gateway", "model", "sku"]

LEDGER_FILE: Final = "ledger.db"
"""The ledger's name in a workspace's state folder."""

_METADATA: Final = (
    "CREATE TABLE IF NOT EXISTS turn_metadata (turn_id TEXT NOT NULL, key TEXT NOT NULL,"
    " value TEXT NOT NULL, PRIMARY KEY (turn_id, key)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS turn_metadata_value ON turn_metadata (key, value)",
)


class UsageRow(Struct, frozen=True):
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
        self._file = LedgerFile(path, busy_timeout_s=busy_timeout_s)
        self._now = now

    @property
    def path(self) -> Path:
        return self._file.path

    def record(self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str) -> None:
        """Keeps the charges of one call, all or none; they are safe when it returns."""
        self.keep(self.rows(charges, turn_id=turn_id, gateway=gateway, model=model))

    def rows(
        self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str
    ) -> list[tuple[object, ...]]:
        """The charges of one call, made now, as `keep` takes them."""
        at = _iso(self._now())
        return [
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

    def keep(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Keeps the rows of any number of calls in one transaction."""
        if not rows:
            return
        with self._file.writing() as connection:
            connection.executemany(
                "INSERT INTO charges (at, turn_id, gateway, model, sku, quantity, unit_price_usd,"
                " amount_usd, description, estimated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def note(self, turn_id: str, metadata: Mapping[str, str]) -> None:
        """Keeps what whoever asked had to say of a turn; `summarise` finds its charges by it."""
        if not metadata:
            return
        with self._file.writing() as connection:
            for statement in _METADATA:
                connection.execute(statement)
            connection.executemany(
                "INSERT OR REPLACE INTO turn_metadata (turn_id, key, value) VALUES (?, ?, ?)",
                [(turn_id, key, value) for key, value in metadata.items()],
            )

    def summarise(
        self,
        by: Grouping,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> tuple[UsageRow, ...]:
        """Rows by key; `since` is included, `until` is not (both aware of their zone). Days are UTC.

        With `metadata`, of the turns alone that have all of it. A ledger that does not exist yet has no rows,
        and is not created.
        """
        found = usage_report(self._file, by, _selection(since, until, metadata)).rows
        return tuple(sorted(map(_usage_row, found), key=lambda row: row.key))

    def total(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> UsageRow:
        """Everything in one row, its key "total"."""
        return _usage_row(usage_report(self._file, "day", _selection(since, until, metadata)).total)

    def check(self) -> int:
        """SQLite's own check of the file; returns how many charges it holds, 0 for no file yet."""
        with self._file.reading() as connection:
            if connection is None:
                return 0
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise self._file.damaged(verdict)
            return int(connection.execute("SELECT count(*) FROM charges").fetchone()[0])

    def close(self) -> None:
        """Lets go of the file; the next charge opens it again."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _selection(
    since: datetime | None, until: datetime | None, metadata: Mapping[str, str] | None
) -> Selection:
    return Selection(since, until, metadata=metadata or {})


def _usage_row(row: Row) -> UsageRow:
    sums = row.sum
    return UsageRow(
        row.key, row.turns, sums.tokens, sums.priced_usd, sums.unpriced_tokens, sums.estimated_tokens
    )


def _text(value: Decimal | None) -> str | None:
    """Plain digits, no exponent: people read the file with other tools."""
    return None if value is None else format(value, "f")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
