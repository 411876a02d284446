"""The worst that a call may cost, and the words of a refusal."""

from decimal import Decimal
from typing import Any

import pytest

from aivax_cli.core.types import AnswerFormat, Message, ModelCall, ModelTarget, Prices, Purpose, ToolSpec
from aivax_cli.usage.budget import (
    ASSUMED_OUTPUT_TOKENS,
    WorstCase,
    beside_messages,
    over_budget,
    unpriced,
    worst_case,
)

TARGET = ModelTarget("@openai/gpt-5-mini", "openai", "gpt-5-mini", "https://api.openai.com/v1")
PRICES = Prices(Decimal("0.00000025"), Decimal("0.000002"), Decimal("0.000000025"))


def call(purpose: Purpose = Purpose.ANSWER, **parameters: Any) -> ModelCall:
    return ModelCall(purpose, TARGET, (Message("user", "hi"),), parameters)


def worst(window: int | None = None, **parameters: Any) -> WorstCase:
    return worst_case(call(**parameters), PRICES, 1000, window)


def test_input_and_the_longest_answer_are_reckoned_with() -> None:
    case = worst(max_completion_tokens=500)
    assert case.usd == Decimal("0.00025") + Decimal("0.001")
    assert (case.output_tokens, case.limited) == (500, True)


@pytest.mark.parametrize(
    ("parameters", "window", "output"),
    [
        ({}, None, ASSUMED_OUTPUT_TOKENS),
        ({}, 8192, 8192),
        ({}, 400_000, ASSUMED_OUTPUT_TOKENS),
        ({"max_tokens": 100}, None, 100),
        ({"max_tokens": 100, "max_completion_tokens": 300}, None, 300),
        ({"extra_body": {"max_tokens": 100}}, None, 100),
        ({"max_completion_tokens": None}, None, ASSUMED_OUTPUT_TOKENS),
        ({"max_completion_tokens": 70_000}, 8192, 70_000),
    ],
)
def test_without_a_limit_of_its_own_an_answer_is_assumed_to_be_long(
    parameters: dict[str, Any], window: int | None, output: int
) -> None:
    assert worst(window, **parameters).output_tokens == output


def test_several_answers_at_once_cost_as_much_as_several() -> None:
    one, three = worst(max_completion_tokens=500), worst(max_completion_tokens=500, n=3)
    assert three.usd - three.input_usd == 3 * (one.usd - one.input_usd)


def test_input_is_reckoned_at_the_dearest_of_its_prices() -> None:
    dear = Prices(Decimal("0.000001"), Decimal(0), Decimal("0.000002"))
    assert WorstCase("m", dear, 10).usd == Decimal("0.00002")


def test_tools_and_the_schema_of_the_answer_are_input_too() -> None:
    tools = (ToolSpec("look", "Looks it up.", {"type": "object"}),)
    form = AnswerFormat("answer", {"type": "array"}, True, "As JSON.")
    sent = ModelCall(Purpose.STRUCTURED, TARGET, (), {"response_format": {"a": 1}}, tools, form)
    assert beside_messages(sent) == 'lookLooks it up.{"type": "object"}{"a": 1}As JSON.{"type": "array"}'


def test_a_refusal_names_the_figures_and_the_longest_answer_that_fits() -> None:
    error = over_budget(worst(), "usd_per_request", Decimal("0.01"), Decimal("0.004"))
    assert str(error) == (
        "this call of @openai/gpt-5-mini may cost $0.03302 (1,000 tokens in, up to 16,384 out:"
        " max_completion_tokens is not set), and the budget of this request, $0.01, has $0.006 left;"
        " --set parameters.max_completion_tokens=2875, or --set budget.usd_per_request=0.038"
    )


def test_the_longest_answer_that_fits_does_fit() -> None:
    case = worst()
    fits = case.output_within(Decimal("0.006"))
    assert worst(max_completion_tokens=fits).usd <= Decimal("0.006")
    assert worst(max_completion_tokens=fits + 1).usd > Decimal("0.006")


def test_a_raised_budget_as_proposed_has_room() -> None:
    case, taken = worst(), Decimal("0.123456")
    proposed = str(over_budget(case, "usd_per_day", Decimal("0.13"), taken)).rpartition("=")[2]
    assert Decimal(proposed) >= taken + case.usd


@pytest.mark.parametrize("purpose", [Purpose.ROUTE, Purpose.REWRITE, Purpose.RERANK])
def test_what_a_gateway_does_not_set_is_not_proposed(purpose: Purpose) -> None:
    case = worst_case(call(purpose, max_completion_tokens=200), PRICES, 1000, None)
    error = str(over_budget(case, "usd_per_day", Decimal("0.0005"), Decimal(0)))
    assert "max_completion_tokens" not in error
    assert error.endswith("of today (UTC), $0.0005, has $0.0005 left; --set budget.usd_per_day=0.00065")


def test_nothing_that_is_locked_is_proposed() -> None:
    given = (worst(), "usd_per_request", Decimal("0.01"), Decimal(0))
    assert over_budget(*given, ["budget"]).fix == (
        "--set parameters.max_completion_tokens=4875, or raise budget.usd_per_request in the gateway's file"
    )
    assert over_budget(*given, ["parameters"]).fix == "--set budget.usd_per_request=0.034"


def test_no_shorter_answer_helps_when_the_input_alone_is_too_dear() -> None:
    error = str(over_budget(worst(), "usd_per_request", Decimal("0.0001"), Decimal(0)))
    assert "parameters.max_completion_tokens" not in error


def test_an_unpriced_model_is_refused_with_the_way_to_price_it() -> None:
    inline = ModelTarget("m", "", "m", "https://models.example/v1")
    assert 'prices: {"@openai/gpt-5-mini": {input: …, output: …}} in aivax.yaml' in str(unpriced(TARGET))
    assert str(unpriced(inline)).endswith("pricing: {input: …, output: …} beside its base_url")
    assert str(unpriced(inline, reads=True)).endswith("pricing: {input: …, output: 0} beside its base_url")
