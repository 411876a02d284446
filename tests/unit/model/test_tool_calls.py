"""Tool calls in the pieces in which endpoints were seen to send them."""

import json

from aivax_cli.core.types import ToolCall
from aivax_cli.model.tool_calls import ToolCallParts


def collected(*fragments: dict) -> tuple[ToolCall, ...]:
    parts = ToolCallParts()
    for fragment in fragments:
        parts.add([fragment])
    return parts.calls()


def function(name: str | None = None, arguments: object = None, **fields: object) -> dict:
    return {"function": {"name": name, "arguments": arguments}, **fields}


def test_fragments_without_an_index_go_to_the_last_call() -> None:
    calls = collected(function("f", '{"a"', id="x"), function(None, ":1}"))
    assert calls == (ToolCall("x", "f", '{"a":1}'),)


def test_fragments_without_an_index_are_told_apart_by_their_id() -> None:
    calls = collected(function("f", "1", id="x"), function("f", "2", id="y"), function(None, "3", id="x"))
    assert calls == (ToolCall("x", "f", "13"), ToolCall("y", "f", "2"))


def test_two_whole_calls_with_one_index_are_two_calls() -> None:
    calls = collected(function("f", "{}", index=0, id="x"), function("g", "{}", index=0, id="y"))
    assert [call.name for call in calls] == ["f", "g"]


def test_a_name_repeated_in_every_fragment_is_not_repeated_in_the_call() -> None:
    calls = collected(function("f", '{"a"', index=0, id="x"), function("f", ":1}", index=0, id="x"))
    assert calls == (ToolCall("x", "f", '{"a":1}'),)


def test_calls_without_an_id_get_one() -> None:
    calls = collected(function("f", "{}", index=0), function("g", "{}", index=1))
    assert [call.id for call in calls] == ["call_1", "call_2"]


def test_arguments_may_be_an_object() -> None:
    (call,) = collected(function("f", {"q": "é"}, index=0))
    assert json.loads(call.arguments) == {"q": "é"}


def test_missing_arguments_are_an_empty_object() -> None:
    (call,) = collected(function("f", None, index=0))
    assert call.arguments == "{}"


def test_a_call_without_a_name_is_left_out() -> None:
    assert collected(function(None, "{}", index=0, id="x")) == ()


def test_indexes_may_begin_anywhere() -> None:
    calls = collected(function("f", "{", index=3, id="x"), function(None, "}", index=3))
    assert calls == (ToolCall("x", "f", "{}"),)


def test_no_two_calls_have_the_same_id() -> None:
    calls = collected(function("f", "{}", index=0, id="same"), function("g", "{}", index=1, id="same"))
    assert [(call.id, call.name) for call in calls] == [("same", "f"), ("same_2", "g")]
