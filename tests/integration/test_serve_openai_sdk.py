"""The real `openai` SDK against the running server: nothing but `base_url` and key is changed."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from support.serving import gateway, served
from support.upstream import Upstream, calls_tool, says, status

SEED_EXAMPLE = """
from openai import OpenAI
client = OpenAI(
base_url="https://inference.aivax.net/api/v1",
api_key="oky_gr5u...oqbfd3d9y"
)
response = client.chat.completions.create(
model="my-gateway:50c3", # you can also provide your ai-gateway full ID here
messages=[
{"role": "user", "content": "Explain why AI-gateways are useful."}
]
)
print(response.choices[0].message.content)
"""
MESSAGES = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def upstream():
    with Upstream(says("Hello there.")) as server:
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("sdk")
    gateway(root, upstream, "my-gateway", number=0x50C3)
    with served(root) as server:
        yield server


@pytest.fixture
def client(running, upstream):
    upstream.answers(says("Hello there."))
    with OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0) as made:
        yield made


def test_the_example_of_the_seeds_runs_as_printed(running, client):
    code = SEED_EXAMPLE.replace("https://inference.aivax.net", running.url)
    code = code.replace("oky_gr5u...oqbfd3d9y", "none")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "seed", "exec"), {})
    assert printed.getvalue() == "Hello there.\n"


def test_an_answer(client):
    found = client.chat.completions.create(model="my-gateway", messages=MESSAGES, metadata={"a": "b"})
    assert found.choices[0].message.content == "Hello there."
    assert found.usage.completion_tokens == 2


def test_a_stream_with_usage(client):
    stream = client.chat.completions.create(
        model="my-gateway", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = stream
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "Hello there."
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage.prompt_tokens == 10


def test_answers_and_streams_without_blocking(running, client):
    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=running.url + "/v1", api_key="none") as made:
            whole = await made.chat.completions.create(model="my-gateway", messages=MESSAGES)
            stream = await made.chat.completions.create(model="my-gateway", messages=MESSAGES, stream=True)
            text = "".join([each.choices[0].delta.content or "" async for each in stream])
            return whole.choices[0].message.content, text

    assert asyncio.run(both()) == ("Hello there.", "Hello there.")


def test_a_round_of_the_clients_own_tool(client, upstream):
    upstream.answers(calls_tool("weather", {"city": "Rome"}), says("It is sunny."))
    first = client.chat.completions.create(model="my-gateway", messages=MESSAGES, tools=TOOLS)
    (call,) = first.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Rome"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    again = [*MESSAGES, first.choices[0].message, result]
    second = client.chat.completions.create(model="my-gateway", messages=again, tools=TOOLS)
    assert second.choices[0].message.content == "It is sunny."


def test_a_streamed_call_is_put_together(client, upstream):
    upstream.answers(calls_tool("weather", {"city": "Rome"}))
    with client.chat.completions.stream(model="my-gateway", messages=MESSAGES, tools=TOOLS) as stream:
        found = stream.get_final_completion()
    assert found.choices[0].finish_reason == "tool_calls"
    assert found.choices[0].message.tool_calls[0].function.name == "weather"


def test_a_response_format_of_a_pydantic_model(client, upstream):
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    upstream.answers(says('{"name": "Rome"}'))
    found = client.chat.completions.parse(model="my-gateway", messages=MESSAGES, response_format=City)
    assert found.choices[0].message.parsed == City(name="Rome")


def test_models(client):
    assert [model.id for model in client.models.list()] == ["my-gateway"]
    assert client.models.retrieve("my-gateway:50c3").id == "my-gateway"


def test_errors_are_the_sdks_own(client, upstream):
    with pytest.raises(openai.NotFoundError, match="did you mean 'my-gateway'"):
        client.chat.completions.create(model="my-gatewy", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model="my-gateway", messages=MESSAGES, temperature=9)
    upstream.answers(status(429, "slow down", retry_after=70))
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="my-gateway", messages=MESSAGES, stream=True)
    assert caught.value.response.headers["retry-after"] == "70"
