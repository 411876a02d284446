"""Every departure from OpenAI's format that a provider was seen to make, through a real server."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from support.calling import ask
from support.upstream import Answer, Upstream, chunk, completion, json_answer, sse, tool_call, usage

from aivax_cli.core.errors import ModelError
from aivax_cli.core.types import TokenUsage, ToolCall, total_usd

SEED_ANSWER = json.loads("""
{"id": "0198d24c-c9ce-70fe-9cf3-00644ef5f2e2", "object": "chat.completion", "created": 1755874904,
 "model": "@openai/gpt-5-mini",
 "choices": [{"index": 0, "message": {"role": "assistant", "content": "A capital da França é Paris.",
   "refusal": null, "annotations": [], "tool_calls": []}, "logprobs": null, "finish_reason": "stop"}],
 "usage": {"prompt_tokens": 84, "completion_tokens": 16, "total_tokens": 1892,
   "prompt_tokens_details": {"cached_tokens": 1792}},
 "service_tier": "default",
 "generation_context": {"generated_usage": [
   {"sku": "inference.resolving.routing_complexity.in", "amount": 0.0000207, "unit_price": 7.5e-8,
    "quantity": 276, "description": "Inference for model routing"},
   {"sku": "inference.resolving.routing_complexity.out", "amount": 3e-7, "unit_price": 3e-7,
    "quantity": 1, "description": "Inference for model routing"},
   {"sku": "inference.chat_completions.in", "amount": 0.000021, "unit_price": 2.5e-7,
    "quantity": 84, "description": "Inference for AI model '@openai/gpt-5-mini'"},
   {"sku": "inference.chat_completions.out", "amount": 0.000032, "unit_price": 0.000002,
    "quantity": 16, "description": "Inference for AI model '@openai/gpt-5-mini'"},
   {"sku": "inference.chat_completions.in.cached", "amount": 0.0000448, "unit_price": 2.5e-8,
    "quantity": 1792, "description": "Inference for AI model '@openai/gpt-5-mini'"}],
  "runned_functions": []}}
