"""A JSON Schema as endpoints take it: the schema of an object, strict where it may be. Pure.

Source of the rules of strict mode: https://platform.openai.com/docs/guides/structured-outputs
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from aivax_cli.core.types import AnswerFormat, JsonValue
from aivax_cli.gateway.response_schema import subschemas

WRAPPED: Final = "value"
"""The field that holds an answer which is no object: endpoints guarantee objects alone."""
_DEFINITIONS: Final = ("$defs", "definitions")
_NOT_STRICT: Final = frozenset(
    {"allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"}
    | {"patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "prefixItems"}
    | {"contains", "minContains", "maxContains", "uniqueItems", "minProperties", "maxProperties"}
)
"""Keywords that strict mode refuses."""


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether whatever holds to the schema is an object, as far as its root says."""
    return schema.get("type") == "object"


def answer_format(name: str, schema: Mapping[str, Any], *, begun: bool = False) -> AnswerFormat:
    """What is sent for a schema. `begun` says that a prefill has the answer begun already."""
    sent = dict(schema) if is_object(schema) else _wrapped(schema)
    sent.pop("$schema", None)
    return AnswerFormat(_name(name), sent, _may_be_strict(sent), _request(sent), in_words_only=begun)


def _wrapped(schema: Mapping[str, Any]) -> dict[str, JsonValue]:
    """An object with the schema as its only field. What it refers to is still where it says."""
    definitions = {key: schema[key] for key in _DEFINITIONS if key in schema}
    inner = {key: value for key, value in schema.items() if key not in (*_DEFINITIONS, "$schema", "$id")}
    wrapped: dict[str, Any] = {
        "type": "object",
        "properties": {WRAPPED: _moved(inner)},
        "required": [WRAPPED],
        "additionalProperties": False,
    }
    return wrapped | {key: _moved(value) for key, value in definitions.items()}


def _moved(value: Any) -> Any:
    """The same with its references to the root led to where the root is now."""
    if isinstance(value, (list, tuple)):
        return [_moved(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    moved = {key: _moved(item) for key, item in value.items()}
    reference = value.get("$ref")
    into_definitions = tuple(f"#/{key}/" for key in _DEFINITIONS)
    to_root = isinstance(reference, str) and (reference == "#" or reference.startswith("#/"))
    if isinstance(reference, str) and to_root and not reference.startswith(into_definitions):
        moved["$ref"] = f"#/properties/{WRAPPED}{reference[1:]}"
    return moved


def _may_be_strict(schema: Mapping[str, Any]) -> bool:
    """Whether every object in it is closed and all its fields are required, with no keyword beyond that."""
    for _, each in subschemas(schema):
        if _NOT_STRICT & each.keys():
            return False
        kind = each.get("type")
        if (
            kind != "object"
            and "properties" not in each
            and not (isinstance(kind, list) and "object" in kind)
        ):
            continue
        properties, required = each.get("properties"), each.get("required", [])
        if each.get("additionalProperties") is not False or not isinstance(properties, Mapping):
            return False
        if set(required) != set(properties):
            return False
    return True


def _name(name: str) -> str:
    """At most 64 letters, digits, `_` and `-`."""
    return (
        "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)[:64] or "answer"
    )


def _request(schema: Mapping[str, Any]) -> str:
    return (
        "Answer with one JSON object and nothing else: no explanation, no Markdown. "
        f"It must hold to this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )
