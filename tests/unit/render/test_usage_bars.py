"""Bars, sparklines and columns of amounts."""

from decimal import Decimal

import pytest

from aivax_cli.render.usage_bars import amount_text, bar, places, sparkline
from aivax_cli.render.usage_chart import Series, stacked_chart


def decimals(*texts):
    return [Decimal(text) for text in texts]


@pytest.mark.parametrize(
    ("value", "drawn"),
    [("8", "████"), ("4", "██"), ("5", "██▌"), ("0.0001", "▏"), ("0", "")],
)
def test_a_bar_is_as_long_as_its_share_to_an_eighth(value, drawn):
    assert bar(Decimal(value), Decimal(8), 4) == drawn


def test_a_bar_for_a_terminal_without_blocks_is_of_signs():
    assert bar(Decimal(4), Decimal(8), 10, ascii_only=True) == "#####"


def test_a_sparkline_has_a_blank_for_nothing_and_its_height_for_the_most():
    assert sparkline(decimals("0", "0.001", "4", "8")) == " ▁▅█"
    assert sparkline(decimals("0", "0.001", "4", "8"), ascii_only=True) == " .+%"


def test_a_sparkline_of_nothing_is_blank():
    assert sparkline(decimals("0", "0")) == "  "


@pytest.mark.parametrize(
    ("amounts", "digits"),
    [
        (("12.5", "3"), 2),
        (("12.5", "0.0213"), 3),
        (("0.00025",), 5),
        (("0.002",), 3),
        (("0.0000001234",), 6),
        ((), 2),
    ],
)
def test_a_column_has_digits_for_two_of_its_smallest_amount(amounts, digits):
    assert places(decimals(*amounts)) == digits


def test_what_would_round_to_nothing_is_said_to_be_less():
    assert amount_text(Decimal("0.0000001"), 6) == "<$0.000001"
    assert amount_text(Decimal("1234.5"), 2) == "$1,234.50"
    assert amount_text(Decimal(0), 2) == "$0.00"


def test_no_bar_of_a_chart_is_taller_than_its_scale():
    chart = stacked_chart(["a", "b"], [Series("m", (Decimal("0.078"), Decimal(0)))], usd=True, title="t")

    top = min(float(part.split('"')[1]) for part in chart.split(" y=")[1:] if "height" in part[:60])
    line = min(float(part.split('"')[1]) for part in chart.split(" y1=")[1:])
    assert top >= line


def test_names_in_a_chart_are_escaped():
    chart = stacked_chart(["<a>"], [Series("<script>", (Decimal(1),))], usd=False, title='"t"')

    assert "<script>" not in chart
    assert "&lt;a&gt; · &lt;script&gt; · 1 tokens" in chart
