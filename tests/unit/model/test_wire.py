"""Requests as they are written, and the parts of answers that need no server to be tried."""

import json
from decimal import Decimal
from types import MappingProxyType

import pytest

from aivax_cli.core.types import Message, ModelCall, ModelTarget, Purpose, ToolCall, ToolSpec
from aivax_cli.model.wire import AnswerParts, Dialect, decode, encode, error_in, request_body

TARGET = ModelTarget("@p/m", "p", "m", "http://host/v1")
HELLO = (Message("user", "hello"),)


def body(messages=HELLO, dialect: Dialect | None = None, **fields) -> dict:
    call = ModelCall(Purpose.ANSWER, TARGET, messages, **fields)
    return request_body(call, dialect) if dialect else request_body(call)


def test_extra_body_goes_over_everything_else() -> None:
    extra = {"temperature": 1, "stream_options": None, "new": {"a": 1}}
    made = body(parameters={"temperature": 0, "extra_body": extra})
    assert (made["temperature"], made["stream_options"], made["new"]) == (1, None, {"a": 1})
    assert "extra_body" not in made


def test_unset_parameters_are_not_sent() -> None:
    assert set(body(parameters={"seed": None, "stop": []})) == {
        "model",
        "messages",
        "stream",
        "stream_options",
        "stop",
    }


def test_without_tools_no_tools_are_sent() -> None:
    assert "tools" not in body()


def test_a_tool_round_is_written_as_call_and_result() -> None:
    call = ToolCall("c1", "search", '{"q":1}')
    messages = (Message("assistant", "", (call,)), Message("tool", "found", tool_call_id="c1"))
    function = {"name": "search", "arguments": '{"q":1}'}
    assert body(messages)["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "found", "tool_call_id": "c1"},
    ]


def test_a_dialect_without_max_completion_tokens_says_max_tokens() -> None:
    made = body(dialect=Dialect(max_completion_tokens=False), parameters={"max_completion_tokens": 5})
    assert made["max_tokens"] == 5
    assert "max_completion_tokens" not in made


def test_any_mapping_and_any_text_can_be_sent() -> None:
    schema = MappingProxyType({"type": "object", "maximum": Decimal("1.5")})
    messages = (Message("user", "França 😊 \ud83d"),)
    sent = json.loads(encode(body(messages, tools=(ToolSpec("f", "", schema),))))
    assert sent["messages"][0]["content"] == "França 😊 ?"
    assert sent["tools"][0]["function"]["parameters"] == {"type": "object", "maximum": 1.5}


def test_fractions_are_read_exactly() -> None:
    assert decode("[7.5e-8, 1]") == [Decimal("7.5e-8"), 1]


@pytest.mark.parametrize(
    "text", ["", "{", "nope", '{"a": 1e99999999999999999999}', "[" * 100_000, "9" * 5_000]
)
def test_what_is_no_sane_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)


@pytest.mark.parametrize(
    ("payload", "message", "status"),
    [
        ({"error": {"message": "no", "code": 502}}, "no", 502),
        ({"error": {"message": "no", "code": "429"}}, "no", 429),
        ({"error": {"code": "rate_limited"}}, "rate_limited", None),
        ({"error": "no"}, "no", None),
        ([{"error": {"message": "no"}}], "no", None),
        ({"detail": [{"loc": ["body", "n"], "msg": "too big"}]}, "body.n: too big", None),
        ({"object": "error", "message": "no", "code": 40401}, "no", None),
        ({"error": {"message": {"msg": "deep"}}}, "deep", None),
    ],
)
def test_errors_of_every_shape_are_understood(payload: object, message: str, status: int | None) -> None:
    found = error_in(payload)
    assert found is not None
    assert (found.message, found.status) == (message, status)


@pytest.mark.parametrize(
    "payload",
    [
        {"choices": [{"delta": {}}], "error": None, "message": "fine"},
        {"choices": []},
        {"type": "ping"},
        [],
        None,
        3,
    ],
)
def test_what_is_no_error_is_none(payload: object) -> None:
    assert error_in(payload) is None


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {"choices": None},
        {"choices": ["x"]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": 5, "tool_calls": "x"}}], "usage": [], "model": 7},
        {"choices": [{"delta": {"content": [None, {"type": "text"}], "tool_calls": [None, {}]}}]},
        {"choices": [{"delta": {}, "finish_reason": 3}], "x_groq": 1, "generation_context": 2},
    ],
)
def test_nonsense_in_a_chunk_is_ignored(payload: object) -> None:
    answer = AnswerParts("m")
    assert answer.add(payload) == ""
    end = answer.end()
    assert (end.model, end.finish_reason, end.usage, end.tool_calls) == ("m", None, None, ())


def test_a_text_completion_s_text_is_read() -> None:
    assert AnswerParts("m").add({"choices": [{"text": "Paris"}]}) == "Paris"
