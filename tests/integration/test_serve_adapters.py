"""Responses, Messages and embeddings of the running server, by the real `openai` and `anthropic` SDKs."""

from __future__ import annotations

import json
from dataclasses import replace

import anthropic
import httpx
import openai
import pytest
from support.embedding_server import embeddings
from support.patience import PATIENT_S
from support.served_shelf import fill
from support.serving import gateway, served
from support.upstream import Upstream, calls_tool, chunk, says, sse, status

ANSWER = "Four, of course."
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
NUMBER = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def upstream():
    with Upstream(says(ANSWER)) as server:
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("adapters")
    with Upstream(embeddings()) as embedder:
        fill(root, embedder)
        gateway(root, upstream, "g")
        with served(root) as server:
            yield server


@pytest.fixture(autouse=True)
def answering(upstream):
    upstream.answers(says(ANSWER, cached=4))
    upstream.requests.clear()


@pytest.fixture(scope="module")
def client(running):
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def claude(running):
    with anthropic.Anthropic(base_url=running.url, api_key="none", max_retries=0) as client:
        yield client


def sent(upstream):
    """The messages that reached the model, as (role, content)."""
    return [(message["role"], message.get("content")) for message in upstream.bodies[-1]["messages"]]


def test_a_response_has_text_and_usage(client):
    found = client.responses.create(model="g", input="Two and two?")
    assert (found.output_text, found.status) == (ANSWER, "completed")
    used = found.usage
    assert (used.input_tokens, used.input_tokens_details.cached_tokens, used.total_tokens) == (10, 4, 13)


def test_a_streamed_response_is_the_same_in_pieces(client, upstream):
    upstream.answers(replace(says(ANSWER, cached=4), pause_s=0.03))
    with client.responses.stream(model="g", input="Two and two?") as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    numbers = [event.sequence_number for event in events]
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert (deltas, final.output_text) == (["Four, ", "of ", "course."], ANSWER)
    assert numbers == sorted(set(numbers))


def test_a_responses_input_and_settings_reach_the_model(client, upstream):
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}
    text = {"type": "input_text", "text": "And this?"}
    client.responses.create(
        model="g",
        instructions="Be brief.",
        input=[
            {"role": "user", "content": "First"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "One", "annotations": []}]},
            {"role": "user", "content": [text, image]},
        ],
        max_output_tokens=50,
        temperature=0.5,
    )
    said = sent(upstream)
    body = upstream.bodies[-1]
    assert said[:3] == [("system", "Be brief."), ("user", "First"), ("assistant", "One")]
    assert [part["type"] for part in said[3][1]] == ["text", "image_url"]
    assert (body["temperature"], body.get("max_completion_tokens") or body.get("max_tokens")) == (0.5, 50)


def test_a_responses_function_goes_there_and_back(client, upstream):
    tools = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    upstream.answers(calls_tool("weather", {"city": "Rio"}))
    first = client.responses.create(model="g", input="Weather in Rio?", tools=tools)
    call = next(item for item in first.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments), call.call_id) == ("weather", {"city": "Rio"}, "call_1")
    upstream.answers(says("Sunny."))
    done = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    asked = [{"role": "user", "content": "Weather in Rio?"}, call.model_dump(exclude_none=True), done]
    second = client.responses.create(model="g", input=asked, tools=tools)
    assert second.output_text == "Sunny."
    assert [role for role, _ in sent(upstream)] == ["user", "assistant", "tool"]


def test_a_streamed_response_has_its_function_calls(client, upstream):
    upstream.answers(calls_tool("weather", {"city": "Rio"}))
    tools = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    with client.responses.stream(model="g", input="Weather?", tools=tools) as stream:
        final = stream.get_final_response()
    assert [item.name for item in final.output if item.type == "function_call"] == ["weather"]


