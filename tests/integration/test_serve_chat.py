"""`POST /v1/chat/completions` of the running server, over a scripted upstream."""

from __future__ import annotations

import json
import sqlite3

import pytest
from support.command_line import aivax
from support.patience import PATIENT_S
from support.serving import gateway, served
from support.upstream import (
    Upstream,
    calls_tool,
    chunk,
    says,
    sse,
    status,
    usage,
)
from support.workspaces import gateway_id, write_gateway

PARIS = "A capital da França é Paris."
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ROUTING = (
    'routing:\n  router: {{base_url: "{url}", name: router}}\n  high: {{base_url: "{url}", name: big}}\n'
)


@pytest.fixture(scope="module")
def upstream():
    with Upstream(says(PARIS)) as server:
        yield server


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("served")
    gateway(root, upstream, more="instructions: Speak of the moon alone.\nlocked: [parameters.top_p]\n")
    gateway(root, upstream, "other", number=2)
    gateway(root, upstream, "cheap", number=3, more="budget: {usd_per_request: 0.0000001}\n")
    write_gateway(
        root,
        "routed",
        f'{{base_url: "{upstream.url}", name: small}}',
        number=4,
        more=ROUTING.format(url=upstream.url),
    )
    return root


@pytest.fixture(scope="module")
def running(workspace):
    with served(workspace) as server:
        yield server


@pytest.fixture
def server(running, upstream):
    upstream.answers(says(PARIS, prompt=1876, cached=1792))
    upstream.requests.clear()
    return running


def events(response) -> list:
    lines = [line for line in response.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line[6:] for line in lines]


def chunks(response) -> list[dict]:
    found = events(response)
    assert found[-1] == "[DONE]"
    return [json.loads(each) for each in found[:-1]]


def asked(**more) -> dict:
    return {
        "model": "support",
        "messages": [{"role": "user", "content": "Qual a capital da França?"}],
        **more,
    }


def error_of(response) -> dict:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


# The answer


def test_an_answer_has_the_shape_of_the_hosted_service(server):
    found = server.post(asked()).json()
    assert found["object"] == "chat.completion"
    assert found["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": PARIS,
                "refusal": None,
                "annotations": [],
                "tool_calls": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert found["usage"] == {
        "prompt_tokens": 84,
        "completion_tokens": 6,
        "total_tokens": 1882,
        "prompt_tokens_details": {"cached_tokens": 1792},
    }
    assert found["service_tier"] == "default"
    records = found["generation_context"]["generated_usage"]
    assert {record["sku"]: record["quantity"] for record in records} == {
        "inference.chat_completions.in": 84,
        "inference.chat_completions.in.cached": 1792,
        "inference.chat_completions.out": 6,
    }
    assert found["generation_context"]["runned_functions"] == []
    assert found["citations"] == []


@pytest.mark.parametrize("path", ["/api/v1/chat/completions", "/api/v1/chat-completions"])
def test_the_paths_of_the_hosted_service_answer_too(server, path):
    assert server.post(asked(), path).json()["choices"][0]["message"]["content"] == PARIS


@pytest.mark.parametrize("model", ["support", gateway_id(1), "support:0001"])
def test_a_gateway_is_named_by_name_id_or_slug(server, model):
    assert server.post(asked(model=model)).status_code == 200


def test_prompt_stands_for_one_message(server, upstream):
    server.post({"model": "other", "prompt": "Hi"})
    assert upstream.bodies[0]["messages"] == [{"role": "user", "content": "Hi"}]


def test_content_parts_and_system_messages_reach_the_model(server, upstream):
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert server.post({"model": "other", "messages": messages}).status_code == 200
    sent = upstream.bodies[0]["messages"]
    assert sent[0] == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in sent[1]["content"]] == ["text", "image_url"]


