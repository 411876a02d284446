"""The ledger's charges, summed: exactly, and quickly also where there are a million of them.

SQL adds whole tokens of one unit price; only Decimals are multiplied and added up, so nothing is rounded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any, Final

from msgspec import Struct, field

from aivax_cli.usage.periods import Period

PERIODS: Final[Mapping[str, Period]] = {"day": "day", "week": "week", "month": "month"}
COLUMNS: Final = ("gateway", "model", "sku")
METADATA: Final = "metadata:"
"""`metadata:team` groups by what requests said under "team"."""

_SAID: Final = "charges.turn_id IN (SELECT turn_id FROM turn_metadata WHERE key = ? AND value = ?)"
_EXACT: Final = Context(prec=200)
"""The default of 28 digits would round the sum of a huge and a tiny amount."""
_MIDNIGHT: Final = "T00:00:00.000Z"
_MOST_FLAGS: Final = 40
_MEMORY: Final = "PRAGMA cache_size=-65536"
"""64 MB: what sorting a million charges takes where no index has them in order. SQLite's own are 2."""


class Selection(Struct, frozen=True):
    """Which charges are meant. `since` is included, `until` is not; both aware of their zone.

    Of several gateways, models or SKUs any may be that of a charge; `*` in them stands for any text. All of
    `metadata` must have been said of a charge's turn.
    """

    since: datetime | None = None
    until: datetime | None = None
    gateways: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


class Sum(Struct, frozen=True):
    """Tokens and what they cost. `priced_usd` is exact and sums the priced tokens alone.

    `unpriced_tokens` are those whose price nobody has said, `estimated_tokens` those counted here; both are
    part of `tokens`. `estimated_usd` is the part of `priced_usd` that is for estimated tokens.
    """

    tokens: int = 0
    priced_usd: Decimal = Decimal(0)
    unpriced_tokens: int = 0
    estimated_tokens: int = 0
    estimated_usd: Decimal = Decimal(0)

    @property
    def total_usd(self) -> Decimal | None:
        """The whole cost, or None while a part of it is unpriced."""
        return None if self.unpriced_tokens else self.priced_usd


class Line(Struct, frozen=True):
    """Charges of one day that agree in all that they were asked for by. `keys` in the order asked for."""

    day: date
    keys: tuple[str, ...]
    sum: Sum


class Turns(Struct, frozen=True):
    """How many turns there were: by the day of their first charge, so that days add up to `all`.

    `unpriced` of them have a part that nobody has priced.
    """

    by_day: Mapping[date, int]
    all: int
    unpriced: int
    of_value: Mapping[str, int]
    """How many turns each value took part in that was asked for."""


def lines(connection: sqlite3.Connection, by: Sequence[str], selection: Selection) -> tuple[Line, ...]:
    """The sums of each day and of each value of `by`: columns, or `metadata:NAME`; "" where none was said."""
    prepare(connection)
    keys, joins, parameters = _keys(connection, by)
    where, values = _where(connection, selection)
    picked = ", ".join(["substr(at, 1, 10)", *keys, "unit_price_usd"])
    groups = ", ".join(str(number + 1) for number in range(len(keys) + 2))
    rows = connection.execute(
        f"SELECT {picked}, sum(quantity), sum(quantity * estimated) FROM charges {joins} {where}"
        f" GROUP BY {groups} ORDER BY 1",
        (*parameters, *values),
    )
    return tuple(_lines(rows))


def turns(
    connection: sqlite3.Connection, selection: Selection, *, column: str = "", values: Sequence[str] = ()
) -> Turns:
    """The turns that have such charges; each counts once. `values` of a column are counted along the way."""
    prepare(connection)
    where, wanted = _where(connection, selection)
    # A flag for each value takes one sort, by turn; sorting by value and turn takes several times as long.
    few = len(values) <= _MOST_FLAGS
    flags = [f"max({column} = ?)" for _ in values] if few else []
    inner = "".join(f", {flag} AS f{number}" for number, flag in enumerate(flags))
    outer = "".join(f", sum(f{number})" for number in range(len(flags)))
    rows = connection.execute(
        f"SELECT day, count(*), sum(unpriced){outer} FROM ("
        f" SELECT substr(min(at), 1, 10) AS day, max(unit_price_usd IS NULL) AS unpriced{inner}"
        f" FROM charges {where} GROUP BY turn_id) GROUP BY 1",
        (*(values if few else ()), *wanted),
    ).fetchall()
    if few:
        of_value = {value: sum(row[3 + number] for row in rows) for number, value in enumerate(values)}
    else:
        pairs = f"SELECT {column} AS value FROM charges {where} GROUP BY 1, turn_id"
        counted = connection.execute(f"SELECT value, count(*) FROM ({pairs}) GROUP BY 1", wanted)
        of_value = dict(counted.fetchall())
    by_day = {date.fromisoformat(row[0]): row[1] for row in rows}
    return Turns(by_day, sum(by_day.values()), sum(row[2] for row in rows), of_value)


