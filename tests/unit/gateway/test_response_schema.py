"""What `response_schema` may hold, and how it is said what is wrong with it."""

import time
from typing import Any

import pytest

from aivax_cli.core.errors import UsageError
from aivax_cli.gateway.response_schema import schema_problem
from aivax_cli.gateway.schema_forms import short_form


def test_the_short_form_is_a_closed_object_with_every_field_required() -> None:
    assert short_form("name, age int, score float, ok bool, nick str") == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "score": {"type": "number"},
            "ok": {"type": "boolean"},
            "nick": {"type": "string"},
        },
        "required": ["name", "age", "score", "ok", "nick"],
        "additionalProperties": False,
    }


def test_a_description_follows_a_colon() -> None:
    schema: Any = short_form("age int: in years: whole ones, name")
    assert schema["properties"] == {
        "age": {"type": "integer", "description": "in years: whole ones"},
        "name": {"type": "string"},
    }


def test_with_lines_a_description_may_hold_commas() -> None:
    schema: Any = short_form("name: first, then last\n\n  age int  \n")
    assert schema["properties"]["name"]["description"] == "first, then last"
    assert schema["required"] == ["name", "age"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no field"),
        (" , ,", "names no field"),
        (": a description", "no name before the colon"),
        ("name string", "unknown type 'string'; did you mean 'str'?"),
        ("name xyzzy", "choose one of: str, int, float, bool"),
        ("a b c", "more than a name and a type"),
        ("../person", "is no name of a field"),
        ("a, b, a int", "'a' is named twice"),
    ],
)
def test_a_short_form_that_is_none_says_why(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        short_form(text)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
        {"$defs": {"x": {"type": "string"}}, "type": "array", "items": {"$ref": "#/$defs/x"}},
        {"type": "object", "properties": {"child": {"$ref": "#"}}},
        {"$anchor": "here", "type": "object", "properties": {"child": {"$ref": "#here"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"},
        # Words that only look like keywords: names of fields, and data.
        {"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}}},
        {"enum": [{"$ref": "http://elsewhere/x"}]},
    ],
)
def test_a_json_schema_is_sound(schema: Any) -> None:
    assert schema_problem(schema) is None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "objec"}, 'type: "objec" is no JSON type: array,'),
        ({"properties": {"a": {"type": "strin"}}}, 'properties.a.type: "strin" is no JSON type'),
        ({"type": ["string", "x"]}, "is no JSON type"),
        ({"required": "name"}, 'required: must be array, not "name"'),
        ({"minLength": -1}, "minLength: -1 is less than the minimum of 0"),
        ({"pattern": "("}, "pattern: is no regular expression"),
        ({"patternProperties": {"[": {}}}, "patternProperties.[: is no regular expression"),
        ({"items": {"$ref": "https://x.org/s.json"}}, "items.$ref: 'https://x.org/s.json' is elsewhere"),
        ({"$ref": "other.json"}, "'other.json' is elsewhere"),
        ({"$ref": "#/$defs/nothing"}, "'#/$defs/nothing' is not in the schema"),
        ({"$ref": "#nothing"}, "'#nothing' is not in the schema"),
        ({"$ref": "#"}, "refers to itself without an end"),
        ({"$schema": "http://x.org/draft"}, "$schema: 'http://x.org/draft' is no known dialect"),
        ([], "must be a JSON Schema"),
        ("name strr", "did you mean 'str'?"),
        ("schemas/person", "a schema's file ends in .json or .yaml"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(schema: Any, said: str) -> None:
    problem = schema_problem(schema)
    assert problem is not None
    assert said in problem
    assert "\n" not in problem


def test_a_schema_nested_beyond_all_reason_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(300):
        schema = {"items": schema}
    assert schema_problem(schema) == "is nested beyond all reason"


def test_a_schema_of_thousands_of_parts_is_refused_at_once() -> None:
    huge = {"properties": {f"p{number}": {} for number in range(50_000)}}
    began = time.process_time()
    assert schema_problem(huge) == "has over 2,000 parts"
    assert time.process_time() - began < 5
