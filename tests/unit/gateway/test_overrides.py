"""`--set` and `/set`: a field changed for a while."""

from decimal import Decimal

import pytest

from aivax_cli.core.errors import AivaxError, UsageError
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.overrides import with_settings
from aivax_cli.gateway.sections import Routing
from aivax_cli.gateway.settable import settable_fields

GATEWAY = Gateway.model_validate(
    {
        "id": "0198683a-2b6d-7066-9598-6ea119c219f2",
        "name": "g",
        "model": "@openai/gpt-5-mini",
        "instructions": "Be brief: always.",
        "parameters": {"temperature": 0.5},
        "knowledge": {"collections": ["kb"]},
        "pricing": {"input": "0.25", "output": "2"},
    }
)


def test_a_dotted_field_is_set() -> None:
    knowledge = with_settings(GATEWAY, ["knowledge.top=9"]).knowledge
    assert knowledge is not None
    assert knowledge.top == 9


def test_a_short_name_is_enough_where_one_field_has_it() -> None:
    assert with_settings(GATEWAY, ["temperature=0"]).parameters.temperature == 0


def test_the_last_parts_of_a_name_are_enough() -> None:
    assert with_settings(GATEWAY, ["extra_body.top_k=3"]).parameters.extra_body == {"top_k": 3}
    knowledge = with_settings(GATEWAY, ["knowledge.rerank.candidates=9"]).knowledge
    assert knowledge == with_settings(GATEWAY, ["rerank.candidates=9"]).knowledge


def test_several_settings_hold_together() -> None:
    changed = with_settings(GATEWAY, ["strategy=full-rewrite", "model=@ollama/llama3.2", "stop=[a, b]"])
    assert changed.knowledge is not None
    assert (changed.knowledge.strategy, changed.model, changed.parameters.stop) == (
        "FullRewrite",
        "@ollama/llama3.2",
        ["a", "b"],
    )


def test_what_is_not_set_stays_as_it_was() -> None:
    changed = with_settings(GATEWAY, ["top=2"])
    assert changed.pricing is not None
    assert (changed.instructions, changed.pricing.input) == ("Be brief: always.", Decimal("0.25"))


def test_an_empty_value_takes_a_field_back_to_its_default() -> None:
    assert with_settings(GATEWAY, ["temperature="]).parameters.temperature is None


def test_nothing_is_changed_in_what_was_given() -> None:
    with_settings(GATEWAY, ["temperature=1"])
    assert GATEWAY.parameters.temperature == 0.5


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("temprature=1", "did you mean 'temperature'?"),
        ("temperature=9", "parameters.temperature: must be between 0 and 2, not 9"),
        ("temperature=warm", "parameters.temperature"),
        ("strategy=Plane", "did you mean 'Plain'?"),
        ("temperature", "write field=value"),
        ("stop=[a", "is not a YAML value"),
        ("id=3", "id cannot be overridden; change it in the gateway's file"),
        ("=3", "'=3' sets nothing"),
    ],
)
def test_what_a_field_refuses_is_one_line(assignment: str, said: str) -> None:
    with pytest.raises(AivaxError) as caught:
        with_settings(GATEWAY, [assignment])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_identity_is_not_settable() -> None:
    assert not {"id", "name", "instructions_file"} & set(settable_fields())


ROUTED = GATEWAY.model_copy(update={"routing": Routing(router="@groq/small", high="@openai/gpt-5")})


def test_whoever_names_a_model_wants_that_one_and_no_router() -> None:
    assert with_settings(ROUTED, ["model=@openai/gpt-5"]).routing is None
    assert with_settings(ROUTED, ["temperature=0"]).routing is not None


def test_a_router_that_is_locked_or_named_as_well_stays() -> None:
    locked = ROUTED.model_copy(update={"locked": ["routing.router"]})
    assert with_settings(locked, ["model=@openai/gpt-5"]).routing is not None
    both = with_settings(ROUTED, ["routing.high=@openai/gpt-4.1", "model=@openai/gpt-5"])
    assert both.routing is not None


def test_every_section_has_its_fields() -> None:
    changed = with_settings(
        GATEWAY,
        [
            "context.max_tokens=4000",
            "usd_per_day=0.5",
            "routing={router: @openai/a, low: @openai/b}",
            "knowledge.filter.tags=[news]",
            "tools=[{mcp: [server]}]",
            "remote_instructions=[{url: https://example.com/a.txt}]",
            "response_schema=name, age int",
        ],
    )
    assert changed.context.max_tokens == 4000
    assert changed.budget is not None
    assert changed.budget.usd_per_day == Decimal("0.5")
    assert changed.routing is not None
    assert (changed.routing.router, changed.routing.low) == ("@openai/a", "@openai/b")
    assert changed.knowledge is not None
    assert changed.knowledge.filter is not None
    assert changed.knowledge.filter.tags == ["news"]
    assert changed.tools[0].timeout_s == 30
    assert changed.remote_instructions[0].url == "https://example.com/a.txt"
    assert changed.response_schema == "name, age int"


def test_models_of_a_list_need_no_quotes() -> None:
    assert with_settings(GATEWAY, ["model=[@openai/a, '@openai/b']"]).models == ("@openai/a", "@openai/b")


def test_a_tool_keeps_its_schema_when_another_field_is_set() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"name": "w", "description": "d", "url": "https://example.com", "schema": schema}
    gateway = Gateway.model_validate({**GATEWAY.model_dump(exclude_unset=True), "tools": [tool]})
    changed = with_settings(gateway, ["top=2"])
    assert changed.tools == gateway.tools


@pytest.mark.parametrize("text", ["{", "yes", "[1, 2", "Note: x", "12"])
def test_a_field_of_text_takes_what_is_typed(text: str) -> None:
    assert with_settings(GATEWAY, [f"prefill={text}"]).prefill == text


def test_quotes_around_a_text_are_no_part_of_it() -> None:
    assert with_settings(GATEWAY, ["prefill='- '"]).prefill == "- "


def test_a_section_is_taken_away_whole() -> None:
    assert with_settings(GATEWAY, ["knowledge="]).knowledge is None


def test_a_short_name_means_the_shallowest_field() -> None:
    changed = with_settings(GATEWAY, ["input=3"])
    assert changed.pricing is not None
    assert changed.pricing.input == 3


def test_a_short_name_of_several_fields_lists_them() -> None:
    with pytest.raises(UsageError, match=r"knowledge\.max_tokens, context\.max_tokens"):
        with_settings(GATEWAY, ["max_tokens=5"])


def test_another_model_does_not_keep_the_price() -> None:
    assert with_settings(GATEWAY, ["model=@openai/gpt-5-nano"]).pricing is None


def test_a_price_set_beside_the_model_stays() -> None:
    changed = with_settings(GATEWAY, ["pricing={input: 1, output: 2}", "model=@openai/x"])
    assert changed.pricing is not None
    assert changed.pricing.input == 1


def test_instructions_that_are_set_win_over_the_file() -> None:
    gateway = Gateway.model_validate(
        {"id": GATEWAY.id, "name": "g", "model": "@openai/x", "instructions_file": "a.md"}
    )
    assert with_settings(gateway, ["instructions=Be kind."]).instructions == "Be kind."
