"""Usage reports of many providers, all as disjoint buckets."""

from decimal import Decimal

import pytest

from aivax_cli.core.types import Charge, TokenUsage
from aivax_cli.model.buckets import billed_charges, merged, token_usage


def cached(tokens: int) -> dict[str, object]:
    return {"prompt_tokens_details": {"cached_tokens": tokens}}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param(
            {"prompt_tokens": 84, "completion_tokens": 16, "total_tokens": 1892, **cached(1792)},
            TokenUsage(84, 1792, 16),
            id="the seeds' own: cached beside the prompt",
        ),
        pytest.param(
            {"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306, **cached(1920)},
            TokenUsage(86, 1920, 300),
            id="OpenAI: cached inside the prompt",
        ),
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 5, **cached(40)},
            TokenUsage(60, 40, 5),
            id="no total: inside",
        ),
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 5, **cached(140)},
            TokenUsage(100, 140, 5),
            id="no total, more cached than prompt: beside",
        ),
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, **cached(100)},
            TokenUsage(0, 100, 5),
            id="everything cached",
        ),
        pytest.param(
            {
                "prompt_tokens": 120,
                "completion_tokens": 7,
                "total_tokens": 127,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 56,
            },
            TokenUsage(56, 64, 7),
            id="DeepSeek",
        ),
        pytest.param(
            {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57, "cached_tokens": 20},
            TokenUsage(30, 20, 7),
            id="Moonshot",
        ),
        pytest.param(
            {
                "input_tokens": 20,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 30,
                "output_tokens": 9,
            },
            TokenUsage(50, 100, 9),
            id="Anthropic: reads and writes beside the input",
        ),
        pytest.param(
            {"input_tokens": 90, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 40}},
            TokenUsage(50, 40, 9),
            id="OpenAI's Responses API: inside",
        ),
        pytest.param(
            {
                "prompt_tokens": 10,
                "completion_tokens": 4,
                "total_tokens": 64,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            TokenUsage(10, 0, 54),
            id="xAI: reasoning beside the completion",
        ),
        pytest.param(
            {
                "prompt_tokens": 10,
                "completion_tokens": 54,
                "total_tokens": 64,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            TokenUsage(10, 0, 54),
            id="OpenAI: reasoning inside the completion",
        ),
        pytest.param(
            {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 90},
            TokenUsage(10, 0, 80),
            id="Google: thoughts in the total alone",
        ),
        pytest.param(
            {"prompt_tokens": Decimal("84.0"), "completion_tokens": 1, "prompt_tokens_details": None},
            TokenUsage(84, 0, 1),
            id="numbers with a fraction of nought, null details",
        ),
        pytest.param({"completion_tokens": 3}, TokenUsage(0, 0, 3), id="output alone"),
        pytest.param({}, None, id="nothing"),
        pytest.param({"prompt_tokens": Decimal("1.5"), "completion_tokens": 3}, None, id="half a token in"),
        pytest.param({"prompt_tokens": 84, "completion_tokens": -3}, None, id="less than nothing out"),
        pytest.param(
            {"prompt_tokens": 84, "completion_tokens": None}, TokenUsage(84, 0, 0), id="input alone"
        ),
        pytest.param(
            {"prompt_tokens": 84, "completion_tokens": 1, **cached(Decimal("1.5"))},
            TokenUsage(84, 0, 1, estimated=True),
            id="half a token cached",
        ),
        pytest.param({"prompt_tokens": None, "completion_tokens": "many"}, None, id="no numbers"),
        pytest.param({"prompt_tokens": -1, "completion_tokens": True}, None, id="no counts"),
    ],
)
def test_buckets_are_disjoint(report: dict[str, object], expected: TokenUsage | None) -> None:
    assert token_usage(report) == expected


def test_a_later_report_replaces_the_earlier_one() -> None:
    earlier = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    assert token_usage(merged(earlier, {"prompt_tokens": 10, "completion_tokens": 5})) == TokenUsage(10, 0, 5)


def test_a_later_report_without_input_keeps_the_earlier_input() -> None:
    report = merged({"input_tokens": 10, "output_tokens": 1}, {"input_tokens": None, "output_tokens": 5})
    assert token_usage(report) == TokenUsage(10, 0, 5)


def test_a_bill_is_kept_as_the_endpoint_wrote_it() -> None:
    record = {
        "sku": "a.in",
        "amount": Decimal("0.0000207"),
        "unit_price": Decimal("7.5e-8"),
        "quantity": 276,
        "description": "routing",
    }
    (charge,) = billed_charges([record])
    assert charge == Charge("a.in", 276, Decimal("7.5e-8"), "routing")
    assert charge.amount_usd == Decimal("0.0000207")


def test_a_price_that_is_left_out_follows_from_the_amount() -> None:
    (charge,) = billed_charges([{"sku": "a", "amount": Decimal("0.5"), "quantity": 4}])
    assert charge.unit_price_usd == Decimal("0.125")


def test_a_record_without_price_and_amount_is_unpriced_and_not_free() -> None:
    (charge,) = billed_charges([{"sku": "a", "quantity": 4}])
    assert charge.unit_price_usd is None


@pytest.mark.parametrize(
    "records",
    [
        None,
        "text",
        {"sku": "a"},
        [None, 3],
        [{"sku": "", "quantity": 1}],
        [{"sku": "a"}],
        [{"sku": "a", "quantity": Decimal("1.5")}],
    ],
)
def test_what_is_no_record_is_left_out(records: object) -> None:
    assert billed_charges(records) == ()


@pytest.mark.parametrize(
    "price", [Decimal("NaN"), Decimal("Infinity"), Decimal("1e999"), float("nan"), "dear"]
)
def test_a_price_that_is_no_number_is_unpriced(price: object) -> None:
    (charge,) = billed_charges([{"sku": "a", "quantity": 1, "unit_price": price}])
    assert charge.unit_price_usd is None


@pytest.mark.parametrize("count", [10**29, 2**63, Decimal("1e25"), -1, "12", True, None, Decimal("NaN")])
def test_counts_that_are_none_are_no_report(count: object) -> None:
    assert token_usage({"prompt_tokens": count, "completion_tokens": count}) is None


def test_a_record_of_an_impossible_quantity_is_left_out() -> None:
    assert billed_charges([{"sku": "a", "quantity": 10**29, "unit_price": "1"}]) == ()
