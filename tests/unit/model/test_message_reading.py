"""Messages as clients of OpenAI's chat completions write them."""

from typing import Any

import pytest

from aivax_cli.core.types import Image, Message, ToolCall
from aivax_cli.model.message_reading import MessageFaultError, read_message

PICTURE = "data:image/png;base64,aGk="
ADDRESS = "https://pictures.example/a.png"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"role": "user", "content": "hi"}, Message("user", "hi")),
        ({"role": "developer", "content": "Be brief."}, Message("system", "Be brief.")),
        ({"role": "assistant", "content": None}, Message("assistant", "")),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, image(PICTURE), {"text": "b"}]},
            Message("user", "a\nb", images=(Image(PICTURE),)),
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]},
            Message("assistant", "", (ToolCall("c1", "f", "{}"),)),
        ),
        ({"role": "tool", "tool_call_id": "c1", "content": "3"}, Message("tool", "3", tool_call_id="c1")),
    ],
)
def test_a_message_is_read(written: dict[str, Any], read: Message) -> None:
    assert read_message(written, addresses=False) == read


def test_the_address_of_an_image_is_taken_only_where_it_may_be() -> None:
    written = {"role": "user", "content": [image(ADDRESS)]}
    assert read_message(written, addresses=True).images == (Image(ADDRESS),)
    with pytest.raises(MessageFaultError, match="addresses are not fetched"):
        read_message(written, addresses=False)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("hi", "role must be one of system, "),
        ({"role": ["user"], "content": "x"}, "role must be one of"),
        ({"role": "user"}, "content must be text, or a list of parts"),
        ({"role": "user", "content": [{"type": "audio"}]}, "content: only text parts and image_url parts"),
        (
            {"role": "user", "content": [image("ftp://x")]},
            "content: image_url needs a url that begins",
        ),
        ({"role": "tool", "content": "3"}, "tool_call_id must name the call"),
        ({"role": "assistant", "tool_calls": {"id": 1}}, "tool_calls must be a list"),
        ({"role": "assistant", "tool_calls": [{"id": "c1"}]}, "tool_calls: each has an id and a function"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(written: object, fault: str) -> None:
    with pytest.raises(MessageFaultError) as caught:
        read_message(written, addresses=True)
    assert str(caught.value).startswith(fault)
