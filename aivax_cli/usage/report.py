"""What was used, by whatever people ask: a table's rows, or all that a page of charts shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import UsageError, unknown_name
from aivax_cli.usage.periods import Period, after, begin_of, midnight, name_of
from aivax_cli.usage.sums import (
    COLUMNS,
    METADATA,
    PERIODS,
    Line,
    Selection,
    Sum,
    added,
    lines,
    said,
    turns,
    turns_that_said,
)

if TYPE_CHECKING:
    from aivax_cli.usage.ledger_file import LedgerFile

GROUPINGS: Final = (*PERIODS, *COLUMNS, "key", f"{METADATA}NAME")
"""What `aivax usage --by` takes."""


class Row(Struct, frozen=True):
    """What one day, gateway, model … took. `days` is its sum by day, of days with charges alone.

    `begin` is the first day of a period, and `partial` says that charges of that period may be missing:
    it is not over, or the selection begins or ends within it.
    """

    key: str
    sum: Sum
    turns: int
    days: Mapping[date, Sum] = field(default_factory=dict)
    begin: date | None = None
    partial: bool = False


class Report(Struct, frozen=True):
    """Periods as they came, everything else by what it cost, the dearest first."""

    by: str
    rows: tuple[Row, ...]
    total: Row
    unpriced_turns: int = 0
    """Turns that have a part that nobody has priced."""

    @property
    def period(self) -> Period | None:
        """The period that a row stands for, if it does for one."""
        return PERIODS.get(self.by)


class Overview(Struct, frozen=True):
    """Everything at once: sums by day of each gateway, model and SKU, and of what else is asked for."""

    total: Row
    unpriced_turns: int
    by: Mapping[str, tuple[Row, ...]]
    """For "gateway", "model", "sku" and the further one: rows without their turns, the dearest first."""


def canonical_grouping(by: str) -> str:
    """`by` if something is grouped by it. Raises UsageError, or NotFoundError with what there is."""
    if by in PERIODS or by in COLUMNS or by == "key":
        return by
    if by.startswith(METADATA) and by != METADATA:
        return by
    if by in (METADATA, METADATA.rstrip(":")):
        raise UsageError(
            f"--by {by}: the name is missing", fix="write --by metadata:team for what was said of 'team'"
        )
    raise unknown_name("grouping", by, GROUPINGS, otherwise="")


def usage_report(file: LedgerFile, by: str, selection: Selection, *, now: datetime | None = None) -> Report:
    """The sums by one of `GROUPINGS`. A ledger that is not there yet has no rows, and is not created.

    Raises LedgerError for one that cannot be read.
    """
    moment = now or datetime.now(UTC)
    with file.reading() as connection:
        if connection is None:
            return Report(by, (), Row("total", Sum(), 0))
        column = _column(by)
        # Of columns always all: in this order an index has them.
        of_columns = column is None or column in COLUMNS
        found = lines(connection, COLUMNS if of_columns else (column or "",), selection)
        groups = _grouped(found, COLUMNS.index(column) if column in COLUMNS else 0) if column else {}
        if column in COLUMNS:
            counted = turns(connection, selection, column=column, values=list(groups))
            of_key = counted.of_value
        else:
            counted = turns(connection, selection)
            said_by = column.removeprefix(METADATA) if column else None
            of_key = turns_that_said(connection, said_by, selection) if said_by else {}
    if column is None:
        rows = _by_period(found, counted.by_day, PERIODS[by], selection, moment)
    else:
        rows = _dearest([_row(key, group, of_key.get(key, 0)) for key, group in groups.items()])
    return Report(by, rows, _row("total", found, counted.all), counted.unpriced)


def usage_overview(file: LedgerFile, selection: Selection, *, further: str | None = None) -> Overview:
    """What a page shows. `further` is "key" or "metadata:NAME". Raises LedgerError."""
    names = (*COLUMNS, *((further,) if further else ()))
    with file.reading() as connection:
        if connection is None:
            return Overview(Row("total", Sum(), 0), 0, dict.fromkeys(names, ()))
        counted = turns(connection, selection)
        found = lines(connection, [_column(name) or name for name in names], selection)
    parts = {
        name: _dearest([_row(key, group, 0) for key, group in _grouped(found, number).items()])
        for number, name in enumerate(names)
    }
    return Overview(_row("total", found, counted.all), counted.unpriced, parts)


def known_metadata(file: LedgerFile) -> tuple[str, ...]:
    """The names that `metadata:NAME` may have; the server's own entries are left out. Raises LedgerError."""
    with file.reading() as connection:
        return () if connection is None else tuple(n for n in said(connection) if n != _key_metadata())


def _column(by: str) -> str | None:
    """What `lines` groups by; None for a period."""
    if by in PERIODS:
        return None
    return METADATA + _key_metadata() if by == "key" else by


def _key_metadata() -> str:
    # Its module loads what definitions are made of, which a sum by day does without.
    from aivax_cli.usage.key_spending import KEY_METADATA

    return KEY_METADATA


def _grouped(found: Sequence[Line], number: int) -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = {}
    for line in found:
        groups.setdefault(line.keys[number], []).append(line)
    return groups


def _row(key: str, found: Sequence[Line], counted: int) -> Row:
    by_day: dict[date, list[Sum]] = {}
    for line in found:
        by_day.setdefault(line.day, []).append(line.sum)
    days = {day: added(sums) for day, sums in by_day.items()}
    return Row(key, added(days.values()), counted, days)


def _by_period(
    found: Sequence[Line], began: Mapping[date, int], period: Period, selection: Selection, now: datetime
) -> tuple[Row, ...]:
    groups: dict[date, list[Line]] = {}
    for line in found:
        groups.setdefault(begin_of(line.day, period), []).append(line)
    counted: dict[date, int] = {}
    for day, count in began.items():
        begin = begin_of(day, period)
        counted[begin] = counted.get(begin, 0) + count
    rows = []
    for begin, group in sorted(groups.items()):
        row = _row(name_of(begin, period), group, counted.get(begin, 0))
        partial = _partial(begin, period, selection, now)
        rows.append(replace(row, begin=begin, partial=partial))
    return tuple(rows)


def _partial(begin: date, period: Period, selection: Selection, now: datetime) -> bool:
    until = min(now, selection.until) if selection.until else now
    since_late = selection.since is not None and selection.since > midnight(begin)
    return since_late or midnight(after(begin, period)) > until


def _dearest(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.sum.priced_usd, -row.sum.tokens, row.key)))
