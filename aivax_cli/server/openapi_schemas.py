"""The shapes of chat completions in the OpenAPI document, and what shapes are put together from. Pure."""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
SAID: Final[Schema] = {"type": "string", "pattern": r"\S"}
"""A text that is more than blanks."""
WHOLE: Final[Schema] = {"type": "integer"}
FREE: Final[Schema] = {"type": "object", "additionalProperties": True}
FUNCTION_NAME: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"}


def obj(required: tuple[str, ...] = (), **properties: Any) -> Schema:
    """An object with these properties, and others that do not matter."""
    return {"type": "object", "properties": properties, "required": list(required)}


def array(items: Schema, **more: Any) -> Schema:
    """A list."""
    return {"type": "array", "items": items, **more}


def nullable(kind: str, **more: Any) -> Schema:
    """A value of this type, or null."""
    return {"type": [kind, "null"], **more}


def choice(*values: str | None) -> Schema:
    """One of these."""
    return {"enum": list(values)}


def ref(name: str) -> Schema:
    """A schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Schema]:
    """The components of the document."""
    return {
        "ChatRequest": _request(),
        **_messages(),
        "Chat": obj(
            ("id", "object", "created", "model", "choices", "usage"),
            id=TEXT,
            object={"const": "chat.completion"},
            created=WHOLE,
            model=TEXT,
            choices=array(_choice(), minItems=1, maxItems=1),
            usage=_usage(),
            service_tier=TEXT,
            generation_context=ref("GenerationContext"),
            citations=array(ref("Citation")),
        ),
        "GenerationContext": obj(
            ("generated_usage", "runned_functions", "search_terms"),
            generated_usage=array(_charge()),
            runned_functions=array(obj(name=TEXT, arguments=TEXT, result=TEXT, failed={"type": "boolean"})),
            search_terms=array(TEXT),
        ),
        "Citation": _citation(),
        "Model": _model(),
        "Models": obj(("object", "data"), object={"const": "list"}, data=array(ref("Model"))),
        "Error": obj(("error",), error=_error()),
    }


def _request() -> Schema:
    either = [
        {"required": ["messages"], "properties": {"messages": array({}), "prompt": {"type": "null"}}},
        {"required": ["prompt"], "properties": {"prompt": TEXT, "messages": {"type": "null"}}},
    ]
    return {"anyOf": either} | obj(
        ("model",),
        model={**SAID, "description": "A gateway's name, slug or id; @provider/name where that is allowed."},
        messages=nullable("array", items=ref("Message"), minItems=1),
        prompt={"anyOf": [SAID, {"type": "null"}], "description": "In place of messages: the user's one."},
        stream=nullable("boolean"),
        stream_options=nullable("object", properties={"include_usage": nullable("boolean")}),
        temperature=nullable("number", minimum=0, maximum=2),
        top_p=nullable("number", minimum=0, maximum=1),
        presence_penalty=nullable("number", minimum=-2, maximum=2),
        frequency_penalty=nullable("number", minimum=-2, maximum=2),
        seed=nullable("integer"),
        stop={"anyOf": [TEXT, array(TEXT), {"type": "null"}]},
        n={"enum": [1, None]},
        max_completion_tokens=nullable("integer", minimum=1),
        max_tokens=nullable("integer", minimum=1),
        reasoning_effort=choice("none", "minimal", "low", "medium", "high", None),
        verbosity=choice("low", "medium", "high", None),
        tools=nullable("array", items=_tool()),
        tool_choice={},
        parallel_tool_calls=nullable("boolean"),
        response_format={"anyOf": [_format(), {"type": "null"}]},
        response_schema=nullable("object"),
        metadata=nullable(
            "object",
            additionalProperties={**TEXT, "maxLength": 512},
            propertyNames={"maxLength": 64},
            maxProperties=16,
        ),
        idempotency_key=nullable("string", minLength=1, maxLength=128),
        dialect=choice("openai", "hosted", None),
    )


def _messages() -> dict[str, Schema]:
    part = {"anyOf": [_text_part(), _image_part()]}
    said = {"anyOf": [TEXT, array(part)]}
    spoken = {"anyOf": [TEXT, array(part), {"type": "null"}]}
    calls = nullable("array", items=ref("ToolCall"))
    return {
        "Message": {
            "anyOf": [
                obj(("role", "content"), role=choice("system", "developer", "user"), content=said),
                obj(("role",), role={"const": "assistant"}, content=spoken, tool_calls=calls),
                obj(
                    ("role", "content", "tool_call_id"),
                    role={"const": "tool"},
                    content=said,
                    tool_call_id=TEXT,
                ),
            ]
        },
        "ToolCall": obj(
            ("id", "function"),
            id=TEXT,
            type={"const": "function"},
            function=obj(("name", "arguments"), name=TEXT, arguments=TEXT),
        ),
    }


def _text_part() -> Schema:
    return obj(("type", "text"), type={"const": "text"}, text=TEXT)


def _image_part() -> Schema:
    url = {
        **TEXT,
        "pattern": "^(data:image/|https?://)",
        "description": "A data: URL, or an address on a host that the server may fetch images from.",
    }
    return obj(("type", "image_url"), type={"const": "image_url"}, image_url=obj(("url",), url=url))


def _tool() -> Schema:
    function = obj(
        ("name",),
        name=FUNCTION_NAME,
        description=nullable("string"),
        parameters=FREE,
    )
    return obj(("type", "function"), type={"const": "function"}, function=function)


def _format() -> Schema:
    named = obj(("schema",), name=TEXT, schema=FREE, strict=nullable("boolean"))
    return {
        "anyOf": [
            obj(("type",), type=choice("text", "json_object")),
            obj(("type", "json_schema"), type={"const": "json_schema"}, json_schema=named),
        ]
    }


def _choice() -> Schema:
    message = obj(
        ("role", "content"),
        role={"const": "assistant"},
        content=nullable("string"),
        refusal={"type": "null"},
        annotations=array(FREE),
        tool_calls=array(ref("ToolCall")),
    )
    return obj(
        ("index", "message", "finish_reason"),
        index={"const": 0},
        message=message,
        logprobs={"type": "null"},
        finish_reason=TEXT,
    )


def _usage() -> Schema:
    return obj(
        ("prompt_tokens", "completion_tokens", "total_tokens"),
        prompt_tokens=WHOLE,
        completion_tokens=WHOLE,
        total_tokens=WHOLE,
        prompt_tokens_details=obj(("cached_tokens",), cached_tokens=WHOLE),
    )


def _charge() -> Schema:
    return obj(
        ("sku", "quantity", "amount", "unit_price"),
        sku=TEXT,
        amount=nullable("number"),
        unit_price=nullable("number"),
        quantity=WHOLE,
        description=TEXT,
    )


def _citation() -> Schema:
    return obj(
        ("number", "source"),
        number=WHOLE,
        source=TEXT,
        place=TEXT,
        collection=TEXT,
        heading=TEXT,
        score={"type": "number"},
    )


def _model() -> Schema:
    return obj(
        ("id", "object", "created", "owned_by"),
        id=TEXT,
        object={"const": "model"},
        created=WHOLE,
        owned_by=TEXT,
        slug=TEXT,
        gateway_id=TEXT,
        description=TEXT,
    )


def _error() -> Schema:
    return obj(
        ("message", "type", "param", "code"),
        message=TEXT,
        type=TEXT,
        param=nullable("string"),
        code=nullable("string"),
    )
