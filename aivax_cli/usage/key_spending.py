"""What the holder of a server's key spends: noted with every turn, held to so many USD a day."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from aivax_cli.core.errors import BudgetError
from aivax_cli.usage.guard import Day
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.reservations import Reservations, Reserved

KEY_METADATA: Final = "aivax.key"
"""The entry of a turn's metadata with the key's id: `aivax usage --metadata aivax.key=ab12cd34`."""


def key_reservations(file: LedgerFile) -> Reservations:
    """What the calls under way of a key may cost; keys stand where gateways' names do."""
    return Reservations(file, spent=_spent_with_key)


class KeyDay(Struct):
    """A day of a key beside that of the gateway: a call needs room in both. Implements `Day`.

    `gateway_has_limit` says whether the gateway has a budget of its own for the day.
    """

    key_id: str
    limit_usd: Decimal
    keys: Day
    gateways: Day
    gateway_has_limit: bool
    _also: dict[int, int] = field(default_factory=dict)

    def reserve(self, gateway: str, usd: Decimal, limit_usd: Decimal, *, unkept_usd: Decimal) -> Reserved:
        """See `Day.reserve`. Raises BudgetError when the key has no room left, LedgerError."""
        mine = self.keys.reserve(holder(self.key_id), usd, self.limit_usd, unkept_usd=unkept_usd)
        if mine.number is None:
            raise used_up(self.limit_usd, mine.taken_usd)
        if not self.gateway_has_limit:
            return mine
        try:
            found = self.gateways.reserve(gateway, usd, limit_usd, unkept_usd=unkept_usd)
        except BaseException:
            self.keys.release(mine.number)
            raise
        if found.number is None:
            self.keys.release(mine.number)
            return found
        self._also[mine.number] = found.number
        return Reserved(mine.number, found.taken_usd)

    def release(self, number: int) -> None:
        """See `Day.release`."""
        also = self._also.pop(number, None)
        self.keys.release(number)
        if also is not None:
            self.gateways.release(also)


def holder(key_id: str) -> str:
    """What stands for a key among the reservations; no gateway has such a name."""
    return f"key:{key_id}"


def used_up(limit_usd: Decimal, taken_usd: Decimal) -> BudgetError:
    """The refusal of a call that may cost more than the key has left."""
    left = max(Decimal(0), limit_usd - taken_usd)
    return BudgetError(
        f"this key may cost {limit_usd:f} USD a day (UTC), and has {left:f} USD left, which is less than this"
        " call may cost",
        fix="wait for tomorrow, or ask for less with max_completion_tokens",
    )


def spent_today(
    file: LedgerFile, key_id: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Decimal:
    """What the key's charges of the day (UTC) come to, exactly. Unpriced ones count nothing."""
    with file.reading() as connection:
        return Decimal(0) if connection is None else _spent_with_key(connection, holder(key_id), now())


def _spent_with_key(connection: sqlite3.Connection, name: str, now: datetime) -> Decimal:
    day = now.astimezone(UTC).date().isoformat()
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'turn_metadata'").fetchone():
        return Decimal(0)  # nobody has noted anything yet
    rows = connection.execute(
        # Of the day's charges each is looked up: a key has far more turns behind it.
        "SELECT unit_price_usd, sum(quantity) FROM charges"
        " WHERE substr(at, 1, 10) = ? AND unit_price_usd IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM turn_metadata AS m WHERE m.turn_id = charges.turn_id AND m.key = ? AND m.value = ?)"
        " GROUP BY 1",
        (day, KEY_METADATA, name.removeprefix("key:")),
    )
    return sum((Decimal(unit) * quantity for unit, quantity in rows), Decimal(0))
