"""What the OpenAPI document says of Responses, Messages and embeddings; their full shapes are elsewhere."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_FREE = {"type": "object", "additionalProperties": True}


def adapter_paths() -> dict[str, Any]:
    """The paths, for `openapi.document`."""
    texts = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 256}]}
    items = {"anyOf": [_TEXT, {"type": "array", "items": _FREE, "minItems": 1}]}
    message = {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"enum": ["user", "assistant"]},
            "content": {"anyOf": [_TEXT, {"type": "array", "items": _FREE}]},
        },
    }
    return {
        "/v1/responses": _post(
            "createResponse",
            "A response in OpenAI's Responses, whole or streamed",
            {"model": _TEXT, "input": items, "stream": {"type": "boolean"}, "instructions": _TEXT},
            ("model", "input"),
            streams=True,
        ),
        "/v1/messages": _post(
            "createMessage",
            "A message in Anthropic's Messages, whole or streamed",
            {
                "model": _TEXT,
                "messages": {"type": "array", "items": message, "minItems": 1},
                "max_tokens": {"type": "integer", "minimum": 1},
                "system": items,
                "stream": {"type": "boolean"},
            },
            ("model", "messages"),
            streams=True,
        ),
        "/v1/embeddings": _post(
            "createEmbeddings",
            "Vectors by the embedder of that name, or by that of the collection of that name",
            {
                "model": _TEXT,
                "input": texts,
                "encoding_format": {"enum": ["float", "base64"]},
                "input_type": {"enum": ["query", "passage"]},
            },
            ("model", "input"),
        ),
    }


def _post(
    identity: str, about: str, fields: dict[str, Any], required: tuple[str, ...], *, streams: bool = False
) -> dict[str, Any]:
    asked = {"type": "object", "properties": fields, "required": list(required)}
    answered: dict[str, Any] = {"application/json": {"schema": _FREE}}
    if streams:
        answered["text/event-stream"] = {"schema": _TEXT}
    return {
        "post": {
            "operationId": identity,
            "summary": about,
            "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
            "responses": {
                "200": {"description": "The answer.", "content": answered},
                "default": {
                    "description": "What was wrong.",
                    "content": {"application/json": {"schema": _FREE}},
                },
            },
        }
    }
