"""Chunks that differ in their text alone are read as parsing all of them would read them."""

from __future__ import annotations

import json

import pytest

from aivax_cli.model.frames import Frame

CHOICE = {"index": 0, "delta": {"content": "word"}, "logprobs": None, "finish_reason": None}
CHUNK = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "model": "content",
    "choices": [CHOICE],
    "usage": None,
}


def chunk(text: object, **changes: object) -> str:
    return json.dumps({**CHUNK, "choices": [{**CHOICE, "delta": {"content": text}}], **changes})


def frame(data: str) -> Frame | None:
    return Frame.of(data, json.loads(data))


@pytest.mark.parametrize(
    "text",
    ["", "plain", 'with "quotes" and \\', "line\nbreak", "é and 😊", "\ud83d", '"}]}', '"content":"no"'],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_text_of_another_chunk_is_what_parsing_says(text, ascii_only):
    learnt = frame(chunk("word"))
    data = json.dumps(json.loads(chunk(text)), ensure_ascii=ascii_only)
    assert learnt is not None
    assert learnt.text(data) == text


@pytest.mark.parametrize("ascii_only", [True, False])
def test_texts_of_chunks_that_came_together_are_what_parsing_says(ascii_only):
    learnt, texts = (
        frame(chunk("word")),
        ["", "plain", 'with "quotes" and \\', "line\nbreak", "é and 😊", '","'],
    )
    came = [json.dumps(json.loads(chunk(text)), ensure_ascii=ascii_only) for text in texts]
    assert learnt is not None
    assert learnt.all_texts(came) == texts


@pytest.mark.parametrize("value", ['"a","b"', "", "null", '"a', '"a"}, {"b": "c"', '["a"]', '"\\ud83d"'])
def test_chunks_that_came_together_are_read_apart_when_one_is_no_text_alone(value):
    plain = chunk("word")
    learnt = frame(plain)
    assert learnt is not None
    assert learnt.all_texts([plain, plain.replace('"word"', value), plain]) is None


def test_chunks_that_came_together_are_read_apart_when_one_is_another():
    learnt = frame(chunk("word"))
    assert learnt is not None
    assert learnt.all_texts([chunk("a"), chunk("b", id="c2"), chunk("c")]) is None
    assert learnt.all_texts([chunk("a"), "[DONE]"]) is None


def test_a_chunk_without_spaces_has_its_own_frame():
    tight = json.dumps(json.loads(chunk("a")), separators=(",", ":"))
    learnt = frame(tight)
    assert learnt is not None
    assert learnt.text(tight.replace('"a"', '"b"')) == "b"
    assert learnt.text(chunk("b")) is None


@pytest.mark.parametrize(
    "other",
    [
        chunk(None),
        chunk(["part"]),
        chunk("word", id="c2"),
        chunk("word", usage={"prompt_tokens": 1}),
        chunk("word") + " ",
        chunk("word")[:-3],
        "[DONE]",
        "",
    ],
)
def test_any_other_chunk_is_not_taken_for_one(other):
    learnt = frame(chunk("word"))
    assert learnt is not None
    assert learnt.text(other) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"usage": {"prompt_tokens": 1}},
        {"x_groq": {"usage": {"prompt_tokens": 1}}},
        {"generation_context": {"generated_usage": []}},
        {"choices": [{**CHOICE, "finish_reason": "stop"}]},
        {"choices": [{**CHOICE, "delta": {"content": "a", "tool_calls": [{"index": 0}]}}]},
        {"choices": [CHOICE, CHOICE]},
        {"choices": []},
    ],
)
def test_a_chunk_that_says_more_than_its_text_is_no_frame(changes):
    assert frame(json.dumps({**CHUNK, **changes})) is None


def test_the_place_of_the_text_is_not_that_of_another_content():
    decoy = '{"extra": {"content": "word"}, "choices": [{"delta": {"content": "word"}}]}'
    assert frame(decoy) is None


def test_of_two_contents_the_last_one_counts():
    twice = '{"choices": [{"delta": {"content": "word", "content": "other"}}]}'
    assert frame(twice) is None
