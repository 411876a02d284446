"""The JSON Schemas: valid themselves, and as strict as the loader."""

from typing import Any

import pytest

from aivax_cli.core.errors import NotFoundError
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.knowledge import STRATEGIES, canonical_strategy
from aivax_cli.gateway.schema import KINDS, editor_schema, json_schema

LEAST = {"id": "0198683a-2b6d-7066-9598-6ea119c250c3", "name": "a", "model": "@openai/gpt-5-mini"}


def accepts(value: dict[str, Any]) -> bool:
    import jsonschema

    return jsonschema.Draft202012Validator(json_schema("gateway")).is_valid(value)


def knowing(**fields: Any) -> dict[str, Any]:
    return {**LEAST, "knowledge": {"collections": ["kb"], **fields}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_a_schema(kind: str) -> None:
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(json_schema(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_says_what_it_is(kind: str) -> None:
    schema = json_schema(kind)
    silent = [
        (holder.get("title"), name)
        for holder in (schema, *schema.get("$defs", {}).values())
        for name, field in holder.get("properties", {}).items()
        if not field.get("description")
    ]
    assert silent == []


@pytest.mark.parametrize(
    "value",
    [
        LEAST,
        {**LEAST, "parameters": None, "knowledge": None, "description": None},
        {**LEAST, "model": {"base_url": "http://localhost:1/v1", "name": "x"}},
        {**LEAST, "parameters": {"stop": "a", "extra_body": {"x": [1, None]}}},
        {**LEAST, "parameters": {"stop": ["a"]}},
        {**LEAST, "pricing": {"input": 0.25, "output": 2}},
        knowing(strategy="full-rewrite"),
        knowing(collections=["Documentação"]),
    ],
)
def test_schema_and_model_accept_the_same(value: dict[str, Any]) -> None:
    Gateway.model_validate(value, strict=True)
    assert accepts(value)


@pytest.mark.parametrize(
    "value",
    [
        {**LEAST, "zzz": 1},
        {**LEAST, "name": "A"},
        {**LEAST, "model": {"base_url": "x", "name": "x"}},
        {**LEAST, "parameters": {"temperature": 3}},
        {**LEAST, "pricing": {"input": "0.25", "output": 2}},
        {"name": "a", "model": "@openai/x"},
        knowing(strategy="rewrite"),
        knowing(collections=[]),
        knowing(collections=["a/b"]),
    ],
)
def test_schema_and_model_refuse_the_same(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Gateway.model_validate(value, strict=True)
    assert not accepts(value)


@pytest.mark.parametrize(
    "spelling", ["plain", "PLAIN", "full_rewrite", "Full-Rewrite", "queryfunction", "_plain_"]
)
def test_every_spelling_of_a_strategy_that_is_read_is_in_the_schema(spelling: str) -> None:
    assert canonical_strategy(spelling) in STRATEGIES
    assert accepts(knowing(strategy=spelling))


def test_an_editor_offers_the_canonical_names() -> None:
    strategy = json_schema("gateway")["$defs"]["Knowledge"]["properties"]["strategy"]
    assert strategy["anyOf"][0]["enum"] == list(STRATEGIES)


def test_an_unknown_kind_lists_the_choices() -> None:
    with pytest.raises(NotFoundError, match="choose one of: checks, collection, gateway, workspace"):
        json_schema("zzz")


@pytest.mark.parametrize(
    ("value", "sound"),
    [
        ({"id": LEAST["id"], "name": "a", "extends": "_base", "knowledge": {"top": 3}}, True),
        ({"id": LEAST["id"], "name": "a", "extends": "_base", "routing": {"low": "@openai/x"}}, True),
        ({"id": LEAST["id"], "name": "a"}, False),
        ({"id": LEAST["id"], "name": "a", "extends": None}, False),
        ({**LEAST, "knowledge": {"top": 3}}, False),
        ({**LEAST, "routing": {"low": "@openai/x"}}, False),
        ({**LEAST, "knowledge": {"collections": ["kb"], "filter": {"match": "any"}}}, False),
        ({**LEAST, "model": {"base_url": "${BASE_URL}/v1", "name": "x"}}, True),
        ({**LEAST, "model": {"base_url": "$BASE_URL", "name": "x"}}, False),
        (LEAST, True),
    ],
)
def test_an_editor_knows_what_a_base_may_hold(value: dict[str, Any], sound: bool) -> None:
    import jsonschema

    assert jsonschema.Draft202012Validator(editor_schema("gateway")).is_valid(value) is sound
