"""A message as clients of OpenAI's chat completions write it → what it says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aivax_cli.core.types import Image, Message, Role, ToolCall

ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
"""What a role is called → what it is here."""


class MessageFaultError(ValueError):
    """What is wrong with a message, after the name of its field: `role must be …`."""


def read_message(item: object, *, addresses: bool) -> Message:
    """The message. Content is text, or a list of parts: texts, and images as `data:` URLs.

    With `addresses` images may also be addresses, which whoever answers fetches. Raises MessageFaultError.
    """
    said = item.get("role") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not isinstance(said, str) or said not in ROLES:
        raise MessageFaultError(f"role must be one of {', '.join(ROLES)}")
    role, content = ROLES[said], item.get("content")
    images: tuple[Image, ...] = ()
    if isinstance(content, Sequence) and not isinstance(content, str):
        parts = [_part(part, addresses=addresses) for part in content]
        content = "\n".join(part for part in parts if isinstance(part, str))
        images = tuple(part for part in parts if isinstance(part, Image))
    calls = _tool_calls(item.get("tool_calls"))
    if content is None and (calls or role == "assistant"):
        content = ""
    if not isinstance(content, str):
        raise MessageFaultError("content must be text, or a list of parts")
    call_id = item.get("tool_call_id")
    if role == "tool" and not isinstance(call_id, str):
        raise MessageFaultError("tool_call_id must name the call")
    return Message(role, content, calls, call_id if role == "tool" else None, images)


def _part(part: object, *, addresses: bool) -> str | Image:
    if isinstance(part, Mapping):
        if isinstance(part.get("text"), str):
            return str(part["text"])
        address = part.get("image_url")
        url = address.get("url") if isinstance(address, Mapping) else address
        if isinstance(url, str):
            if url.lower().startswith(("data:image/", *(("https://", "http://") if addresses else ()))):
                return Image(url)
            wanted = "data:image/ or https://" if addresses else "data:image/; addresses are not fetched"
            raise MessageFaultError(f"content: image_url needs a url that begins with {wanted}")
    raise MessageFaultError("content: only text parts and image_url parts are understood")


def _tool_calls(value: object) -> tuple[ToolCall, ...]:
    if not value:
        return ()
    if not isinstance(value, list):
        raise MessageFaultError("tool_calls must be a list")
    calls = []
    for call in value:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise MessageFaultError("tool_calls: each has an id and a function with a name")
        arguments = str(function.get("arguments", "{}"))
        calls.append(ToolCall(str(call.get("id", "")), function["name"], arguments))
    return tuple(calls)
