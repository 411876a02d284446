"""Amounts as bars and as a sparkline, of characters that every terminal has. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = ".:-=+*#%"
_MOST_PLACES = 6
_ROUNDING = Context(prec=200, rounding=ROUND_HALF_UP)


def bar(value: Decimal, most: Decimal, width: int, *, ascii_only: bool = False) -> str:
    """A bar of at most `width` columns, by the share that `value` is of `most`; always seen above zero."""
    if value <= 0 or most <= 0 or width <= 0:
        return ""
    if ascii_only:
        return "#" * max(1, round(value * width / most))
    eighths = max(1, round(value * width * 8 / most))
    full, rest = divmod(eighths, 8)
    return "█" * full + _EIGHTHS[rest].strip()


def sparkline(values: Sequence[Decimal], *, ascii_only: bool = False) -> str:
    """A character for each value, by its share of the largest; a blank for nothing."""
    levels = _ASCII_LEVELS if ascii_only else _LEVELS
    most = max(values, default=Decimal(0))
    if most <= 0:
        return " " * len(values)
    top = len(levels) - 1
    return "".join(
        levels[min(top, int(value * len(levels) / most))] if value > 0 else " " for value in values
    )


def places(amounts: Sequence[Decimal]) -> int:
    """Digits behind the point for a column of amounts: two of the smallest show; two to six of them."""
    smallest = min((abs(amount) for amount in amounts if amount), default=Decimal(1))
    exact = max((_fraction_digits(amount) for amount in amounts), default=2)
    wanted = 2 if smallest >= 1 else 1 - smallest.adjusted()
    return max(2, min(wanted, exact, _MOST_PLACES))


def amount_text(amount: Decimal, digits: int) -> str:
    """`$1,250.00`; `<$0.000001` for what would round to nothing."""
    if amount and abs(amount) < Decimal(1).scaleb(-digits):
        return f"<${Decimal(1).scaleb(-digits):f}"
    return f"${_ROUNDING.quantize(amount, Decimal(1).scaleb(-digits)):,f}"


def _fraction_digits(amount: Decimal) -> int:
    return len(format(amount, "f").partition(".")[2].rstrip("0"))
