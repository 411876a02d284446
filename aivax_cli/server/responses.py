"""OpenAI's Responses: a request → the chat completion it comes to, and a turn → a response. Pure.

Nothing is stored: a request brings its whole conversation, and `previous_response_id` is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from aivax_cli.core.events import TurnResult
from aivax_cli.core.types import Charge, ToolCall
from aivax_cli.model.wire import encode
from aivax_cli.server.completions import citation, context_object, finish_reason, usage_object
from aivax_cli.server.faults import RequestError, error_body

_NOT_KEPT = ("previous_response_id", "conversation", "background", "prompt")
_SAME = (
    "model",
    "stream",
    "temperature",
    "top_p",
    "metadata",
    "parallel_tool_calls",
    "response_schema",
)
_ECHOED = ("instructions", "max_output_tokens", "temperature", "top_p", "metadata")


def chat_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The chat completion that a response's request comes to. Raises RequestError that names the field."""
    for name in _NOT_KEPT:
        if body.get(name):
            raise RequestError(f"{name}: nothing is kept between requests; send the whole input")
    chat: dict[str, Any] = {name: body[name] for name in _SAME if body.get(name) is not None}
    chat["messages"] = _messages(body)
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    reasoning, text = _section(body, "reasoning"), _section(body, "text")
    if reasoning.get("effort") is not None:
        chat["reasoning_effort"] = reasoning["effort"]
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    if text.get("format") is not None:
        chat["response_format"] = _format(text["format"])
    if body.get("tools") is not None:
        chat["tools"] = _tools(body["tools"])
    if body.get("tool_choice") is not None:
        chat["tool_choice"] = _choice(body["tool_choice"])
    return chat


def response(
    result: TurnResult, response_id: str, created: int, asked: Mapping[str, Any]
) -> dict[str, object]:
    """The whole response. `asked` is the request's body; `created` is in seconds since 1970.

    Raises what `completions.finish_reason` raises.
    """
    output = []
    if result.text or not result.tool_calls:
        output.append(_message_item(f"msg_{response_id[5:]}", result.text))
    output += [_call_item(call) for call in result.tool_calls]
    cut = finish_reason(result) == "length"
    return _object(response_id, created, result.target or result.model, asked) | {
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": output,
        "usage": usage(result.charges),
        "generation_context": context_object(result),
        "citations": [citation(passage) for passage in result.passages],
    }


def usage(charges: Sequence[Charge]) -> dict[str, object]:
    """Tokens of the answering calls. Here, as OpenAI has it, cached input is part of `input_tokens`."""
    counted: Any = usage_object(charges)
    cached = counted["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": counted["prompt_tokens"] + cached,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted["total_tokens"],
    }


class ResponseWriter(Struct):
    """A turn as the events of one streamed response."""

    response_id: str
    created: int
    asked: Mapping[str, Any]
    _number: int = 0
    _text: list[str] = field(default_factory=list)

    def begin(self) -> bytes:
        """What comes before the first word."""
        begun = _object(self.response_id, self.created, str(self.asked["model"]), self.asked)
        begun |= {"status": "in_progress", "output": [], "usage": None}
        item = _message_item(self._item, "") | {"status": "in_progress", "content": []}
        return b"".join(
            (
                self._event("response.created", response=begun),
                self._event("response.in_progress", response=begun),
                self._event("response.output_item.added", output_index=0, item=item),
                self._event("response.content_part.added", **self._place, part=_text_part("")),
            )
        )

    def text(self, text: str) -> bytes:
        """A piece of the answer."""
        self._text.append(text)
        return self._event("response.output_text.delta", **self._place, delta=text, logprobs=[])

    def end(self, result: TurnResult) -> bytes:
        """What comes after the last word."""
        text = "".join(self._text)
        events = [
            self._event("response.output_text.done", **self._place, text=text, logprobs=[]),
            self._event("response.content_part.done", **self._place, part=_text_part(text)),
            self._event("response.output_item.done", output_index=0, item=_message_item(self._item, text)),
        ]
        for index, call in enumerate(result.tool_calls, start=1):
            events += self._call(index, call)
        whole = response(result, self.response_id, self.created, self.asked)
        # What was streamed is the first item, whatever the whole answer would have left out.
        whole["output"] = [
            _message_item(self._item, text),
            *(_call_item(call) for call in result.tool_calls),
        ]
        events.append(self._event(f"response.{whole['status']}", response=whole))
        return b"".join(events)

    def failed(self, error: Exception) -> bytes:
        """The end of an answer that broke off."""
        told: Any = error_body(error)
        about = {"code": told["error"]["code"] or "server_error", "message": told["error"]["message"]}
        broken = _object(self.response_id, self.created, str(self.asked["model"]), self.asked)
        broken |= {"status": "failed", "output": [], "usage": None, "error": about}
        return self._event("response.failed", response=broken) + self._event("error", **about, param=None)

    @property
    def _item(self) -> str:
        return f"msg_{self.response_id[5:]}"

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _call(self, index: int, call: ToolCall) -> Iterator[bytes]:
        item = _call_item(call)
        place = {"item_id": item["id"], "output_index": index}
        begun = item | {"arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=index, item=begun)
        yield self._event("response.function_call_arguments.delta", **place, delta=call.arguments)
        yield self._event(
            "response.function_call_arguments.done", **place, name=call.name, arguments=call.arguments
        )
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _event(self, kind: str, **fields: Any) -> bytes:
        value = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return named_event(kind, value)


def named_event(kind: str, value: Mapping[str, object]) -> bytes:
    """A server-sent event with a name."""
    return b"event: " + kind.encode() + b"\ndata: " + encode(value) + b"\n\n"


def _object(response_id: str, created: int, model: str, asked: Mapping[str, Any]) -> dict[str, object]:
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "model": model,
        "error": None,
        "incomplete_details": None,
        "parallel_tool_calls": asked.get("parallel_tool_calls", True) is not False,
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "text": asked.get("text") or {"format": {"type": "text"}},
        "previous_response_id": None,
        "service_tier": "default",
        "store": False,
        **{name: asked.get(name) for name in _ECHOED},
    }


