"""Money as text: exact where it must be, short where it is glanced at, never $0 for what is unknown."""

from decimal import Decimal

import pytest

from aivax_cli.core.types import Charge
from aivax_cli.render.money import cost, cost_short, unit_price, usd, usd_short


def charge(amount: str | None, *, estimated: bool = False) -> Charge:
    return Charge("s", 1, None if amount is None else Decimal(amount), "d", estimated)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("3e-7", "$0.0000003"),
        ("0.0000207", "$0.0000207"),
        ("1250", "$1,250.00"),
        ("1.5", "$1.50"),
        ("-0.25", "-$0.25"),
        ("0.00000000012345678901234567", "$0.00000000012345678901234567"),
    ],
)
def test_exact_amounts_have_every_digit_and_no_exponent(amount: str, text: str) -> None:
    assert usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.000118512345", "$0.0001185"),
        ("0.999999", "$1.00"),
        ("12.3456", "$12.35"),
        ("0.05", "$0.05"),
    ],
)
def test_short_amounts_have_cents_or_four_digits(amount: str, text: str) -> None:
    assert usd_short(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("price", "text"),
    [("2.5e-7", "$0.25 / 1M"), ("0.000002", "$2.00 / 1M"), ("7.5e-8", "$0.075 / 1M"), ("0", "$0.00 / 1M")],
)
def test_prices_are_told_by_the_million_tokens(price: str, text: str) -> None:
    assert unit_price(Decimal(price)) == text


def test_an_unknown_price_is_said_to_be_unknown() -> None:
    assert unit_price(None) == "unpriced"


@pytest.mark.parametrize(
    ("charges", "text"),
    [
        ([charge("0.1"), charge("0.2")], "$0.30"),
        ([charge("0")], "$0.00"),
        ([charge(None)], "unpriced"),
        ([charge("0.1"), charge(None), charge(None)], "$0.10 + 2 unpriced"),
        ([charge("0.1", estimated=True), charge("0.1")], "~$0.20"),
    ],
)
def test_a_sum_says_what_is_estimated_and_what_it_leaves_out(charges: list[Charge], text: str) -> None:
    assert cost(charges) == text


@pytest.mark.parametrize(
    ("charges", "text"),
    [
        ([charge("0.0012")], "$0.0012"),
        ([charge("0.0012"), charge(None), charge(None)], "$0.0012+"),
        ([charge("0.0012", estimated=True), charge(None)], "~$0.0012+"),
        ([charge(None)], "unpriced"),
    ],
)
def test_in_the_fewest_characters_a_plus_stands_for_what_is_unpriced(
    charges: list[Charge], text: str
) -> None:
    assert cost_short(charges) == text