def turns_that_said(connection: sqlite3.Connection, name: str, selection: Selection) -> dict[str, int]:
    """How many turns said what under a name of metadata; "" for those that said nothing."""
    prepare(connection)
    where, wanted = _where(connection, selection)
    all_turns = f"SELECT turn_id FROM charges {where} GROUP BY turn_id"
    if not _has_metadata(connection):
        rows = connection.execute(f"SELECT '', count(*) FROM ({all_turns})", wanted)
    else:
        rows = connection.execute(
            f"SELECT coalesce(m.value, ''), count(*) FROM ({all_turns}) AS t"
            " LEFT JOIN turn_metadata AS m ON m.turn_id = t.turn_id AND m.key = ? GROUP BY 1",
            (*wanted, name),
        )
    return dict(rows.fetchall())


def said(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The names under which requests have said something, in order."""
    if not _has_metadata(connection):
        return ()
    return tuple(row[0] for row in connection.execute("SELECT DISTINCT key FROM turn_metadata ORDER BY 1"))


def prepare(connection: sqlite3.Connection) -> None:
    """Gives a connection the memory that sums of many charges take. Changes nothing in the file."""
    connection.execute(_MEMORY)


def added(sums: Iterable[Sum]) -> Sum:
    """All of them together, exactly."""
    tokens, unpriced, estimated = 0, 0, 0
    usd = estimated_usd = Decimal(0)
    add = _EXACT.add
    for each in sums:
        tokens += each.tokens
        unpriced += each.unpriced_tokens
        estimated += each.estimated_tokens
        usd = add(usd, each.priced_usd)
        if each.estimated_usd:
            estimated_usd = add(estimated_usd, each.estimated_usd)
    return Sum(tokens, usd, unpriced, estimated, estimated_usd)


def _lines(rows: Iterable[tuple[Any, ...]]) -> Iterator[Line]:
    for day, *keys, unit, tokens, estimated in rows:
        if unit is None:
            summed = Sum(tokens, unpriced_tokens=tokens, estimated_tokens=estimated)
        else:
            price = Decimal(unit)
            usd = _EXACT.multiply(price, Decimal(tokens))
            part = _EXACT.multiply(price, Decimal(estimated)) if estimated else Decimal(0)
            summed = Sum(tokens, usd, 0, estimated, part)
        yield Line(date.fromisoformat(day), tuple(keys), summed)


def _keys(connection: sqlite3.Connection, by: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Expressions of what is grouped by, the joins that they take, and the joins' parameters."""
    keys, joins, parameters = [], [], []
    for number, name in enumerate(by):
        if not name.startswith(METADATA):
            keys.append(name)
        elif _has_metadata(connection):
            keys.append(f"coalesce(m{number}.value, '')")
            joins.append(
                f"LEFT JOIN turn_metadata m{number}"
                f" ON m{number}.turn_id = charges.turn_id AND m{number}.key = ?"
            )
            parameters.append(name.removeprefix(METADATA))
        else:
            keys.append("''")
    return keys, " ".join(joins), parameters


def _where(connection: sqlite3.Connection, selection: Selection) -> tuple[str, list[str]]:
    conditions, values = [], []
    for sign, moment in ((">=", selection.since), ("<", selection.until)):
        if moment is None:
            continue
        at = _iso(moment)
        day, midnight = at[:10], at[10:] == _MIDNIGHT
        # Days are indexed, moments are not.
        conditions.append(f"substr(at, 1, 10) {sign if midnight else sign[0] + '='} ?")
        values.append(day)
        if not midnight:
            conditions.append(f"at {sign} ?")
            values.append(at)
    for column, wanted in zip(COLUMNS, (selection.gateways, selection.models, selection.skus), strict=True):
        if wanted:
            conditions.append("(" + " OR ".join([f"{column} GLOB ?"] * len(wanted)) + ")")
            values += [_pattern(text) for text in wanted]
    if selection.metadata and not _has_metadata(connection):
        conditions.append("0")
    else:
        for pair in selection.metadata.items():
            conditions.append(_SAID)
            values += pair
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _pattern(text: str) -> str:
    """`*` stands for any text; what else GLOB would obey stands for itself."""
    return text.replace("[", "[[]").replace("?", "[?]")


def _has_metadata(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'turn_metadata'").fetchone()
    return found is not None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
