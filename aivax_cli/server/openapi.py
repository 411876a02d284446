"""The OpenAPI document: what is asked and answered under which path, for clients and for generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aivax_cli import __version__

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_FREE: Schema = {"type": "object", "additionalProperties": True}


def document(more_paths: Mapping[str, Any] | None = None) -> Schema:
    """An OpenAPI 3.1 document; `more_paths` are added to its paths."""
    chat = {
        "post": _operation("chatCompletion", "A chat completion, whole or streamed", "ChatRequest", "Chat")
    }
    chat["post"]["responses"]["200"]["content"]["text/event-stream"] = {"schema": _TEXT}
    name = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
    paths = {
        "/v1/chat/completions": chat,
        "/v1/models": {"get": _operation("listModels", "The gateways", None, "Models")},
        "/v1/models/{name}": {
            "get": {
                **_operation("getModel", "A gateway by name, slug or id", None, "Model"),
                "parameters": [name],
            }
        },
        "/healthz": {"get": _plain("healthy", "Whether the server is there")},
        "/readyz": {"get": _plain("ready", "Whether everything is loaded", unavailable=True)},
        "/metrics": {"get": _plain("metrics", "Counters in Prometheus' text format")},
        **(more_paths or {}),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "aivax", "version": __version__},
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(identity: str, about: str, asked: str | None, answered: str) -> Schema:
    found: Schema = {
        "operationId": identity,
        "summary": about,
        "responses": {
            "200": {"description": "The answer.", "content": _json(answered)},
            "default": {"description": "What was wrong.", "content": _json("Error")},
        },
    }
    if asked:
        found["requestBody"] = {"required": True, "content": _json(asked)}
    return found


def _plain(identity: str, about: str, *, unavailable: bool = False) -> Schema:
    responses = {"200": {"description": "It is.", "content": {"text/plain": {"schema": _TEXT}}}}
    if unavailable:
        responses["503"] = {"description": "Not yet.", "content": {"text/plain": {"schema": _TEXT}}}
    return {"operationId": identity, "summary": about, "responses": responses}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _object(required: tuple[str, ...] = (), **properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _nullable(kind: str, **more: Any) -> Schema:
    return {"type": [kind, "null"], **more}


def _schemas() -> Schema:
    part = _object(("type",), type={"enum": ["text", "image_url"]}, text=_TEXT, image_url=_FREE)
    message = _object(
        ("role",),
        role={"enum": ["system", "developer", "user", "assistant", "tool"]},
        content={"anyOf": [_TEXT, _list(part), {"type": "null"}]},
        tool_calls=_list(_FREE),
        tool_call_id=_TEXT,
    )
    request = _object(
        ("model",),
        model={**_TEXT, "description": "A gateway's name, slug or id."},
        messages=_list(message),
        prompt={**_TEXT, "description": "In place of messages: one message of the user."},
        stream=_nullable("boolean"),
        stream_options=_nullable("object", properties={"include_usage": {"type": "boolean"}}),
        temperature=_nullable("number", minimum=0, maximum=2),
        top_p=_nullable("number", minimum=0, maximum=1),
        presence_penalty=_nullable("number", minimum=-2, maximum=2),
        frequency_penalty=_nullable("number", minimum=-2, maximum=2),
        seed=_nullable("integer"),
        stop={"anyOf": [_TEXT, _list(_TEXT), {"type": "null"}]},
        max_completion_tokens=_nullable("integer", minimum=1),
        max_tokens=_nullable("integer", minimum=1),
        reasoning_effort=_nullable("string"),
        verbosity=_nullable("string"),
        tools=_list(_FREE),
        tool_choice={},
        parallel_tool_calls=_nullable("boolean"),
        response_format=_nullable("object"),
        response_schema=_nullable("object"),
        metadata=_nullable("object", additionalProperties=_TEXT),
        idempotency_key=_nullable("string", minLength=1, maxLength=128),
        dialect={"enum": ["openai", "hosted", None]},
    )
    usage = _object(
        prompt_tokens=_WHOLE,
        completion_tokens=_WHOLE,
        total_tokens=_WHOLE,
        prompt_tokens_details=_object(cached_tokens=_WHOLE),
    )
    charge = _object(
        sku=_TEXT,
        amount=_nullable("number"),
        unit_price=_nullable("number"),
        quantity=_WHOLE,
        description=_TEXT,
    )
    choice = _object(index=_WHOLE, message=_FREE, logprobs={"type": "null"}, finish_reason=_TEXT)
    model = _object(
        ("id", "object"),
        id=_TEXT,
        object={"const": "model"},
        created=_WHOLE,
        owned_by=_TEXT,
        slug=_TEXT,
        gateway_id=_TEXT,
        description=_TEXT,
    )
    return {
        "ChatRequest": request,
        "Chat": _object(
            ("id", "object", "choices", "usage"),
            id=_TEXT,
            object={"const": "chat.completion"},
            created=_WHOLE,
            model=_TEXT,
            choices=_list(choice),
            usage=usage,
            service_tier=_TEXT,
            generation_context=_object(
                generated_usage=_list(charge), runned_functions=_list(_FREE), search_terms=_list(_TEXT)
            ),
            citations=_list(_FREE),
        ),
        "Model": model,
        "Models": _object(object={"const": "list"}, data=_list(model)),
        "Error": _object(
            ("error",),
            error=_object(
                ("message", "type"),
                message=_TEXT,
                type=_TEXT,
                param=_nullable("string"),
                code=_nullable("string"),
            ),
        ),
    }
