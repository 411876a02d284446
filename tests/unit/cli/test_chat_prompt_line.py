"""The line below a chat's prompt."""

from decimal import Decimal

import pytest

from aivax_cli.cli.chat_prompt_line import Standing, prompt_line
from aivax_cli.core.types import Charge

PRICED = Charge("inference.chat_completions.in", 1_000, Decimal("0.00000125"), "")
UNPRICED = Charge("inference.chat_completions.out", 10, None, "")

WHOLE = Standing(
    "support", "@openai/gpt-5-mini", "UserRewrite", ("handbook", "faq"), attached=1, spent=(PRICED, UNPRICED)
)


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (100, "support · @openai/gpt-5-mini · UserRewrite over handbook, faq · 1 file · $0.00125+"),
        (81, "support · @openai/gpt-5-mini · UserRewrite · 1 file · $0.00125+"),
        (62, "support · UserRewrite · 1 file · $0.00125+"),
        (40, "support · UserRewrite · $0.00125+"),
        (32, "support · $0.00125+"),
        (18, "suppo… · $0.00125+"),
        (10, "$0.00125+"),
    ],
)
def test_what_does_not_fit_is_left_out_and_the_cost_stays(columns: int, line: str) -> None:
    assert prompt_line(WHOLE, columns) == line
    assert len(line) <= columns


def test_what_there_is_not_is_not_shown() -> None:
    assert prompt_line(Standing("talk", "big"), 80) == "talk · big"


def test_a_wide_name_is_cut_by_the_cells_that_it_takes() -> None:
    assert prompt_line(Standing("日本語の窓口", "big"), 8) == "日本語…"
