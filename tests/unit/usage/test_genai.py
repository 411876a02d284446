"""Attributes of spans by the semantic conventions, for what no integration test reaches."""

import json

import pytest
from msgspec.structs import replace

from aivax_cli.core.types import (
    AnswerFormat,
    Image,
    Message,
    ModelCall,
    ModelEnd,
    ModelTarget,
    Purpose,
    ToolCall,
    ToolSpec,
)
from aivax_cli.usage.genai import (
    answered_content,
    call_attributes,
    embedder_attributes,
    sent_content,
    target_attributes,
)

TARGET = ModelTarget("@openai/gpt-5-mini", "openai", "gpt-5-mini", "https://api.openai.com/v1")
CALL = ModelCall(Purpose.ANSWER, TARGET, (Message("user", "hi"),))


@pytest.mark.parametrize(
    ("provider", "base_url", "name"),
    [
        ("openai", "https://api.openai.com/v1", "openai"),
        ("google", "https://generativelanguage.googleapis.com/v1beta/openai", "gcp.gemini"),
        ("mistral", "https://api.mistral.ai/v1", "mistral_ai"),
        ("house", "https://models.example/v1", "house"),
        ("", "https://models.example/v1", "models.example"),
        ("local", "", "local"),
        ("", "http://[::1", "_OTHER"),
    ],
)
def test_providers_have_the_names_of_the_conventions(provider: str, base_url: str, name: str) -> None:
    target = ModelTarget("x", provider, "m", base_url)
    assert target_attributes(target, "chat")["gen_ai.provider.name"] == name


def test_the_port_is_that_of_the_scheme_unless_it_is_given() -> None:
    found = target_attributes(TARGET, "chat")
    assert (found["server.address"], found["server.port"]) == ("api.openai.com", 443)


def test_an_address_never_brings_its_password_along() -> None:
    target = replace(TARGET, base_url="https://me:secret@models.example:8443/v1?key=secret")
    assert "secret" not in str(target_attributes(target, "chat"))


def test_a_structured_answer_is_of_type_json() -> None:
    asked = replace(CALL, answer_format=AnswerFormat("a", {}, True, ""))
    assert call_attributes(asked)["gen_ai.output.type"] == "json"
    assert "gen_ai.output.type" not in call_attributes(CALL)


def test_content_has_every_kind_of_part() -> None:
    messages = (
        Message("system", "Be brief."),
        Message("user", "Look.", images=(Image("data:image/png;base64,AAAA"), Image("https://h/a.png"))),
        Message("assistant", "", tool_calls=(ToolCall("c", "f", '{"a": 1}'), ToolCall("d", "f", "{no"))),
        Message("tool", "42", tool_call_id="c"),
    )
    found = sent_content(replace(CALL, messages=messages, tools=(ToolSpec("f", "Does.", {}),)))
    user, assistant, tool = json.loads(str(found["gen_ai.input.messages"]))
    assert [part["type"] for part in user["parts"]] == ["text", "blob", "uri"]
    assert "AAAA" not in str(found)
    assert [part["arguments"] for part in assistant["parts"]] == [{"a": 1}, "{no"]
    assert tool["parts"] == [{"type": "tool_call_response", "id": "c", "response": "42"}]
    assert json.loads(str(found["gen_ai.tool.definitions"]))[0]["name"] == "f"


def test_an_answer_holds_its_text_and_its_calls() -> None:
    end = ModelEnd("m", "tool_calls", None, (ToolCall("c", "f", "{}"),))
    (answer,) = json.loads(str(answered_content("Let me see.", end)["gen_ai.output.messages"]))
    assert [part["type"] for part in answer["parts"]] == ["text", "tool_call"]
    assert answer["finish_reason"] == "tool_calls"


def test_the_built_in_embedder_has_no_provider_but_this_program() -> None:
    assert embedder_attributes("multilingual-e5-small", 2)["gen_ai.provider.name"] == "aivax"
    found = embedder_attributes("@openai/text-embedding-3-small", 1)
    assert (found["gen_ai.provider.name"], found["gen_ai.request.model"]) == (
        "openai",
        "text-embedding-3-small",
    )
