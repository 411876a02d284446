"""Arguments of tool calls: what is an object of JSON, and what holds to a schema."""

import json
from typing import Any

import pytest

from aivax_cli.core.errors import UsageError
from aivax_cli.tools.arguments import ArgumentCheck, read_arguments

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "value"), [("", {}), ("  ", {}), ("{}", {}), ('{"a": [1, null]}', {"a": [1, None]})]
)
def test_arguments_are_read(text: str, value: dict[str, Any]) -> None:
    assert read_arguments(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not valid JSON"),
        ('{"a": NaN}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ("[1]", "a JSON object"),
        ("null", "a JSON object"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "nested more than"),
    ],
)
def test_what_is_no_object_of_json_is_said_to_the_model(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_arguments(text)


def test_arguments_that_hold_to_the_schema_have_no_faults() -> None:
    assert ArgumentCheck(WEATHER).faults({"city": "Lisboa", "days": [1, 2]}) == ()


def test_each_fault_names_its_place() -> None:
    faults = ArgumentCheck(WEATHER).faults({"days": [1, "two"], "unit": "K"})
    assert sorted(faults) == [
        "'city' is a required property",
        "Additional properties are not allowed ('unit' was unexpected)",
        "days[1]: 'two' is not of type 'integer'",
    ]


def test_faults_are_few_and_short() -> None:
    faults = ArgumentCheck(WEATHER).faults({"city": "x", "days": ["y" * 10_000] * 100})
    assert len(faults) == 5
    assert max(map(len, faults)) < 400


@pytest.mark.parametrize("schema", [{"type": "no-such-type"}, {"properties": 3}])
def test_an_invalid_schema_is_a_problem_and_checks_nothing(schema: dict[str, Any]) -> None:
    check = ArgumentCheck(schema)
    assert check.problem
    assert check.faults({"anything": "goes"}) == ()


def test_a_reference_to_elsewhere_is_not_fetched_and_checks_nothing() -> None:
    check = ArgumentCheck({"properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}})
    assert check.faults({"a": 1}) == ()
    assert check.problem


def test_references_within_the_schema_are_followed() -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}
    assert ArgumentCheck(schema).faults({"a": "x"}) == ("a: 'x' is not of type 'integer'",)


def test_the_schema_is_not_changed() -> None:
    before = json.dumps(WEATHER)
    ArgumentCheck(WEATHER).faults({})
    assert json.dumps(WEATHER) == before
