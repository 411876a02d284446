"""What the OpenAPI document says of Responses, Messages, embeddings and MCP. Pure."""

from __future__ import annotations

from typing import Any

from aivax_cli.server.openapi import ASKING, READING, json_content, operation, streamed
from aivax_cli.server.openapi_schemas import (
    FREE,
    FUNCTION_NAME,
    SAID,
    TEXT,
    WHOLE,
    Schema,
    array,
    choice,
    nullable,
    obj,
    ref,
)


def adapter_paths() -> dict[str, Any]:
    """The paths, for `openapi.document`."""
    asking = tuple(status for status in ASKING if status != 409)
    response = operation(
        "A response in OpenAI's Responses, whole or streamed", _response(), asking, _response_request()
    )
    message = operation(
        "A message in Anthropic's Messages, whole or streamed",
        _message(),
        asking,
        _message_request(),
        fault=_message_fault(),
    )
    streamed(response)
    streamed(message)
    embeddings = operation(
        "Vectors by the embedder of that name, or by that of the collection of that name",
        _embeddings(),
        asking,
        _embeddings_request(),
    )
    return {
        "/v1/responses": {"post": {"operationId": "createResponse", **response}},
        "/v1/messages": {"post": {"operationId": "createMessage", **message}},
        "/v1/embeddings": {"post": {"operationId": "createEmbeddings", **embeddings}},
        "/mcp": {"post": _mcp()},
        "/openapi.json": {
            "get": {"operationId": "openapi", **operation("This document", FREE, READING)},
        },
    }


def _response_request() -> Schema:
    return obj(
        ("model", "input"),
        model=SAID,
        input={"anyOf": [TEXT, array(_response_item(), minItems=1)]},
        instructions=nullable("string"),
        stream=nullable("boolean"),
        temperature=nullable("number", minimum=0, maximum=2),
        top_p=nullable("number", minimum=0, maximum=1),
        max_output_tokens=nullable("integer", minimum=1),
        metadata=nullable("object"),
        tools=nullable("array", items=_response_tool()),
        tool_choice={},
        parallel_tool_calls=nullable("boolean"),
        reasoning=nullable("object"),
        text=nullable("object"),
    )


def _response_item() -> Schema:
    text = obj(("type", "text"), type=choice("input_text", "output_text"), text=TEXT)
    image = obj(("type", "image_url"), type={"const": "input_image"}, image_url=TEXT)
    content = {"anyOf": [TEXT, array({"anyOf": [text, image]})]}
    role = choice("system", "developer", "user", "assistant")
    called = {"call_id": TEXT, "name": TEXT, "arguments": TEXT}
    return {
        "anyOf": [
            obj(("role", "content"), type={"const": "message"}, role=role, content=content),
            obj(("type", "call_id", "name", "arguments"), type={"const": "function_call"}, **called),
            obj(
                ("type", "call_id", "output"),
                type={"const": "function_call_output"},
                call_id=TEXT,
                output=TEXT,
            ),
        ]
    }


def _response_tool() -> Schema:
    return obj(("type", "name"), type={"const": "function"}, name=FUNCTION_NAME, parameters=FREE)


def _response() -> Schema:
    item = obj(("id", "type", "status"), id=TEXT, type=choice("message", "function_call"), status=TEXT)
    usage = obj(
        ("input_tokens", "output_tokens", "total_tokens"),
        input_tokens=WHOLE,
        input_tokens_details=obj(cached_tokens=WHOLE),
        output_tokens=WHOLE,
        output_tokens_details=obj(reasoning_tokens=WHOLE),
        total_tokens=WHOLE,
    )
    return obj(
        ("id", "object", "created_at", "model", "status", "output", "usage"),
        id=TEXT,
        object={"const": "response"},
        created_at=WHOLE,
        model=TEXT,
        status=choice("completed", "incomplete"),
        output=array(item),
        usage=usage,
        generation_context=ref("GenerationContext"),
        citations=array(ref("Citation")),
    )


