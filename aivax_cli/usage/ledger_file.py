"""The file behind the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aivax_cli.core.errors import LedgerError
from aivax_cli.storage.sqlite_file import FileKind, SqliteFile

# Indexes are in the order that sums are made in: a million charges need no sorting. Each is written to by
# every charge, so there are no others; older ledgers have one by `at`.
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
CREATE INDEX charges_day ON charges
    (substr(at, 1, 10), gateway, model, sku, unit_price_usd, quantity, estimated);
CREATE INDEX charges_turn ON charges (turn_id, at, unit_price_usd);
"""

_LEDGER: Final = FileKind(
    _SCHEMA,
    version=1,
    error=LedgerError,
    damaged="the ledger is damaged",
    unusable="the ledger cannot be used",
    mend="move the file away; the next charge begins a new one",
)


class LedgerFile(SqliteFile):
    """A ledger's database. Raises LedgerError for whatever keeps it from being read or written."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        super().__init__(path, _LEDGER, busy_timeout_s=busy_timeout_s)
