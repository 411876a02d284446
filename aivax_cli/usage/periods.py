"""Days, weeks and months, in UTC as providers bill. Pure: a period is named by the day it begins with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

Period = Literal["day", "week", "month"]


def begin_of(day: date, period: Period) -> date:
    """The first day of the period that `day` is in. Weeks begin on Monday, as ISO 8601 has them."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def after(begin: date, period: Period) -> date:
    """The first day of the period that follows the one that begins with `begin`."""
    if period == "week":
        return begin + timedelta(days=7)
    if period == "month":
        return (begin.replace(day=28) + timedelta(days=4)).replace(day=1)
    return begin + timedelta(days=1)


def periods(first: date, last: date, period: Period) -> Iterator[date]:
    """The beginnings of every period from that of `first` to that of `last`, empty ones included."""
    begin = begin_of(first, period)
    while begin <= last:
        yield begin
        begin = after(begin, period)


def name_of(begin: date, period: Period) -> str:
    """`2026-05-04` for a day and for the week from that Monday on, `2026-05` for a month."""
    return begin.isoformat()[:7] if period == "month" else begin.isoformat()


def midnight(day: date) -> datetime:
    """The moment at which a day begins."""
    return datetime.combine(day, time(), UTC)


def fitting(days: int, most: int) -> Period:
    """The shortest period of which `days` days have at most `most`; months if none has so few."""
    if days <= most:
        return "day"
    return "week" if days <= 7 * most else "month"
