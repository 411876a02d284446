"""A schema as endpoints take it."""

from typing import Any

import pytest

from aivax_cli.gateway.response_schema import schema_problem
from aivax_cli.gateway.schema_forms import short_form
from aivax_cli.prompt.schema_wire import answer_format

CLOSED = short_form("name, age int")


def test_an_object_is_sent_as_it_is() -> None:
    wanted = answer_format("my gateway", CLOSED)
    assert (wanted.name, wanted.schema, wanted.strict) == ("my_gateway", CLOSED, True)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        {**CLOSED, "properties": {"name": {"type": "object"}, "age": {}}},
        {**CLOSED, "allOf": [{}]},
    ],
)
def test_a_schema_that_leaves_something_open_is_not_strict(schema: Any) -> None:
    assert not answer_format("g", schema).strict


@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": "string"}, {"anyOf": [CLOSED]}, {}])
def test_what_may_be_no_object_is_wrapped_into_one(schema: Any) -> None:
    sent: Any = answer_format("g", schema).schema
    assert sent["type"] == "object"
    assert sent["properties"] == {"value": schema}
    assert sent["required"] == ["value"]


def test_references_still_lead_where_they_led() -> None:
    tree = {
        "$defs": {"leaf": {"type": "string"}, "branch": {"type": "array", "items": {"$ref": "#"}}},
        "anyOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/branch"}],
    }
    sent: Any = answer_format("g", tree).schema
    assert sent["properties"]["value"]["anyOf"] == [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/branch"}]
    assert sent["$defs"]["branch"]["items"] == {"$ref": "#/properties/value"}
    assert schema_problem(sent) is None


def test_the_request_in_words_holds_the_schema() -> None:
    assert '"required": ["name", "age"]' in answer_format("g", CLOSED).request
