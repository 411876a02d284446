"""`--since` and `--until`: moments as people write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from aivax_cli.core.errors import UsageError
from aivax_cli.usage.periods import after, midnight

_SPANS = {"h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str, *, now: datetime) -> datetime:
    """`7d`, `24h`, `2w` back from now, a month, or a date or moment of ISO 8601 (UTC unless it says so)."""
    return _ago(text, now) or _moment(text, "--since", ends=False)


def parse_until(text: str, *, now: datetime) -> datetime:
    """The same as the first moment that is not meant any more: a date or a month is meant until its end."""
    return _ago(text, now) or _moment(text, "--until", ends=True)


def _ago(text: str, now: datetime) -> datetime | None:
    span = re.fullmatch(r"(\d{1,5})([hdw])", text.strip().lower())
    return now - timedelta(**{_SPANS[span[2]]: int(span[1])}) if span else None


def _moment(text: str, option: str, *, ends: bool) -> datetime:
    said = text.strip()
    try:
        if re.fullmatch(r"\d{4}-\d{2}", said):
            month = date.fromisoformat(f"{said}-01")
            return midnight(after(month, "month") if ends else month)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", said):
            day = date.fromisoformat(said)
            return midnight(after(day, "day") if ends else day)
        moment = datetime.fromisoformat(said)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{option}: '{text}' is no time", fix="write 7d, 24h, 2w or a date like 2026-01-31"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
