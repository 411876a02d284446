"""Anthropic's Messages: a request → the chat completion it comes to, and a turn → a message. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from aivax_cli.core.events import TurnResult
from aivax_cli.core.types import Charge, ToolCall
from aivax_cli.server.completions import citation, context_object, finish_reason, usage_object
from aivax_cli.server.faults import RequestError, error_body, status_of
from aivax_cli.server.responses import named_event

_SAME = ("model", "stream", "temperature", "top_p", "response_schema")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def chat_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The chat completion that a message's request comes to. Raises RequestError that names the field."""
    chat: dict[str, Any] = {name: body[name] for name in _SAME if body.get(name) is not None}
    chat["messages"] = _messages(body)
    if body.get("max_tokens") is not None:
        chat["max_completion_tokens"] = body["max_tokens"]
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping):
        chat["metadata"] = {key: value for key, value in metadata.items() if value is not None}
    if body.get("tools") is not None:
        chat["tools"] = _tools(body["tools"])
    choice = body.get("tool_choice")
    if choice is not None:
        chat["tool_choice"] = _choice(choice)
        if choice.get("disable_parallel_tool_use") is True:
            chat["parallel_tool_calls"] = False
    return chat


def message(result: TurnResult, message_id: str) -> dict[str, object]:
    """The whole message."""
    content: list[dict[str, object]] = []
    if result.text:
        content.append({"type": "text", "text": result.text, "citations": None})
    content += [_tool_use(call) for call in result.tool_calls]
    return _object(message_id, result.target or result.model) | {
        "content": content,
        "stop_reason": stop_reason(result),
        "usage": usage(result.charges),
        **_extensions(result),
    }


def usage(charges: Sequence[Charge]) -> dict[str, int]:
    """Tokens of the answering calls: `input_tokens` is uncached input alone, as Anthropic has it."""
    counted: Any = usage_object(charges)
    return {
        "input_tokens": counted["prompt_tokens"],
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counted["prompt_tokens_details"]["cached_tokens"],
        "output_tokens": counted["completion_tokens"],
    }


def stop_reason(result: TurnResult) -> str:
    """Anthropic's word for why the answer ends. Raises what `completions.finish_reason` raises."""
    return _STOP_REASONS.get(finish_reason(result), "end_turn")


def message_error(error: Exception) -> dict[str, object]:
    """`{"type": "error", "error": {"type", "message"}}`."""
    told: Any = error_body(error)
    kind = _KINDS.get(status_of(error), "api_error")
    return {"type": "error", "error": {"type": kind, "message": told["error"]["message"]}}


class MessageWriter(Struct):
    """A turn as the events of one streamed message."""

    message_id: str
    model: str
    _begun: bool = False

    def begin(self) -> bytes:
        """What comes before the first word."""
        begun = _object(self.message_id, self.model) | {"content": [], "usage": usage(())}
        return named_event("message_start", {"type": "message_start", "message": begun})

    def text(self, text: str) -> bytes:
        """A piece of the answer."""
        first = b""
        if not self._begun:
            self._begun = True
            first = _block_start(0, {"type": "text", "text": ""})
        return first + _block_delta(0, {"type": "text_delta", "text": text})

    def end(self, result: TurnResult) -> bytes:
        """What comes after the last word."""
        events = [_block_stop(0)] if self._begun else []
        for index, call in enumerate(result.tool_calls, start=len(events)):
            events += _call_events(index, call)
        delta = {"stop_reason": stop_reason(result), "stop_sequence": None}
        last = {"type": "message_delta", "delta": delta, "usage": usage(result.charges)}
        events.append(named_event("message_delta", {**last, **_extensions(result)}))
        events.append(named_event("message_stop", {"type": "message_stop"}))
        return b"".join(events)

    def failed(self, error: Exception) -> bytes:
        """The end of an answer that broke off."""
        return named_event("error", message_error(error))


def _extensions(result: TurnResult) -> dict[str, object]:
    return {
        "generation_context": context_object(result),
        "citations": [citation(passage) for passage in result.passages],
    }


