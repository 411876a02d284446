"""The OpenAPI document: what is asked and answered under which path, for clients and for generators. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aivax_cli import __version__
from aivax_cli.server.openapi_schemas import TEXT, Schema, ref, schemas

_FAULTS: Final[Mapping[int, str]] = {
    400: "A field is wrong or locked, or the conversation does not fit.",
    401: "A key is needed, is wrong, or was revoked.",
    402: "A budget has no room for this.",
    403: "The key may not do this, or a page of another site asks.",
    404: "There is no such gateway, or other thing of that name; the nearest name is told.",
    405: "The path has no such method.",
    408: "The body did not come in time.",
    409: "The idempotency key is another request's, or its request is under way.",
    413: "The body is too long.",
    415: "The body is not JSON.",
    422: "The model's endpoint calls the request wrong.",
    429: "Too many requests of the key, or at the model's endpoint.",
    502: "The model's endpoint failed, or broke off.",
    503: "Something of the server is not in order, or it is shutting down.",
}
READING: Final = (401, 403, 503)
"""The faults of what reads alone."""
ASKING: Final = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 502, 503)
"""The faults of what asks a model."""


def document(more_paths: Mapping[str, Any] | None = None) -> Schema:
    """An OpenAPI 3.1 document; `more_paths` are added to its paths."""
    chat = operation("A chat completion, whole or streamed", ref("Chat"), ASKING, ref("ChatRequest"))
    streamed(chat)
    name = {"name": "name", "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}
    model = operation("A gateway by name, slug or id", ref("Model"), (*READING, 404))
    models = operation("The gateways", ref("Models"), READING)
    paths = {
        "/v1/chat/completions": {"post": {"operationId": "chatCompletion", **chat}},
        "/api/v1/chat/completions": {"post": {"operationId": "chatCompletionOfHostedService", **chat}},
        "/api/v1/chat-completions": {"post": {"operationId": "chatCompletionByItsOldPath", **chat}},
        "/v1/models": {"get": {"operationId": "listModels", **models}},
        "/api/v1/models": {"get": {"operationId": "listModelsOfHostedService", **models}},
        "/v1/models/{name}": {"get": {"operationId": "getModel", **model, "parameters": [name]}},
        "/api/v1/models/{name}": {
            "get": {"operationId": "getModelOfHostedService", **model, "parameters": [name]}
        },
        "/healthz": {"get": _plain("healthy", "Whether the server is there")},
        "/readyz": {"get": _plain("ready", "Whether everything is loaded", unavailable=True)},
        "/metrics": {"get": _plain("metrics", "Counters in Prometheus' text format", READING)},
        **(more_paths or {}),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "aivax", "version": __version__},
        "security": [{}, {"bearer": []}, {"header": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def operation(
    about: str,
    answered: Schema,
    faults: tuple[int, ...],
    asked: Schema | None = None,
    *,
    fault: Schema | None = None,
) -> Schema:
    """What is asked of a path and answered in JSON; `fault` is the shape of errors."""
    wrong = json_content(fault or ref("Error"))
    responses: Schema = {"200": {"description": "The answer.", "content": json_content(answered)}}
    for status in sorted(faults):
        responses[str(status)] = {"description": _FAULTS[status], "content": wrong, **_headers(status)}
    found: Schema = {"summary": about, "responses": responses}
    if asked is not None:
        found["requestBody"] = {"required": True, "content": json_content(asked)}
    return found


def streamed(operation: Schema) -> None:
    """Adds that the answer may come as server-sent events."""
    answer = operation["responses"]["200"]
    answer["content"]["text/event-stream"] = {}
    answer["headers"] = {
        "X-Model-Routed-Complexity": {
            "description": "How hard the message is: low, medium or high. For gateways with routing alone.",
            "schema": TEXT,
        }
    }


def json_content(schema: Schema) -> Schema:
    """A body in JSON."""
    return {"application/json": {"schema": schema}}


def _headers(status: int) -> Schema:
    if status == 401:
        return {"headers": {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}}
    if status == 429:
        return {"headers": {"Retry-After": {"description": "Whole seconds.", "schema": TEXT}}}
    return {}


def _plain(identity: str, about: str, faults: tuple[int, ...] = (), *, unavailable: bool = False) -> Schema:
    text = {"text/plain": {"schema": TEXT}}
    found = {"operationId": identity, **operation(about, TEXT, faults)}
    found["responses"]["200"] = {"description": "It is.", "content": text}
    if unavailable:
        found["responses"]["503"] = {"description": "Not yet.", "content": text}
    return found