def test_a_responses_format_is_held_to(client, upstream):
    upstream.answers(says('{"n": 4}'))
    wanted = {"format": {"type": "json_schema", "name": "number", "schema": NUMBER, "strict": True}}
    found = client.responses.create(model="g", input="Two and two?", text=wanted)
    assert json.loads(found.output_text) == {"n": 4}


def test_a_response_cut_short_says_why(client, upstream):
    upstream.answers(says("Fo", finish="length"))
    found = client.responses.create(model="g", input="Two and two?")
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_response_does_not_go_on_with_an_earlier_one(client):
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="g", input="Hi", previous_response_id="resp_1")


def test_an_unknown_model_of_a_response_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="did you mean 'g'"):
        client.responses.create(model="gg", input="Hi")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_what_fails_before_the_first_word_has_its_own_status(running, upstream, path):
    upstream.answers(status(400, "such words are not taken"))
    body = {"model": "g", "input": "Hi", "messages": HI, "max_tokens": 5, "stream": True}
    found = running.post(body, path)
    assert (found.status_code, found.headers["content-type"]) == (400, "application/json")
    assert "such words are not taken" in found.json()["error"]["message"]


def test_a_response_that_breaks_off_fails(client, upstream):
    upstream.answers(sse([chunk("Fo")], end=None, ending="cut"))
    with client.responses.create(model="g", input="Hi", stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds[-2:] == ["response.failed", "error"]


def test_a_message_has_text_and_usage(claude):
    found = claude.messages.create(model="g", max_tokens=50, messages=HI)
    assert (found.content[0].text, found.stop_reason) == (ANSWER, "end_turn")
    used = found.usage
    assert (used.input_tokens, used.cache_read_input_tokens, used.output_tokens) == (6, 4, 3)


def test_a_streamed_message_is_the_same_in_pieces(claude, upstream):
    upstream.answers(replace(says(ANSWER, cached=4), pause_s=0.03))
    with claude.messages.stream(model="g", max_tokens=50, messages=HI) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert (pieces, final.content[0].text) == (["Four, ", "of ", "course."], ANSWER)
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 6, 3)


def test_a_messages_blocks_and_settings_reach_the_model(claude, upstream):
    image = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    claude.messages.create(
        model="g",
        max_tokens=50,
        system=[{"type": "text", "text": "Be brief."}],
        messages=[
            {"role": "user", "content": "First"},
            {"role": "assistant", "content": [{"type": "text", "text": "One"}]},
            {
                "role": "user",
                "content": [{"type": "text", "text": "And?"}, {"type": "image", "source": image}],
            },
        ],
        stop_sequences=["END"],
    )
    said = sent(upstream)
    assert said[:3] == [("system", "Be brief."), ("user", "First"), ("assistant", "One")]
    assert said[3][1][1]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert upstream.bodies[-1]["stop"] == ["END"]


def test_a_messages_tool_goes_there_and_back(claude, upstream):
    tools = [{"name": "weather", "input_schema": WEATHER}]
    upstream.answers(calls_tool("weather", {"city": "Rio"}))
    first = claude.messages.create(model="g", max_tokens=50, messages=HI, tools=tools)
    use = next(block for block in first.content if block.type == "tool_use")
    assert (first.stop_reason, use.name, use.input) == ("tool_use", "weather", {"city": "Rio"})
    upstream.answers(says("Sunny."))
    done = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    asked = [
        *HI,
        {"role": "assistant", "content": [use.model_dump(exclude_none=True)]},
        {"role": "user", "content": [done]},
    ]
    second = claude.messages.create(model="g", max_tokens=50, messages=asked, tools=tools)
    assert second.content[0].text == "Sunny."
    assert [role for role, _ in sent(upstream)] == ["user", "assistant", "tool"]


def test_a_streamed_message_has_its_tool_use(claude, upstream):
    upstream.answers(calls_tool("weather", {"city": "Rio"}))
    tools = [{"name": "weather", "input_schema": WEATHER}]
    with claude.messages.stream(model="g", max_tokens=50, messages=HI, tools=tools) as stream:
        final = stream.get_final_message()
    assert [(block.name, block.input) for block in final.content] == [("weather", {"city": "Rio"})]