""")


def stream_of(*events, **how):
    with Upstream(sse(events, **how)) as upstream:
        return ask(upstream.url)


def body_of(answer: Answer):
    with Upstream(answer) as upstream:
        return ask(upstream.url)


# The end of a stream


@pytest.mark.parametrize("marker", ["[DONE]", "[END]", " [DONE] ", "[DONE]\r"])
def test_an_end_marker_ends_the_stream_though_the_connection_stays_open(marker: str) -> None:
    answer = stream_of(chunk("Paris"), end=marker, ending="stall")
    assert answer.text == "Paris"
    assert answer.end.broken is None


@pytest.mark.parametrize("ending", ["finish", "cut"])
def test_closing_after_a_finish_reason_is_an_end(ending) -> None:
    answer = stream_of(chunk("Paris"), chunk(finish="stop"), end=None, ending=ending)
    assert (answer.text, answer.end.finish_reason, answer.end.broken) == ("Paris", "stop", None)


def test_a_finish_reason_on_every_chunk_does_not_end_the_stream() -> None:
    first = chunk(delta={"role": "assistant", "content": ""}, finish="stop")
    answer = stream_of(
        first, chunk("A capital ", finish="stop"), chunk("é Paris", finish="stop"), end="[END]"
    )
    assert answer.text == "A capital é Paris"
    assert answer.end.broken is None


def test_a_stream_cut_off_is_broken_when_its_finish_reasons_mean_nothing() -> None:
    answer = stream_of(chunk("A ", finish="stop"), chunk("b", finish="stop"), end=None, ending="cut")
    assert answer.text == "A b"
    assert answer.end.broken is not None


def test_a_stream_without_end_marker_and_finish_reason_is_broken() -> None:
    answer = stream_of(chunk("Par"), end=None)
    assert answer.text == "Par"
    assert answer.end.broken == "test ended the stream without a finish reason or an end marker"


def test_a_reset_in_the_middle_keeps_the_text_and_says_that_it_is_broken() -> None:
    answer = stream_of(chunk("Par"), end=None, ending="reset")
    assert answer.text == "Par"
    assert answer.end.broken == "the connection was lost in the middle of the answer"


@pytest.mark.parametrize(
    ("sent", "understood"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("length", "length"), ("tool_use", "tool_calls")],
)
def test_finish_reasons_are_put_into_openai_s_words(sent: str, understood: str) -> None:
    assert stream_of(chunk("x", finish=sent)).end.finish_reason == understood


def test_an_empty_finish_reason_is_none() -> None:
    answer = stream_of(chunk("x", finish=""), end=None)
    assert answer.end.finish_reason is None
    assert answer.end.broken is not None


def test_a_finish_reason_of_error_is_a_broken_answer() -> None:
    assert stream_of(chunk("x", finish="error")).end.broken is not None


# Where the text stands


def test_text_may_be_in_completion_text() -> None:
    message = {"role": "assistant", "completion_text": "Oi! 😊", "refusal": None}
    assert body_of(json_answer(completion(None, message=message))).text == "Oi! 😊"


def test_a_json_body_answers_a_stream_request() -> None:
    answer = body_of(json_answer(completion("Paris", usage=usage(5, 1))))
    assert (answer.text, answer.end.finish_reason) == ("Paris", "stop")
    assert answer.end.usage == TokenUsage(5, 0, 1)


def test_content_may_be_a_list_of_parts_of_which_reasoning_is_none() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "Pa"},
        "ris",
    ]
    assert stream_of(chunk(delta={"content": parts})).text == "Paris"


def test_reasoning_is_not_part_of_the_answer() -> None:
    thinking = chunk(delta={"reasoning_content": "hm", "content": None})
    assert stream_of(thinking, chunk("Paris")).text == "Paris"


def test_a_refusal_is_shown_as_the_answer() -> None:
    assert stream_of(chunk(delta={"content": None, "refusal": "I cannot"})).text == "I cannot"


def test_null_and_empty_content_yield_no_pieces() -> None:
    empty = chunk(delta={"content": None})
    answer = stream_of(chunk(""), empty, chunk("x"), chunk(delta={}), {"choices": []}, chunk(finish="stop"))
    assert answer.pieces == ("x",)


def test_a_chunk_may_hold_a_message_instead_of_a_delta() -> None:
    whole = completion("Paris")
    assert stream_of(whole).text == "Paris"


def test_other_choices_than_the_first_are_ignored() -> None:
    second = {"choices": [{"index": 1, "delta": {"content": "NO"}}]}
    assert stream_of(chunk("yes"), second).text == "yes"


def test_a_character_cut_into_two_chunks_by_its_escapes_is_joined() -> None:
    events = [
        r'{"choices":[{"delta":{"content":"\ud83d"}}]}',
        r'{"choices":[{"delta":{"content":"\ude0a!"}}]}',
    ]
    assert stream_of(*events).text == "😊!"


# The framing of events


def test_line_separators_of_unicode_stay_inside_an_event() -> None:
    text = "a\u2028b\u0085c"
    event = json.dumps(chunk(text), ensure_ascii=False)
    assert stream_of(event).text == text


def test_a_multi_byte_character_may_be_cut_between_two_packets() -> None:
    raw = f"data: {json.dumps(chunk('França 😊'), ensure_ascii=False)}\n\n".encode()
    pieces = [raw[i : i + 1] for i in range(len(raw))]
    assert stream_of(*pieces).text == "França 😊"


@pytest.mark.parametrize(
    "frame",
    [
        b"data:%b\n\n",
        b"data: %b\r\n\r\n",
        b": comment\n\ndata: %b\n\n",
        b"retry: 3000\n\nid: 7\n\ndata: %b\n\n",
        b"event: message\ndata: %b\n\n",
        b"\xef\xbb\xbfdata: %b\n\n",
        b"\n\n\ndata: %b\n\n",
    ],
)
def test_odd_but_legal_frames_are_read(frame: bytes) -> None:
    assert stream_of(frame % json.dumps(chunk("Paris")).encode()).text == "Paris"


def test_events_with_one_line_break_instead_of_two_are_read() -> None:
    lines = [f"data: {json.dumps(event)}\n".encode() for event in (chunk("Pa"), chunk("ris"))]
    answer = stream_of(*lines, b"data: [DONE]\n", end=None)
    assert (answer.text, answer.end.broken) == ("Paris", None)


def test_a_last_event_without_a_blank_line_is_not_lost() -> None:
    tail = f"data: {json.dumps(chunk(finish='stop', usage=usage(3, 1)))}".encode()
    answer = stream_of(chunk("x"), tail, end=None)
    assert answer.end.usage == TokenUsage(3, 0, 1)


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", ""])
def test_an_event_stream_may_come_under_another_content_type(content_type: str) -> None:
    assert stream_of(chunk("Paris"), headers={"content-type": content_type}).text == "Paris"


# The model's name


def test_the_last_non_empty_model_name_is_the_one_that_answered() -> None:
    events = [
        chunk("x", model="@google/gemini-2.5-flash"),
        chunk(model="@aivax/sentinel-mini"),
        chunk(model=""),
    ]
    assert stream_of(*events).end.model == "@aivax/sentinel-mini"


def test_without_a_model_name_the_one_asked_for_stands() -> None:
    assert stream_of({"choices": [{"delta": {"content": "x"}}]}).end.model == "m"


# Usage


def test_usage_is_null_until_the_last_chunk() -> None:
    answer = stream_of(
        chunk("x", usage=None), chunk(finish="stop", usage=usage(1873, 41), sentinel_usage=None)
    )
    assert answer.end.usage == TokenUsage(1873, 0, 41)


def test_usage_may_follow_in_a_chunk_of_its_own() -> None:
    tail = {"choices": [], "usage": usage(7, 2)}
    assert stream_of(chunk("x", usage=None), chunk(finish="stop"), tail).end.usage == TokenUsage(7, 0, 2)


def test_cumulative_usage_is_not_added_up() -> None:
    events = [chunk(str(n), usage=usage(10, n)) for n in (1, 2, 3)]
    assert stream_of(*events).end.usage == TokenUsage(10, 0, 3)


def test_groq_s_usage_is_read() -> None:
    tail = chunk(finish="stop", x_groq={"id": "r", "usage": usage(9, 4)})
    assert stream_of(chunk("x"), tail).end.usage == TokenUsage(9, 0, 4)


def test_usage_may_stand_inside_the_choice() -> None:
    tail = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage(8, 1)}]}
    assert stream_of(chunk("x"), tail).end.usage == TokenUsage(8, 0, 1)


def test_anthropic_s_usage_in_two_parts_is_one() -> None:
    start = chunk("x", usage={"input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 1})
    answer = stream_of(start, chunk(finish="end_turn", usage={"output_tokens": 12}))
    assert answer.end.usage == TokenUsage(20, 100, 12)


def test_missing_usage_is_none() -> None:
    assert stream_of(chunk("x")).end.usage is None


def test_the_seeds_answer_has_disjoint_buckets_and_its_own_bill() -> None:
    answer = body_of(json_answer(SEED_ANSWER))
    assert answer.text == "A capital da França é Paris."
    assert answer.end.usage == TokenUsage(84, 1792, 16)
    assert [charge.unit_price_usd for charge in answer.end.billed] == [
        Decimal("7.5E-8"),
        Decimal("3E-7"),
        Decimal("2.5E-7"),
        Decimal("0.000002"),
        Decimal("2.5E-8"),
    ]
    assert total_usd(answer.end.billed) == Decimal("0.0001188")


def test_a_bill_may_come_at_the_end_of_a_stream() -> None:
    context = SEED_ANSWER["generation_context"]
    answer = stream_of(chunk("x"), chunk(finish="stop", generation_context=context), end="[END]")
    assert [charge.quantity for charge in answer.end.billed] == [276, 1, 84, 16, 1792]


# Tool calls


def test_tool_calls_are_put_together_from_their_pieces() -> None:
    def piece(**fields):
        return chunk(delta={"tool_calls": [fields]})

    answer = stream_of(
        piece(index=0, id="a", type="function", function={"name": "search", "arguments": ""}),
        piece(index=0, function={"arguments": '{"q":'}),
        piece(index=1, id="b", type="function", function={"name": "search", "arguments": '{"q":"2"}'}),
        piece(index=0, function={"arguments": '"1"}'}),
        chunk(finish="tool_calls"),
    )
    assert answer.end.tool_calls == (
        ToolCall("a", "search", '{"q":"1"}'),
        ToolCall("b", "search", '{"q":"2"}'),
    )


def test_a_broken_stream_has_no_tool_calls() -> None:
    answer = stream_of(tool_call("search", '{"q":'), end=None)
    assert answer.end.broken is not None
    assert answer.end.tool_calls == ()


# Errors where an answer should be


def test_an_error_object_as_the_first_event_is_an_error() -> None:
    with pytest.raises(ModelError, match="test reports an error: no such model"):
        stream_of({"error": {"message": "no such model", "type": "invalid_request_error"}})


def test_an_error_object_in_the_middle_breaks_the_answer() -> None:
    answer = stream_of(chunk("Par"), {"error": {"message": "engine overloaded"}}, end=None)
    assert answer.text == "Par"
    assert answer.end.broken == "test reports an error: engine overloaded"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "quota exceeded"}},
        {"error": "quota exceeded"},
        [{"error": {"code": 400, "message": "quota exceeded"}}],
        {"object": "error", "message": "quota exceeded", "code": 40000},
        {"detail": "quota exceeded"},
    ],
)
def test_an_error_body_under_status_200_is_an_error(body) -> None:
    with pytest.raises(ModelError, match="quota exceeded"):
        body_of(json_answer(body))


def test_a_transient_error_object_is_tried_again() -> None:
    overloaded = sse([{"error": {"code": 502, "message": "overloaded"}}], end=None)
    with Upstream(overloaded, sse([chunk("Paris")])) as upstream:
        answer = ask(upstream.url)
    assert answer.text == "Paris"
    assert [retry.reason for retry in answer.retries] == ["test reports an error: overloaded"]


def test_an_answer_without_choices_is_an_error() -> None:
    with pytest.raises(ModelError, match="JSON without any choices"):
        body_of(json_answer({"id": "x", "choices": []}))


def test_a_stream_without_choices_is_an_error() -> None:
    with pytest.raises(ModelError, match="without any choices"):
        stream_of({"choices": []}, {"choices": [], "usage": usage(1, 0)})


def test_an_event_that_is_no_json_breaks_the_answer() -> None:
    answer = stream_of(chunk("Par"), '{"choices":[{"delta":{"conte', end=None)
    assert answer.text == "Par"
    assert answer.end.broken is not None
    assert "no JSON" in answer.end.broken


def test_numbers_and_depths_beyond_all_reason_are_an_error_and_no_crash() -> None:
    with pytest.raises(ModelError, match="no JSON"):
        stream_of('{"x": 1e99999999999999999999}')
    with pytest.raises(ModelError, match="no JSON"):
        stream_of("[" * 100_000)


@pytest.mark.parametrize("piece", [b"x" * 65_536, (b"data: " + b"x" * 1_017 + b"\n") * 64])
def test_an_endless_event_is_given_up(piece: bytes) -> None:
    answer = stream_of(chunk("Par"), b"data: ", *[piece] * 160, end=None)
    assert answer.text == "Par"
    assert answer.end.broken == "test sent an event of more than 8 MiB, which is no answer"


def test_a_body_of_ten_megabytes_is_given_up() -> None:
    with pytest.raises(ModelError, match="more than 8 MiB"):
        body_of(json_answer(b'{"x": "' + b"x" * 10_000_000 + b'"}'))
