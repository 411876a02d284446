"""`--set` and `/set`: a field changed for a while."""

from decimal import Decimal

import pytest

from aivax_cli.core.errors import AivaxError
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.overrides import with_settings
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
        ("id=3", "no field named 'id'"),
    ],
)
def test_what_a_field_refuses_is_one_line(assignment: str, said: str) -> None:
    with pytest.raises(AivaxError) as caught:
        with_settings(GATEWAY, [assignment])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_identity_is_not_settable() -> None:
    assert not {"id", "name", "instructions_file"} & set(settable_fields())
