"""What is sent so that an endpoint continues a message of the assistant."""

from typing import Any

import pytest

from aivax_cli.core.types import Message, ModelCall, ModelTarget, Purpose, ToolCall
from aivax_cli.model.wire import request_body

ASKED = Message("user", "hello")
BEGUN = Message("assistant", "Well,")


def sent(base_url: str, *messages: Message) -> list[dict[str, Any]]:
    target = ModelTarget("@p/m", "p", "m", base_url)
    body = request_body(ModelCall(Purpose.ANSWER, target, messages))
    messages_sent = body["messages"]
    assert isinstance(messages_sent, list)
    return messages_sent


@pytest.mark.parametrize("base_url", ["https://api.mistral.ai/v1", "https://api.deepseek.com/beta"])
def test_a_prefix_is_marked_where_the_endpoint_wants_it(base_url: str) -> None:
    assert sent(base_url, ASKED, BEGUN)[-1] == {"role": "assistant", "content": "Well,", "prefix": True}


@pytest.mark.parametrize(
    "base_url", ["http://localhost:11434/v1", "https://openrouter.ai/api/v1", "nonsense"]
)
def test_elsewhere_it_is_a_message_like_any_other(base_url: str) -> None:
    assert sent(base_url, ASKED, BEGUN)[-1] == {"role": "assistant", "content": "Well,"}


def test_white_space_at_its_end_is_cut_where_it_is_refused() -> None:
    spaced = Message("assistant", "Well, ")
    assert sent("https://api.anthropic.com/v1", ASKED, spaced)[-1]["content"] == "Well,"
    assert sent("http://localhost/v1", ASKED, spaced)[-1]["content"] == "Well, "


def test_what_was_said_before_is_no_prefix() -> None:
    assert all("prefix" not in message for message in sent("https://api.mistral.ai/v1", BEGUN, ASKED))


def test_a_call_of_tools_is_no_prefix() -> None:
    calling = Message("assistant", "", (ToolCall("c1", "search", "{}"),))
    assert "prefix" not in sent("https://api.mistral.ai/v1", ASKED, calling)[-1]
