"""Money and quantities as text: exact, without float noise, and never $0 for what nobody has priced."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aivax_cli.core.types import Charge

UNPRICED = "unpriced"

_MILLION = Decimal(1_000_000)
_SHORT_DIGITS = 4


def usd(amount: Decimal) -> str:
    """The exact amount: no exponent, at least two decimals: `$0.0000207`, `$1,250.00`."""
    sign = "-" if amount < 0 else ""
    whole, _, fraction = format(abs(amount), "f").partition(".")
    return f"{sign}${int(whole):,}.{fraction.rstrip('0').ljust(2, '0')}"


def usd_short(amount: Decimal) -> str:
    """An amount for a line that is read at a glance: cents from one dollar on, else four digits."""
    if amount == 0:
        return usd(amount)
    exponent = -2 if abs(amount) >= 1 else min(-2, amount.adjusted() - _SHORT_DIGITS + 1)
    return usd(amount.quantize(Decimal(1).scaleb(exponent), rounding=ROUND_HALF_UP))


def unit_price(price: Decimal | None) -> str:
    """A price for one token, as people compare them: `$0.25 / 1M`."""
    return UNPRICED if price is None else f"{usd(price * _MILLION)} / 1M"


def cost(charges: Sequence[Charge], *, exact: bool = False) -> str:
    """What the charges cost together, honest about what is not known.

    `~` stands before a sum of which a part is estimated. Unpriced parts are named beside the sum of the
    priced ones, and stand alone when there is no priced one.
    """
    priced = [charge for charge in charges if charge.amount_usd is not None]
    unpriced = len(charges) - len(priced)
    if unpriced and not priced:
        return UNPRICED
    total = sum((charge.amount_usd for charge in priced if charge.amount_usd is not None), Decimal(0))
    about = "~" if any(charge.estimated for charge in priced) else ""
    text = about + (usd(total) if exact else usd_short(total))
    return f"{text} + {unpriced} {UNPRICED}" if unpriced else text


def cost_short(charges: Sequence[Charge]) -> str:
    """The same in the fewest characters: `~$0.0012+`, where + stands for parts that nobody has priced."""
    text, plus, _ = cost(charges).partition(" + ")
    return f"{text}+" if plus else text