def _object(message_id: str, model: str) -> dict[str, object]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _tool_use(call: ToolCall) -> dict[str, object]:
    try:
        given = json.loads(call.arguments or "{}")
    except ValueError:
        given = None
    # Anthropic's shape has room for nothing but an object.
    return {
        "type": "tool_use",
        "id": call.id,
        "name": call.name,
        "input": given if isinstance(given, dict) else {},
    }


def _call_events(index: int, call: ToolCall) -> Iterator[bytes]:
    yield _block_start(index, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
    arguments = json.dumps(_tool_use(call)["input"], ensure_ascii=False)
    yield _block_delta(index, {"type": "input_json_delta", "partial_json": arguments})
    yield _block_stop(index)


def _block_start(index: int, block: Mapping[str, object]) -> bytes:
    value = {"type": "content_block_start", "index": index, "content_block": block}
    return named_event("content_block_start", value)


def _block_delta(index: int, delta: Mapping[str, object]) -> bytes:
    return named_event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})


def _block_stop(index: int) -> bytes:
    return named_event("content_block_stop", {"type": "content_block_stop", "index": index})


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    system, given = body.get("system"), body.get("messages")
    if system:
        messages.append({"role": "system", "content": _text_of(system, "system")})
    if not isinstance(given, list) or not given:
        raise RequestError("messages must be a list of messages")
    for place, each in enumerate(given):
        messages += _turn(each, f"messages[{place}]")
    return messages


def _turn(given: object, place: str) -> list[dict[str, Any]]:
    """One of Anthropic's messages, which may be several of OpenAI's: results of tools are their own there."""
    if not isinstance(given, Mapping) or given.get("role") not in ("user", "assistant"):
        raise RequestError(f"{place}.role must be user or assistant")
    role, content = given["role"], given.get("content")
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for block in content:
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind == "text":
            parts.append({"type": "text", "text": block.get("text")})
        elif kind == "image":
            parts.append({"type": "image_url", "image_url": {"url": _image(block.get("source"), place)}})
        elif kind == "tool_use":
            function = {"name": block.get("name"), "arguments": json.dumps(block.get("input") or {})}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind == "tool_result":
            text = _text_of(block.get("content") or "", place)
            results.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text})
        elif kind not in ("thinking", "redacted_thinking"):
            raise RequestError(f"{place}: blocks of type '{kind}' are not understood")
    if not parts and not calls:
        return results or [{"role": role, "content": ""}]
    whole: dict[str, Any] = {"role": role, "content": parts or None}
    return [*results, whole | ({"tool_calls": calls} if calls else {})]


def _text_of(value: object, place: str) -> str:
    if isinstance(value, str):
        return value
    texts = (
        [block.get("text") if isinstance(block, Mapping) else None for block in value]
        if isinstance(value, list)
        else [None]
    )
    if not all(isinstance(text, str) for text in texts):
        raise RequestError(f"{place} must be a text, or a list of text blocks")
    return "\n".join(str(text) for text in texts)


def _image(source: object, place: str) -> str:
    if isinstance(source, Mapping) and source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    if isinstance(source, Mapping) and source.get("type") == "url" and isinstance(source.get("url"), str):
        return str(source["url"])
    raise RequestError(f"{place}: the source of an image is of type base64 or url")


def _tools(given: object) -> list[dict[str, Any]]:
    tools = []
    for place, tool in enumerate(given if isinstance(given, list) else [None]):
        if not isinstance(tool, Mapping) or tool.get("type", "custom") != "custom":
            raise RequestError(f"tools[{place}]: only tools with a name and an input_schema are understood")
        function = {"name": tool.get("name"), "parameters": tool.get("input_schema")}
        if tool.get("description") is not None:
            function["description"] = tool["description"]
        tools.append({"type": "function", "function": function})
    return tools


def _choice(choice: object) -> object:
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if isinstance(choice, Mapping) and kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if isinstance(kind, str) and kind in _CHOICES:
        return _CHOICES[kind]
    raise RequestError("tool_choice.type must be auto, any, tool or none")