def test_system_messages_of_the_request_follow_the_gateways_instructions(server, upstream):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert server.post({"model": "support", "messages": messages}).status_code == 200
    assert upstream.bodies[0]["messages"] == [
        {"role": "system", "content": "Speak of the moon alone.\n\nBe brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_parameters_of_the_request_override_those_of_the_gateway(server, upstream):
    given = {
        "temperature": 0.5,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "seed": 7,
        "stop": ["END"],
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "verbosity": "low",
    }
    assert server.post(asked(**given)).status_code == 200
    assert {name: upstream.bodies[0][name] for name in given} == given


def test_the_level_of_a_routed_message_is_a_header(server, upstream):
    upstream.answers(says("high"), says("Deep."), says("high"), says("Deep."))
    whole = server.post(asked(model="routed"))
    streamed = server.post(asked(model="routed", stream=True))
    assert whole.headers["x-model-routed-complexity"] == "high"
    assert streamed.headers["x-model-routed-complexity"] == "high"
    assert [body["model"] for body in upstream.bodies] == ["router", "big"] * 2


def test_a_response_format_is_held_to(server, upstream):
    upstream.answers(says('{"city": 1}'), says('Here: {"city": "Paris"}'))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    found = server.post(asked(response_format=wanted)).json()
    assert json.loads(found["choices"][0]["message"]["content"]) == {"city": "Paris"}


# Streams


def test_a_stream_begins_with_the_role_and_ends_with_reason_and_marker(server):
    first, *words, last = chunks(server.post(asked(stream=True)))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(each["choices"][0]["delta"]["content"] for each in words) == PARIS
    assert all(each["choices"][0]["finish_reason"] is None for each in (first, *words))
    assert last["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert {each["id"] for each in (first, *words, last)} == {first["id"]}


def test_the_usage_of_a_stream_is_told_to_who_asks(server):
    last = chunks(server.post(asked(stream=True, stream_options={"include_usage": True})))[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 1882
    assert last["generation_context"]["generated_usage"]


def test_the_hosted_dialect_ends_with_its_own_marker(server):
    *_, last, end = events(server.post(asked(stream=True, dialect="hosted")))
    assert end == "[END]"
    assert json.loads(last)["choices"][0]["finish_reason"] == "stop"
    assert json.loads(last)["usage"]["completion_tokens"] == 6


def test_a_failure_before_the_first_word_keeps_its_status_in_a_stream(server, upstream):
    upstream.answers(status(400, "too hot"))
    found = server.post(asked(stream=True))
    assert found.status_code == 400
    assert "too hot" in error_of(found)["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_a_finish_reason_is_an_error(server, upstream, stream):
    upstream.answers(sse([chunk("Par"), chunk("is")]))
    found = server.post(asked(stream=stream))
    if not stream:
        assert found.status_code == 502
        return
    assert found.status_code == 200
    *_, last = events(found)
    assert json.loads(last)["error"]["code"] == "incomplete"
    assert "stop" not in found.text
    assert "[DONE]" not in found.text


def test_a_stream_that_breaks_off_ends_with_an_error_event(server, upstream):
    upstream.answers(sse([chunk("Par")], end=None, ending="reset"))
    *_, last = events(server.post(asked(stream=True)))
    assert "incomplete" in json.loads(last)["error"]["message"]


def test_any_character_survives_a_stream(server, upstream):
    said = 'a\u2028b\u0085c😊 \x00 "quoted" \\'
    upstream.answers(says(said))
    found = chunks(server.post(asked(stream=True)))
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in found) == said


# Tools of the client


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_of_the_clients_tool_ends_the_turn(server, upstream, stream):
    upstream.answers(calls_tool("weather", {"city": "Paris"}))
    found = server.post(asked(tools=[WEATHER], tool_choice="required", stream=stream))
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
    }
    if stream:
        _, told, last = chunks(found)
        assert told["choices"][0]["delta"] == {"tool_calls": [{"index": 0, **call}]}
        assert last["choices"][0]["finish_reason"] == "tool_calls"
    else:
        choice = found.json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["tool_calls"] == [call]
        assert choice["message"]["content"] is None
    (body,) = upstream.bodies
    assert body["tool_choice"] == "required"
    assert body["tools"][0]["function"]["name"] == "weather"


def test_a_conversation_goes_on_with_the_results_of_the_clients_tools(server, upstream):
    call = {"id": "c9", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c9", "content": "sunny"},
    ]
    found = server.post({"model": "other", "messages": messages, "tools": [WEATHER]})
    assert found.json()["choices"][0]["message"]["content"] == PARIS
    assert [message["role"] for message in upstream.bodies[0]["messages"]] == ["user", "assistant", "tool"]


# Metadata and idempotency


def test_metadata_finds_the_charges_of_a_request(server, workspace):
    server.post(asked(metadata={"user": "ana", "app": "x"}))
    server.post(asked(metadata={"user": "eva"}))
    found = aivax("usage", "--json", "--metadata", "user=ana", cwd=workspace, home=workspace).json
    assert found["total"]["turns"] == 1
    assert found["total"]["tokens"] == 1882
    both = aivax(
        "usage", "--json", "--metadata", "user=eva", "--metadata", "app=x", cwd=workspace, home=workspace
    )
    assert both.json["total"]["turns"] == 0


@pytest.mark.parametrize("first_streams", [False, True])
def test_a_repeated_idempotency_key_has_the_same_answer_and_no_charge(
    server, upstream, workspace, first_streams
):
    body = asked(idempotency_key=f"k-{first_streams}", stream=first_streams)
    first, before = server.post(body), charges(workspace)
    upstream.answers(says("Something else."))
    second = server.post(body)
    assert second.status_code == 200
    assert said(second) == said(first) == PARIS
    assert charges(workspace) == before
    assert len(upstream.requests) == 1


def test_an_idempotency_key_of_another_body_is_refused(server):
    assert server.post(asked(idempotency_key="twice")).status_code == 200
    found = server.post(asked(idempotency_key="twice", temperature=1))
    assert found.status_code == 409
    assert error_of(found)["param"] == "idempotency_key"


def test_an_idempotency_key_of_a_failed_request_may_be_used_again(server, upstream):
    upstream.answers(status(400, "no"), says(PARIS))
    assert server.post(asked(idempotency_key="again")).status_code == 400
    assert server.post(asked(idempotency_key="again")).status_code == 200


def charges(workspace) -> int:
    with sqlite3.connect(workspace / ".aivax" / "ledger.db") as connection:
        return int(connection.execute("SELECT count(*) FROM charges").fetchone()[0])


def said(response) -> str:
    if response.headers["content-type"].startswith("application/json"):
        return response.json()["choices"][0]["message"]["content"]
    return "".join(each["choices"][0]["delta"].get("content", "") for each in chunks(response))


# Errors


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        ({"model": "suport", "prompt": "x"}, 404, "'support'"),
        ({"model": "@openai/gpt-5-mini", "prompt": "x"}, 404, "directly"),
        ({"model": "support"}, 400, "messages"),
        ({"prompt": "x"}, 400, "model"),
        ({"model": "support", "prompt": "x", "temperature": 3}, 400, "temperature"),
        ({"model": "support", "prompt": "x", "top_p": 0.5}, 400, "locked"),
        ({"model": "support", "prompt": "x", "metadata": {"a": 1}}, 400, "metadata"),
        ({"model": "support", "prompt": "x", "idempotency_key": "k" * 129}, 400, "idempotency_key"),
        ({"model": "support", "prompt": "x", "n": 2}, 400, "n must be 1"),
        ({"model": "support", "messages": [{"role": "assistant", "content": "x"}]}, 400, "from the user"),
        ({"model": "support", "messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0].role"),
        ({"model": "support", "prompt": "x", "tools": [{"type": "function"}]}, 400, "tools[0]"),
        ({"model": "cheap", "prompt": "x"}, 402, "budget"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(server, upstream, body, code, word):
    found = server.post(body)
    assert found.status_code == code
    assert word in error_of(found)["message"]
    assert upstream.requests == []


def test_pictures_are_not_fetched_from_addresses(server, upstream):
    part = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data"}}
    found = server.post({"model": "other", "messages": [{"role": "user", "content": [part]}]})
    assert found.status_code == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (status(429, "slow down", retry_after=70), 429),
        (status(422, "no"), 422),
        (status(401, "bad key"), 502),
    ],
)
def test_an_upstream_refusal_becomes_the_right_status(server, upstream, answer, code):
    upstream.answers(answer)
    found = server.post(asked())
    assert found.status_code == code
    assert upstream.url not in found.text
    assert found.headers.get("retry-after") == ("70" if code == 429 else None)


def test_instructions_are_in_no_answer(server, upstream):
    upstream.answers(says(PARIS), status(400, "no"))
    for _ in range(2):
        assert "moon" not in server.post(asked()).text


def test_paths_methods_and_bodies_that_are_not_served(server):
    import httpx

    assert error_of(server.get("/v1/nothing"))["type"] == "not_found_error"
    assert server.get("/v1/chat/completions").status_code == 405
    url = server.url + "/v1/chat/completions"
    assert httpx.post(url, content=b"{", timeout=PATIENT_S).status_code == 400
    long = httpx.post(url, content=b" " * (33 * 1024 * 1024), timeout=PATIENT_S)
    assert long.status_code == 413


def test_headers_of_any_bytes_are_no_failure(server):
    found = server.post(asked(), headers={b"authorization": b"Bearer caf\xe9", b"x-a": "é".encode()})
    assert found.status_code == 200


# What else is served


def test_gateways_are_models(server):
    listed = server.get("/v1/models").json()["data"]
    assert [model["id"] for model in listed] == ["cheap", "other", "routed", "support"]
    assert server.get("/v1/models/support:0001").json() == listed[-1]
    assert server.get("/v1/models/..%2f..%2fetc").status_code == 404


def test_metrics_count_requests_tokens_and_usd(server):
    server.post(asked())
    text = server.get("/metrics").text
    assert 'aivax_requests_total{gateway="support",status="200"}' in text
    assert 'aivax_tokens_total{gateway="support",sku="inference.chat_completions.out"}' in text
    assert 'aivax_cost_usd_total{gateway="support"}' in text
    assert 'aivax_request_seconds_bucket{gateway="support",le="+Inf"}' in text


def test_the_document_describes_what_is_served(server):
    found = server.get("/openapi.json").json()
    assert found["openapi"] == "3.1.0"
    assert "/v1/chat/completions" in found["paths"]


def test_readiness_and_health(server):
    assert server.get("/healthz").status_code == 200
    assert server.get("/readyz").status_code == 200


def test_usage_of_a_provider_is_charged_once(server, upstream, workspace):
    events = [
        chunk("a", usage=usage(5, 1)),
        chunk("b", usage=usage(5, 2)),
        chunk(finish="stop", usage=usage(5, 2)),
    ]
    upstream.answers(sse(events))
    found = server.post(asked()).json()
    assert found["usage"]["total_tokens"] == 7