def test_the_anthropic_sdk_knows_our_errors(claude):
    with pytest.raises(anthropic.NotFoundError, match="did you mean 'g'"):
        claude.messages.create(model="gg", max_tokens=5, messages=HI)
    with pytest.raises(anthropic.BadRequestError, match="not understood"):
        document = {"type": "document", "source": {"type": "text", "data": "x", "media_type": "text/plain"}}
        claude.messages.create(model="g", max_tokens=5, messages=[{"role": "user", "content": [document]}])


def test_a_message_that_breaks_off_is_an_error(claude, upstream):
    upstream.answers(sse([chunk("Fo")], end=None, ending="cut"))
    with (
        pytest.raises(anthropic.APIStatusError),
        claude.messages.stream(model="g", max_tokens=5, messages=HI) as stream,
    ):
        stream.get_final_message()


@pytest.mark.parametrize("model", ["kb", "small-embed"])
def test_embeddings_are_those_of_the_collections_embedder(client, model):
    found = client.embeddings.create(model=model, input=["cats sleep", "the tide"])
    assert (len(found.data), len(found.data[0].embedding), found.model) == (2, 32, "small-embed")
    assert sum(x * x for x in found.data[0].embedding) == pytest.approx(1, abs=1e-4)


def test_embeddings_are_the_same_as_floats_and_as_base64(client):
    both = [
        client.embeddings.create(model="kb", input="cats", encoding_format=form)
        for form in ("float", "base64")
    ]
    raw = openai.OpenAI(base_url=client.base_url, api_key="x").embeddings.create(model="kb", input="cats")
    assert isinstance(both[1].data[0].embedding, str)
    assert raw.data[0].embedding == pytest.approx(both[0].data[0].embedding)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"model": "nothing-like-it", "input": "x"}, 404),
        ({"model": "kb", "input": []}, 400),
        ({"model": "kb", "input": ["x", ""]}, 400),
        ({"model": "kb", "input": [1, 2]}, 400),
        ({"model": "kb", "input": "x", "dimensions": 7}, 400),
        ({"model": "kb", "input": ["x"] * 257}, 400),
        ({"model": "kb", "input": "x" * 1_000_001}, 413),
        ({"model": "../kb", "input": "x"}, 404),
    ],
)
def test_embeddings_that_cannot_be_made_are_refused(running, body, code):
    assert running.post(body, "/v1/embeddings").status_code == code


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model": "g"}',
        b'{"model": 1, "input": 1, "messages": 1}',
        b'{"model": "g", "input": [null], "messages": [null]}',
        b'{"model": "g", "input": [{"role": 1}], "messages": [{"role": "user"}]}',
        b'{"model": "g", "input": [{"type": "function_call"}], "messages": [{"role":"user","content":[1]}]}',
        b'{"model": "g", "input": "x", "messages": [{"role":"user","content":"x"}], "tools": 1}',
        b'{"model": "g", "input": "x", "messages": [{"role":"user","content":"x"}], "tool_choice": {}}',
        b'{"model": "g", "messages": [{"role":"user","content":"x"}], "tool_choice": {"type": []}}',
        b'{"model": "g", "input": "x", "prompt": "x", "metadata": {"k": "\\ud800"}}',
        b'{"model": "g", "input": "\\ud800", "prompt": "x", "max_tokens": "\\udfff"}',
        b'{"model": "g", "messages": [{"role":"user","content":"x"}], "max_tokens": "\\udfff"}',
        b'{"model": "\\ud800", "input": "x", "messages": [{"role":"user","content":"x"}]}',
    ],
)
def test_bodies_that_are_wrong_are_no_failure_of_the_server(running, path, body):
    found = httpx.post(running.url + path, content=body, timeout=PATIENT_S, trust_env=False, verify=False)
    assert found.status_code < 500
