"""Values against schemas: what is said, how much of it, and in what time."""

import time
from typing import Any

import pytest

from aivax_cli.prompt.schema_checks import MOST_PROBLEMS, problems_of


@pytest.mark.parametrize(
    ("value", "schema", "said"),
    [
        (1, {"type": ["string", "null"]}, "must be string or null, not 1"),
        ("c", {"enum": ["a", "b"]}, 'must be one of "a", "b", not "c"'),
        (2, {"const": 1}, "must be 1, not 2"),
        ("x", {"pattern": "^a"}, '"x" does not match the pattern ^a'),
        ("x", {"format": "date"}, '"x" is no date'),
        ("not one", {"format": "uuid"}, '"not one" is no uuid'),
        ("ab", {"minLength": 3}, "has 2 characters; at least 3 are allowed"),
        ([1, 2, 3], {"maxItems": 2}, "has 3 items; at most 2 are allowed"),
        (7, {"maximum": 5}, "7 is greater than the maximum of 5"),
        (3, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "3 fits none of what is allowed"),
    ],
)
def test_a_problem_names_the_rule_and_the_value(value: Any, schema: Any, said: str) -> None:
    assert problems_of(value, schema) == (said,)


def test_a_problem_has_its_place() -> None:
    name = {"type": "object", "properties": {"name": {"type": "string"}}}
    schema = {"type": "object", "properties": {"people": {"type": "array", "items": name}}}
    value: Any = {"people": [{"name": "a"}, {"name": 5}]}
    assert problems_of(value, schema) == ("people[1].name: must be string, not 5",)


def test_formats_that_are_not_checked_are_no_problem() -> None:
    assert problems_of("x", {"format": "date-time"}) == ()


def test_problems_are_ten_lines_at_most() -> None:
    found = problems_of(list(range(50)), {"items": {"type": "string"}})
    assert len(found) == MOST_PROBLEMS
    assert found[-1] == "and 41 more"


def test_a_long_value_does_not_make_a_long_problem() -> None:
    assert len(problems_of("x" * 100_000, {"type": "integer"})[0]) < 200


def test_a_pattern_that_never_ends_is_given_up() -> None:
    began = time.monotonic()
    found = problems_of(["a" * 80 + "!"] * 9, {"items": {"pattern": "^(a|aa)+$"}})
    assert found == ("a text takes too long to check against its pattern",)
    assert time.monotonic() - began < 60


def test_names_of_fields_cannot_keep_a_pattern_busy_either() -> None:
    schema = {"patternProperties": {"^x": {}}, "additionalProperties": False}
    assert problems_of({"a" * 5_000: 1}, schema) == ("the name of a field is 5,000 characters long",)


@pytest.mark.parametrize("value", [int("9" * 400), 1e308])
def test_numbers_beyond_reason_are_problems_not_faults(value: Any) -> None:
    assert isinstance(problems_of(value, {"multipleOf": 1e-300}), tuple)


def test_a_value_nested_beyond_reason_is_a_problem() -> None:
    value: Any = 1
    for _ in range(3_000):
        value = [value]
    assert problems_of(value, {"items": {"$ref": "#"}}) == ("it is nested beyond all reason",)


def test_an_older_dialect_holds_where_the_schema_says_so() -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}
    assert problems_of([1], schema) == ("[0]: must be string, not 1",)