def _message_request() -> Schema:
    turn = obj(
        ("role", "content"),
        role=choice("user", "assistant"),
        content={"anyOf": [TEXT, array(_message_block())]},
    )
    return obj(
        ("model", "messages"),
        model=SAID,
        messages=array(turn, minItems=1),
        max_tokens=nullable("integer", minimum=1),
        system={"anyOf": [TEXT, array(_text_block()), {"type": "null"}]},
        stream=nullable("boolean"),
        stop_sequences=nullable("array", items=TEXT),
        temperature=nullable("number", minimum=0, maximum=2),
        top_p=nullable("number", minimum=0, maximum=1),
        metadata=nullable("object"),
        tools=nullable("array", items=_message_tool()),
        tool_choice=nullable("object"),
    )


def _message_block() -> Schema:
    base64 = obj(("type", "media_type", "data"), type={"const": "base64"}, media_type=TEXT, data=TEXT)
    url = obj(("type", "url"), type={"const": "url"}, url=TEXT)
    use = obj(("type", "id", "name", "input"), type={"const": "tool_use"}, id=TEXT, name=TEXT, input=FREE)
    result = obj(
        ("type", "tool_use_id", "content"),
        type={"const": "tool_result"},
        tool_use_id=TEXT,
        content={"anyOf": [TEXT, array(_text_block())]},
    )
    image = obj(("type", "source"), type={"const": "image"}, source={"anyOf": [base64, url]})
    return {"anyOf": [_text_block(), image, use, result]}


def _text_block() -> Schema:
    return obj(("type", "text"), type={"const": "text"}, text=TEXT)


def _message_tool() -> Schema:
    return obj(("name", "input_schema"), name=FUNCTION_NAME, description=TEXT, input_schema=FREE)


def _message() -> Schema:
    return obj(
        ("id", "type", "role", "model", "content", "stop_reason", "usage"),
        id=TEXT,
        type={"const": "message"},
        role={"const": "assistant"},
        model=TEXT,
        content=array(obj(("type",), type=choice("text", "tool_use"))),
        stop_reason=TEXT,
        stop_sequence={"type": "null"},
        usage=obj(
            ("input_tokens", "output_tokens"),
            input_tokens=WHOLE,
            cache_creation_input_tokens=WHOLE,
            cache_read_input_tokens=WHOLE,
            output_tokens=WHOLE,
        ),
        generation_context=ref("GenerationContext"),
        citations=array(ref("Citation")),
    )


def _message_fault() -> Schema:
    about = obj(("type", "message"), type=TEXT, message=TEXT)
    return obj(("type", "error"), type={"const": "error"}, error=about)


def _embeddings_request() -> Schema:
    return obj(
        ("model", "input"),
        model={**SAID, "description": "An embedder's name, or a collection's."},
        input={"anyOf": [SAID, array(SAID, minItems=1, maxItems=256)]},
        encoding_format=choice("float", "base64", None),
        input_type=choice("query", "passage", None),
        dimensions=nullable("integer", minimum=1),
    )


def _embeddings() -> Schema:
    vector = {"anyOf": [array({"type": "number"}), {**TEXT, "contentEncoding": "base64"}]}
    one = obj(("object", "index", "embedding"), object={"const": "embedding"}, index=WHOLE, embedding=vector)
    return obj(
        ("object", "data", "model", "usage"),
        object={"const": "list"},
        data=array(one),
        model=TEXT,
        usage=obj(("prompt_tokens", "total_tokens"), prompt_tokens=WHOLE, total_tokens=WHOLE),
    )


def _mcp() -> Schema:
    asked = obj(("jsonrpc", "method"), jsonrpc={"const": "2.0"}, id={}, method=TEXT, params=FREE)
    about = "A message of the Model Context Protocol, by streamable HTTP without sessions"
    found = operation(about, FREE, (401, 403, 415, 429, 503), asked)
    found["responses"]["200"]["content"]["text/event-stream"] = {}
    found["responses"]["202"] = {"description": "A notification was taken."}
    for status, said in (
        ("400", "It is no such message."),
        ("406", "The client takes neither JSON nor events."),
        ("413", "The message is too long."),
    ):
        found["responses"][status] = {"description": said, "content": json_content(FREE)}
    return {"operationId": "mcp", **found}
