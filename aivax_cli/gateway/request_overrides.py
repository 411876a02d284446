"""What a request in OpenAI's form changes of a gateway for itself: fields, and tools of its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import ToolSpec
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.overrides import changed, full_name, refuse_locked
from aivax_cli.gateway.sections import FUNCTION_NAME
from aivax_cli.gateway.settable import NOT_FROM_REQUESTS, REQUEST_FIELDS, overlap

_WHOLE = ("seed", "max_completion_tokens", "max_tokens")


def with_fields(gateway: Gateway, fields: Mapping[str, object], *, locked_at: str = "") -> Gateway:
    """The gateway with fields changed as a request over the network may: dotted name → JSON value.

    None takes a field back to its default. Raises as `with_settings` does, also for the fields of
    `settable.NOT_FROM_REQUESTS`, and for a response schema that is not inline: a request names no files.
    """
    changes = [(full_name(field), value) for field, value in fields.items()]
    for name, value in changes:
        if any(overlap(name, refused) for refused in NOT_FROM_REQUESTS):
            raise UsageError(f"{name} cannot be changed by a request", fix="the gateway chooses it")
        if name == "response_schema" and not isinstance(value, dict | None):
            raise UsageError("response_schema must be a JSON Schema, written out in the request")
    return changed(gateway, changes, locked_at)


def request_fields(body: Mapping[str, object]) -> dict[str, object]:
    """What the body of an OpenAI request asks to be changed, as `with_fields` takes it.

    Fields that are null, or are no parameters, are left out; `model` and `tools` are the caller's to read,
    under `refuse_locked`. `response_format` becomes a response schema: `json_object` any object, `text` none.
    Raises UsageError for a `response_format` of another type.
    """
    fields: dict[str, object] = {}
    for name, field in REQUEST_FIELDS.items():
        value = body.get(name)
        if value is None or name in ("model", "tools"):
            continue
        if name in _WHOLE and isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON knows one kind of number
        fields[field] = _schema_of(value) if name == "response_format" else value
    return fields


def request_tools(
    gateway: Gateway, body: Mapping[str, object], *, locked_at: str = ""
) -> tuple[ToolSpec, ...]:
    """The functions that the body of an OpenAI request offers the model; whoever asked carries them out.

    Raises UsageError when they are not written as OpenAI's, and when the gateway locks `tools`.
    """
    given = body.get("tools")
    if given is None or given == []:
        return ()
    refuse_locked(gateway, "tools", locked_at=locked_at)
    tools = given if isinstance(given, list) else [None]
    return tuple(_function(place, tool) for place, tool in enumerate(tools))


def _function(place: int, tool: object) -> ToolSpec:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if (
        not isinstance(function, Mapping)
        or not isinstance(name, str)
        or not re.fullmatch(FUNCTION_NAME, name)
    ):
        raise UsageError(f'tools[{place}] must be {{"type": "function", "function": {{"name": …}}}}')
    schema = function.get("parameters", {"type": "object", "properties": {}})
    description = function.get("description") or ""
    if not isinstance(schema, Mapping) or not isinstance(description, str):
        raise UsageError(f"tools[{place}] must have a text as description and a JSON Schema as parameters")
    return ToolSpec(name, description, schema)


def _schema_of(response_format: object) -> object:
    """The response schema that OpenAI's `response_format` asks for."""
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    given = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    if kind == "json_schema" and isinstance(given, Mapping) and isinstance(given.get("schema"), Mapping):
        return dict(given["schema"])
    raise UsageError(
        "response_format must be of type text, json_object, or json_schema with json_schema.schema"
    )