def _message_item(item_id: str, text: str) -> dict[str, object]:
    return {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [_text_part(text)],
    }


def _text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call_item(call: ToolCall) -> dict[str, object]:
    return {
        "id": f"fc_{call.id}",
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    instructions, given = body.get("instructions"), body.get("input")
    if instructions is not None:
        if not isinstance(instructions, str):
            raise RequestError("instructions must be a text")
        messages.append({"role": "system", "content": instructions})
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise RequestError("input must be a text, or a list of items")
    for place, item in enumerate(given):
        _add_item(messages, item, f"input[{place}]")
    return messages


def _add_item(messages: list[dict[str, Any]], item: object, place: str) -> None:
    """Puts an item's message after the others; calls that stand together are one message's."""
    if not isinstance(item, Mapping):
        raise RequestError(f"{place} must be an object")
    kind = item.get("type", "message")
    if kind == "message":
        messages.append({"role": item.get("role"), "content": _content(item.get("content"), place)})
    elif kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments", "{}")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        if messages and messages[-1]["role"] == "assistant":
            messages[-1] = messages[-1] | {"tool_calls": [*messages[-1].get("tool_calls", ()), call]}
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif kind == "function_call_output":
        output = item.get("output")
        content = _content(output, place) if isinstance(output, list) else output
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
    elif kind != "reasoning":  # what a model thought is no part of what it is told again
        raise RequestError(f"{place}.type: '{kind}' is not understood")


def _content(content: object, place: str) -> object:
    if not isinstance(content, list):
        return content
    parts: list[dict[str, Any]] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in ("input_text", "output_text", "text"):
            parts.append({"type": "text", "text": part.get("text")})
        elif kind == "refusal":
            parts.append({"type": "text", "text": part.get("refusal")})
        elif kind == "input_image":
            parts.append({"type": "image_url", "image_url": {"url": part.get("image_url")}})
        else:
            raise RequestError(f"{place}: only input_text, output_text and input_image are understood")
    return parts


def _section(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = body.get(name)
    if given is not None and not isinstance(given, Mapping):
        raise RequestError(f"{name} must be an object")
    return given or {}


def _format(given: object) -> dict[str, Any]:
    kind = given.get("type") if isinstance(given, Mapping) else None
    if isinstance(given, Mapping) and kind == "json_schema":
        return {"type": kind, "json_schema": {key: given[key] for key in given if key != "type"}}
    if isinstance(given, Mapping):
        return dict(given)
    raise RequestError("text.format must be an object with a type")


def _tools(given: object) -> list[dict[str, Any]]:
    tools = []
    for place, tool in enumerate(given if isinstance(given, list) else [None]):
        if not isinstance(tool, Mapping) or tool.get("type") != "function":
            raise RequestError(f"tools[{place}]: only tools of type function are understood")
        known = {key: tool[key] for key in ("name", "description", "parameters") if tool.get(key) is not None}
        tools.append({"type": "function", "function": known})
    return tools


def _choice(given: object) -> object:
    if isinstance(given, Mapping) and given.get("type") == "function":
        return {"type": "function", "function": {"name": given.get("name")}}
    return given
