"""A request's body → what is asked of which gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from aivax_cli.core.types import Conversation, Message
from aivax_cli.model.message_reading import MessageFaultError, read_message
from aivax_cli.server.faults import RequestError

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_BYTES = 32 * 1024 * 1024
"""The longest body that is read: images are sent in it."""
LONGEST_WAIT_S = 60
"""Seconds for a body to come."""
_LONGEST_KEY = 128
_DECODER = msgspec.json.Decoder()
_WITH_TOOLS = ("tool_choice", "parallel_tool_calls")
_MOST_METADATA, _LONGEST_METADATA_KEY, _LONGEST_METADATA = 16, 64, 512
"""OpenAI's own limits."""


class ChatRequest(Struct, frozen=True):
    """A chat completion that is asked for. `body` is all of it, for the fields that change a gateway."""

    model: str
    conversation: Conversation
    stream: bool
    include_usage: bool
    body: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    hosted_dialect: bool | None = None
    """Whether a stream ends with `[END]`, as the hosted service's does. None: as the gateway has it."""
    tool_parameters: Mapping[str, Any] = field(default_factory=dict)
    """What goes with the client's own tools: `tool_choice`, `parallel_tool_calls`."""


async def body_of(request: Request) -> bytes:
    """The request's body. Raises RequestError when it is longer than `MOST_BYTES`, or does not come."""
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said[:20]) > MOST_BYTES:
        raise _too_long()
    data = bytearray()
    try:
        async with asyncio.timeout(LONGEST_WAIT_S):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    from starlette.requests import ClientDisconnect

                    raise ClientDisconnect
                data += message.get("body", b"")
                more = message.get("more_body", False)
                if len(data) > MOST_BYTES:
                    raise _too_long()
    except TimeoutError as error:
        raise RequestError(f"the body did not come within {LONGEST_WAIT_S} s", 408) from error
    return bytes(data)


def _too_long() -> RequestError:
    return RequestError(f"the body is longer than {MOST_BYTES:,} bytes", 413)


def read_body(data: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises RequestError."""
    try:
        try:
            value = _DECODER.decode(data)
        except ValueError:  # it may still be JSON: half surrogate pairs, UTF-16
            value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not JSON") from error
    if not isinstance(value, dict):
        raise RequestError("the body must be a JSON object")
    return value


def chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """Reads a chat completion's body. Raises RequestError that names the field."""
    model = body.get("model")
    if not isinstance(model, str) or not model.strip():
        raise RequestError("model must name a gateway", param="model")
    if body.get("n") not in (None, 1):
        raise RequestError("n must be 1: a gateway gives one answer", param="n")
    if not isinstance(body.get("stream", False), bool | None):
        raise RequestError("stream must be true or false", param="stream")
    if body.get("dialect") not in (None, "openai", "hosted"):
        raise RequestError("dialect must be openai or hosted", param="dialect")
    options = body.get("stream_options")
    include_usage = isinstance(options, Mapping) and options.get("include_usage") is True
    return ChatRequest(
        model=model.strip(),
        conversation=conversation_of(body),
        stream=body.get("stream") is True,
        include_usage=include_usage,
        body=body,
        metadata=_metadata(body.get("metadata")),
        idempotency_key=_idempotency_key(body.get("idempotency_key")),
        hosted_dialect=body["dialect"] == "hosted" if body.get("dialect") else None,
        tool_parameters={name: body[name] for name in _WITH_TOOLS if body.get(name) is not None},
    )


def conversation_of(body: Mapping[str, Any]) -> Conversation:
    """`messages`, or `prompt` as a conversation of one message."""
    prompt, messages = body.get("prompt"), body.get("messages")
    if prompt is not None and messages is not None:
        raise RequestError("give messages or prompt, not both")
    if isinstance(prompt, str) and prompt.strip():
        return (Message("user", prompt),)
    if not isinstance(messages, list) or not messages:
        raise RequestError("messages must be a list of messages")
    return tuple(_message(item, f"messages[{n}]") for n, item in enumerate(messages))


def _message(item: object, place: str) -> Message:
    try:
        return read_message(item, addresses=False)
    except MessageFaultError as fault:
        raise RequestError(f"{place}.{fault}") from fault


def _metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in (*value, *value.values())):
        raise RequestError("metadata must be an object of texts", param="metadata")
    fits = all(
        len(key) <= _LONGEST_METADATA_KEY and len(text) <= _LONGEST_METADATA for key, text in value.items()
    )
    if len(value) > _MOST_METADATA or not fits:
        raise RequestError(
            f"metadata may have {_MOST_METADATA} entries, with keys of {_LONGEST_METADATA_KEY} characters and"
            f" texts of {_LONGEST_METADATA}",
            param="metadata",
        )
    if not all(_encodable(each) for each in (*value, *value.values())):
        raise RequestError("metadata must be text that UTF-8 can hold", param="metadata")
    return value


def _encodable(text: str) -> bool:
    """Whether a text can be kept: JSON may hold half surrogate pairs, which UTF-8 cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _idempotency_key(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_KEY or not _encodable(value):
        raise RequestError(f"idempotency_key must be a text of 1 to {_LONGEST_KEY} characters")
    return value
