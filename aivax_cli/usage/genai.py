"""The attributes of spans about calls of models, in OpenTelemetry's semantic conventions for GenAI. Pure.

Names: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. What has no name there begins with
`aivax.`. Messages take the JSON form of `gen_ai.input.messages` and its like.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from aivax_cli.core.types import Message, ModelCall, ModelEnd, ModelTarget, ToolCall
from aivax_cli.usage.pricing import split_label

Value = str | bool | int | float | Sequence[str]
Attributes = dict[str, Value]

PROVIDER_NAMES: Final[Mapping[str, str]] = {"google": "gcp.gemini", "mistral": "mistral_ai"}
"""Our names of providers, where the conventions have another."""

_PARAMETERS: Final = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
}


def target_attributes(target: ModelTarget, operation: str) -> Attributes:
    """Who is asked for what. A model without a provider's name is known by its host."""
    found: Attributes = {"gen_ai.operation.name": operation, "gen_ai.request.model": target.name}
    try:
        parts = urlsplit(target.base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    found["gen_ai.provider.name"] = PROVIDER_NAMES.get(target.provider, target.provider) or host or "_OTHER"
    if host:
        found["server.address"] = host
        found["server.port"] = port or (80 if parts.scheme == "http" else 443)
    return found


def embedder_attributes(name: str, texts: int) -> Attributes:
    """Of an embedder by the name that users see; one without a provider runs inside this program."""
    provider, model = split_label(name)
    return {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": PROVIDER_NAMES.get(provider, provider) or "aivax",
        "gen_ai.request.model": model,
        "aivax.embeddings.texts": texts,
    }


def call_attributes(call: ModelCall) -> Attributes:
    """What is known of a call before it is made, without what anybody has said."""
    found = target_attributes(call.target, "chat")
    found["aivax.purpose"] = call.purpose.value
    found["gen_ai.request.stream"] = True
    for parameter, name in _PARAMETERS.items():
        value = call.parameters.get(parameter)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    stop = call.parameters.get("stop")
    if isinstance(stop, str | list | tuple) and stop:
        found["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else [str(s) for s in stop]
    if call.answer_format is not None or call.parameters.get("response_format"):
        found["gen_ai.output.type"] = "json"
    return found


def end_attributes(end: ModelEnd) -> Attributes:
    """What is known after it. Input tokens include the cached ones, as the conventions have it."""
    found: Attributes = {}
    if end.model:
        found["gen_ai.response.model"] = end.model
    if end.finish_reason:
        found["gen_ai.response.finish_reasons"] = [end.finish_reason]
    if end.usage is not None:
        found["gen_ai.usage.input_tokens"] = end.usage.input_tokens + end.usage.cached_input_tokens
        found["gen_ai.usage.output_tokens"] = end.usage.output_tokens
        if end.usage.cached_input_tokens:
            found["gen_ai.usage.cache_read.input_tokens"] = end.usage.cached_input_tokens
    return found


def sent_content(call: ModelCall) -> Attributes:
    """What was said to the model: only for those who have asked to record it."""
    system = [_text(message.content) for message in call.messages if message.role == "system"]
    others = [_message(message) for message in call.messages if message.role != "system"]
    found: Attributes = {"gen_ai.input.messages": _json(others)}
    if system:
        found["gen_ai.system_instructions"] = _json(system)
    if call.tools:
        found["gen_ai.tool.definitions"] = _json(
            [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                }
                for tool in call.tools
            ]
        )
    return found


def answered_content(text: str, end: ModelEnd) -> Attributes:
    """What the model said."""
    parts: list[object] = [_text(text)] if text else []
    parts += [_called(call) for call in end.tool_calls]
    answer = {"role": "assistant", "parts": parts, "finish_reason": end.finish_reason or ""}
    return {"gen_ai.output.messages": _json([answer])}


def _message(message: Message) -> dict[str, object]:
    if message.role == "tool":
        response = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}
        return {"role": "tool", "parts": [response]}
    parts: list[object] = [_text(message.content)] if message.content else []
    parts += [_image(image.url) for image in message.images]
    parts += [_called(call) for call in message.tool_calls]
    return {"role": message.role, "parts": parts}


def _text(content: str) -> dict[str, object]:
    return {"type": "text", "content": content}


def _image(url: str) -> dict[str, object]:
    """An address as it is; of a picture's own bytes their kind alone."""
    if not url.startswith("data:"):
        return {"type": "uri", "modality": "image", "uri": url}
    kind = url.removeprefix("data:").partition(";")[0].partition(",")[0]
    return {"type": "blob", "modality": "image", "mime_type": kind, "content": ""}


def _called(call: ToolCall) -> dict[str, object]:
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        arguments = call.arguments
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
