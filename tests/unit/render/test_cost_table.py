"""The table of costs, as it is printed."""

import io
from decimal import Decimal

from rich.console import Console

from aivax_cli.core.types import Charge
from aivax_cli.render.cost import cost_table

ROUTING = "Inference for model routing"
ANSWERING = "Inference for AI model '@openai/gpt-5-mini'"

# The published example of AIVAX's documentation.
PUBLISHED = (
    Charge("inference.resolving.routing_complexity.in", 276, Decimal("7.5e-8"), ROUTING),
    Charge("inference.resolving.routing_complexity.out", 1, Decimal("3e-7"), ROUTING),
    Charge("inference.chat_completions.in", 84, Decimal("2.5e-7"), ANSWERING),
    Charge("inference.chat_completions.out", 16, Decimal("0.000002"), ANSWERING),
    Charge("inference.chat_completions.in.cached", 1792, Decimal("2.5e-8"), ANSWERING),
)


def printed(*charges: Charge, width: int = 140) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(cost_table(charges))
    return file.getvalue()


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in text.splitlines()]


def test_the_published_example_has_exactly_its_amounts() -> None:
    rows = cells(printed(*PUBLISHED))
    assert [row for row in rows if row and row[0].startswith("inference")] == [
        ["inference.resolving.routing_complexity.in", "276", "$0.075 / 1M", "$0.0000207", ROUTING],
        ["inference.resolving.routing_complexity.out", "1", "$0.30 / 1M", "$0.0000003", ROUTING],
        ["inference.chat_completions.in", "84", "$0.25 / 1M", "$0.000021", ANSWERING],
        ["inference.chat_completions.out", "16", "$2.00 / 1M", "$0.000032", ANSWERING],
        ["inference.chat_completions.in.cached", "1,792", "$0.025 / 1M", "$0.0000448", ANSWERING],
    ]
    assert rows[-1] == ["total", "$0.0001188"]


def test_an_unpriced_line_is_never_zero() -> None:
    rows = cells(printed(PUBLISHED[2], Charge("x.out", 5, None, "elsewhere")))
    assert ["x.out", "5", "unpriced", "unpriced", "elsewhere"] in rows
    assert rows[-1] == ["total", "$0.000021 + 1 unpriced"]


def test_an_estimated_quantity_is_marked() -> None:
    assert "~1,234" in printed(Charge("x.in", 1234, Decimal(1), "d", estimated=True))


def test_a_narrow_screen_cuts_off_no_amount_and_no_sku() -> None:
    text = printed(*PUBLISHED, width=40)
    folded = text.replace("\n", "").replace(" ", "")
    for charge, amount in zip(PUBLISHED, ("$0.0000207", "$0.0000003", "$0.000021"), strict=False):
        assert charge.sku[-6:] in folded
        assert amount in text
    assert "…" not in text


def test_markup_in_a_description_is_text() -> None:
    assert "[red]sale[/red]" in printed(Charge("x.in", 1, Decimal(1), "[red]sale[/red]"))
