"""The HTTP client against a real server that refuses, stalls, resets and redirects."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import subprocess
import sys
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from msgspec.structs import replace
from support.calling import ONCE, QUICK, ask, call, collect, target
from support.patience import PATIENT_S
from support.ports import closed_port
from support.upstream import (
    Upstream,
    calls_tool,
    chunk,
    completion,
    hang_up,
    html,
    json_answer,
    reset,
    says,
    silence,
    sse,
    status,
)

from aivax_cli.core.errors import KeyMissingError, ModelError
from aivax_cli.core.types import ModelRetry, ModelText, TokenUsage, ToolCall, ToolSpec
from aivax_cli.model.client import HttpChatModel, Timeouts

KEY = "mykey-4f9a8b7c6d5e"
KEYED = {"api_key_env": "TEST_KEY", "environ": {"TEST_KEY": KEY}}


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server


def failure(upstream: Upstream, **how) -> ModelError:
    how.setdefault("retry", ONCE)
    with pytest.raises(ModelError) as caught:
        ask(upstream.url, **how)
    assert "\n" not in str(caught.value)
    return caught.value


# What is sent


def test_a_request_goes_to_chat_completions_and_asks_for_a_stream_with_usage(upstream: Upstream) -> None:
    upstream.answers(says("Paris"))
    ask(upstream.url + "/", parameters={"temperature": 0.5, "seed": None, "extra_body": {"top_k": 3}})
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert "authorization" not in request.headers
    assert request.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_k": 3,
    }


def test_an_answer_arrives_in_pieces_with_its_usage(upstream: Upstream) -> None:
    upstream.answers(says("Paris is nice", prompt=12, cached=4))
    answer = ask(upstream.url)
    assert answer.pieces == ("Paris ", "is ", "nice")
    assert answer.end.usage == TokenUsage(8, 4, 3)
    assert (answer.end.model, answer.end.finish_reason, answer.end.broken) == ("test-model", "stop", None)


def test_the_key_goes_into_the_authorization_header(upstream: Upstream) -> None:
    upstream.answers(says("x"))
    ask(upstream.url, **KEYED)
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_tools_are_offered_and_their_calls_come_back(upstream: Upstream) -> None:
    upstream.answers(calls_tool("search", {"search_terms": ["a"]}))
    tool = ToolSpec("search", "Searches.", {"type": "object"})
    answer = ask(upstream.url, tools=(tool,))
    function = {"name": "search", "description": "Searches.", "parameters": {"type": "object"}}
    assert upstream.bodies[0]["tools"] == [{"type": "function", "function": function}]
    assert answer.end.tool_calls == (ToolCall("call_1", "search", '{"search_terms": ["a"]}'),)


def test_an_endpoint_that_refuses_stream_options_is_asked_without_them_and_remembered() -> None:
    def picky(request):
        if "stream_options" in request.body:
            return status(422, "extra fields not permitted: stream_options")
        return says("Paris")

    async def run(url: str):
        async with HttpChatModel({}, retry=ONCE) as model:
            return [await collect(model, call(target(url))) for _ in range(2)]

    with Upstream(picky) as upstream:
        answers = asyncio.run(run(upstream.url))
        assert ["stream_options" in body for body in upstream.bodies] == [True, False, False]
    assert [(answer.text, answer.retries) for answer in answers] == [("Paris", ())] * 2


def test_an_endpoint_that_refuses_max_completion_tokens_gets_max_tokens() -> None:
    def old(request):
        if "max_completion_tokens" in request.body:
            return status(400, "unrecognized argument: max_completion_tokens")
        return says("Paris")

    with Upstream(old) as upstream:
        assert ask(upstream.url, parameters={"max_completion_tokens": 9}).text == "Paris"
        assert upstream.bodies[-1]["max_tokens"] == 9


def test_a_connection_is_used_again_for_the_next_turn(upstream: Upstream) -> None:
    upstream.answers(says("x"))

    async def run() -> None:
        async with HttpChatModel({}) as model:
            for _ in range(3):
                await collect(model, call(target(upstream.url)))

    asyncio.run(run())
    assert len({request.port for request in upstream.requests}) == 1


def test_one_model_can_be_used_in_one_loop_after_another(upstream: Upstream) -> None:
    upstream.answers(sse([chunk("Paris")], headers={"connection": "close"}))
    model = HttpChatModel({})
    texts = [asyncio.run(collect(model, call(target(upstream.url)))).text for _ in range(2)]
    assert texts == ["Paris", "Paris"]


# What is tried again


@pytest.mark.parametrize(
    "first", [status(500), status(503), status(429), status(408), status(409), reset(), hang_up()]
)
def test_a_transient_failure_is_announced_and_tried_again(first) -> None:
    with Upstream(first, says("Paris")) as upstream:
        answer = ask(upstream.url)
        assert len(upstream.requests) == 2
    assert answer.text == "Paris"
    assert [retry.attempt for retry in answer.retries] == [1]


def test_a_stream_that_ends_before_its_first_text_is_tried_again(upstream: Upstream) -> None:
    role = chunk(delta={"role": "assistant", "content": ""})
    upstream.answers(sse([role], end=None), sse([role], end=None, ending="reset"), says("Paris"))
    answer = ask(upstream.url)
    assert (answer.text, len(answer.retries)) == ("Paris", 2)


def test_an_empty_body_is_tried_again(upstream: Upstream) -> None:
    upstream.answers(json_answer(b""), sse([], end=None), says("Paris"))
    assert ask(upstream.url).text == "Paris"


def test_three_failures_are_the_end_of_it(upstream: Upstream) -> None:
    upstream.answers(status(503, "overloaded"))
    error = failure(upstream, retry=QUICK)
    assert len(upstream.requests) == 3
    assert str(error) == "test failed (HTTP 503): overloaded"
    assert error.status == 503


def test_nothing_is_tried_again_after_the_first_text(upstream: Upstream) -> None:
    upstream.answers(sse([chunk("Par")], end=None, ending="reset"), says("Paris"))
    answer = ask(upstream.url)
    assert len(upstream.requests) == 1
    assert (answer.text, answer.retries) == ("Par", ())
    assert answer.end.broken is not None


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "0.2"}, 0.2),
        ({"retry-after-ms": "150", "retry-after": "9"}, 0.15),
        ({"retry-after": "0"}, 0.0),
    ],
)
def test_the_wait_that_the_endpoint_asks_for_is_announced_and_kept(headers, wait_s: float) -> None:
    with Upstream(status(429, headers=headers), says("x")) as upstream:
        start = time.monotonic()
        answer = ask(upstream.url)
        elapsed = time.monotonic() - start
    assert [retry.wait_s for retry in answer.retries] == [wait_s]
    assert elapsed >= wait_s


def test_a_date_as_retry_after_is_understood(upstream: Upstream) -> None:
    late = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    upstream.answers(status(429, retry_after=late))
    error = failure(upstream, retry=QUICK)
    assert len(upstream.requests) == 1
    assert error.fix is not None and error.fix.startswith(("wait 999 s", "wait 1000 s"))


def test_a_wait_beyond_the_limit_is_not_begun(upstream: Upstream) -> None:
    upstream.answers(status(429, "slow down", retry_after=3600))
    error = failure(upstream, retry=QUICK)
    assert len(upstream.requests) == 1
    assert str(error) == (
        "test refuses more requests for now (HTTP 429): slow down; wait 3600 s and try again"
    )


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (status(503, headers={"x-should-retry": "false"}), 1),
        (status(400, headers={"x-should-retry": "true"}), 3),
        (json_answer({"error": {"message": "empty", "code": "insufficient_quota"}}, status=429), 1),
        (status(400), 1),
        (status(404), 1),
    ],
)
def test_what_is_hopeless_is_not_tried_again(answer, requests: int) -> None:
    with Upstream(answer) as upstream:
        failure(upstream, retry=QUICK)
        assert len(upstream.requests) == requests


def test_retries_write_nothing_to_stderr(upstream: Upstream) -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests'); from support.calling import ask; "
        f"print(ask({upstream.url!r}).text)"
    )
    upstream.answers(status(500), says("Paris"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("Paris\n", "")


# Errors


def test_a_refused_connection_asks_whether_the_server_runs() -> None:
    with closed_port() as port, pytest.raises(ModelError) as caught:
        ask(f"http://127.0.0.1:{port}/v1", retry=ONCE)
    assert str(caught.value) == (
        f"cannot reach http://127.0.0.1:{port}/v1/chat/completions: connection refused; "
        "is the server running, and on that port?"
    )


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(
        ModelError, match=r"cannot reach http://no-such-host\.invalid/v1.*host name is unknown"
    ):
        ask("http://no-such-host.invalid/v1", retry=ONCE)


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://exa mple/v1", "ftp://host/v1", "http://" + "a" * 70 + "/v1"]
)
def test_an_impossible_address_is_an_error_with_a_fix(url: str) -> None:
    with pytest.raises(ModelError):
        ask(url, retry=ONCE)


def test_https_to_a_plain_server_is_explained(upstream: Upstream) -> None:
    with pytest.raises(ModelError, match="no TLS connection to https://127") as caught:
        ask(upstream.url.replace("http:", "https:"), retry=QUICK)
    assert caught.value.fix == "does the server speak https, or plain http?"


def test_silence_is_given_up_after_the_read_timeout(upstream: Upstream) -> None:
    upstream.answers(silence())
    error = failure(upstream, timeouts=Timeouts(read_s=0.1))
    assert f"test at {upstream.url}/chat/completions sent nothing for 0.1 s" in str(error)


def test_a_call_may_be_given_up_sooner_than_others(upstream: Upstream) -> None:
    upstream.answers(silence())

    async def run() -> None:
        async with HttpChatModel({}, retry=ONCE) as model:
            await collect(model, replace(call(target(upstream.url)), timeout_s=0.1))

    with pytest.raises(ModelError, match=r"sent nothing for 0\.1 s"):
        asyncio.run(run())


def test_silence_in_the_middle_breaks_the_answer(upstream: Upstream) -> None:
    upstream.answers(sse([chunk("Par")], end=None, ending="stall"))
    answer = ask(upstream.url, timeouts=Timeouts(read_s=2))
    assert (answer.text, answer.end.broken) == ("Par", "the endpoint sent nothing for 2 s")


def test_a_wrong_key_names_the_variable_and_never_the_key(upstream: Upstream) -> None:
    upstream.answers(status(401, f"Incorrect API key provided: {KEY}. Or sk-proj-abc123***xyz."))
    error = failure(upstream, **KEYED)
    assert str(error) == (
        "test refused the API key of TEST_KEY (HTTP 401): Incorrect API key provided: ***. Or ***; "
        "check that TEST_KEY holds a valid key for test and may use 'm'"
    )


def test_a_missing_key_says_where_to_name_one(upstream: Upstream) -> None:
    upstream.answers(status(403))
    assert "api_key_env" in str(failure(upstream))


def test_an_unset_variable_is_an_error_before_any_request(upstream: Upstream) -> None:
    with pytest.raises(KeyMissingError, match="the environment variable TEST_KEY is not set"):
        ask(upstream.url, api_key_env="TEST_KEY", environ={})
    assert upstream.requests == []


def test_not_found_names_model_and_path(upstream: Upstream) -> None:
    upstream.answers(status(404, "model 'm' not found"))
    text = str(failure(upstream))
    assert f"does not know the model 'm' or the path {upstream.url}/chat/completions (HTTP 404)" in text
    assert "usually ends in /v1" in text


def test_a_refused_request_is_explained_in_the_endpoint_s_words(upstream: Upstream) -> None:
    upstream.answers(json_answer({"detail": [{"loc": ["body", "top_p"], "msg": "too\nlarge"}]}, status=422))
    assert str(failure(upstream)) == "test refused the request (HTTP 422): body.top_p: too large"


def test_too_long_a_prompt_says_what_to_shorten(upstream: Upstream) -> None:
    upstream.answers(status(400, "request (9031 tokens) exceeds the available context size (8192 tokens)"))
    assert "lower knowledge.top" in str(failure(upstream))


def test_an_endless_error_message_is_cut(upstream: Upstream) -> None:
    upstream.answers(status(400, "x " * 500_000))
    assert len(str(failure(upstream))) < 400


@pytest.mark.parametrize("code", [200, 502])
def test_a_web_page_is_named_by_its_title(code: int) -> None:
    with Upstream(html("<html><title>Bad\n Gateway</title></html>", status=code)) as upstream:
        error = failure(upstream)
    assert "Bad Gateway" in str(error)
    assert "<" not in str(error)


def test_truncated_json_is_an_error(upstream: Upstream) -> None:
    upstream.answers(json_answer(b'{"choices": [{"message": {"content": "Par'))
    assert "broken JSON (cut off after 41 characters?)" in str(failure(upstream))


def test_plain_text_is_no_answer(upstream: Upstream) -> None:
    upstream.answers(sse([b"Service is fine\n"], end=None, headers={"content-type": "text/plain"}))
    assert "text that is neither JSON nor an event stream" in str(failure(upstream))


def test_a_redirect_is_not_followed_and_says_where_to(upstream: Upstream) -> None:
    with Upstream(says("stolen")) as other:
        place = other.url + "/chat/completions"
        upstream.answers(json_answer({}, status=308, headers={"location": place}))
        error = failure(upstream, **KEYED)
        assert other.requests == []
    assert place in str(error)


def test_a_password_in_the_address_is_not_shown(upstream: Upstream) -> None:
    upstream.answers(status(500))
    with pytest.raises(ModelError) as caught:
        ask(upstream.url.replace("//", "//user:hunter2secret@"), retry=ONCE)
    assert "hunter2secret" not in str(caught.value)


def test_no_key_is_in_a_representation_or_a_log(upstream: Upstream, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.answers(status(500), says("x"))

    async def run() -> str:
        async with HttpChatModel({"TEST_KEY": KEY}, retry=QUICK) as model:
            await collect(model, call(target(upstream.url, api_key_env="TEST_KEY")))
            return repr(model) + repr(vars(model).get("_command_keys"))

    shown = asyncio.run(run()) + caplog.text
    assert KEY not in shown


# Ending early


def test_closing_the_generator_closes_the_connection(upstream: Upstream) -> None:
    upstream.answers(sse([chunk("Par")], end=None, ending="stall"))

    async def run() -> None:
        async with HttpChatModel({}) as model:
            async with aclosing(model.stream(call(target(upstream.url)))) as stream:
                assert await anext(stream) == ModelText("Par")
            assert await asyncio.to_thread(upstream.disconnected.wait, PATIENT_S)

    asyncio.run(run())


@pytest.mark.parametrize("answer", [silence(), sse([chunk("Par")], end=None, ending="stall")])
def test_cancelling_the_task_closes_the_connection(answer) -> None:
    async def run(upstream: Upstream) -> None:
        async with HttpChatModel({}) as model:
            task = asyncio.create_task(collect(model, call(target(upstream.url))))
            while not upstream.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(upstream.disconnected.wait, PATIENT_S)

    with Upstream(answer) as upstream:
        asyncio.run(run(upstream))


def test_cancelling_a_wait_for_the_next_attempt_ends_at_once(upstream: Upstream) -> None:
    upstream.answers(status(429, retry_after=30))

    async def run() -> None:
        async with HttpChatModel({}) as model:
            stream = model.stream(call(target(upstream.url)))
            assert isinstance(await anext(stream), ModelRetry)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await anext(stream)

    asyncio.run(run())


def test_many_calls_at_once_share_one_model(upstream: Upstream) -> None:
    upstream.answers(says("Paris"))

    async def run() -> list[str]:
        async with HttpChatModel({}) as model:
            calls = (collect(model, call(target(upstream.url))) for _ in range(40))
            return [answer.text for answer in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == ["Paris"] * 40


# Over aiohttp's connections, as the server calls


@pytest.fixture
def aiohttp_ask(upstream):
    from aivax_cli.model.aiohttp_sending import aiohttp_sender

    def ask_once(base_url: str = "", **how):
        async def run():
            given = {"retry": ONCE, "sender": aiohttp_sender, **how}
            async with HttpChatModel({}, **given) as model:
                return await collect(model, call(target(base_url or upstream.url)))

        return asyncio.run(run())

    return ask_once


def test_aiohttp_streams_are_read_as_others_are(upstream, aiohttp_ask):
    upstream.answers(says("Paris it is", cached=4))
    found = aiohttp_ask()
    assert found.text == "Paris it is"
    assert found.end.usage == TokenUsage(6, 4, 3)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (reset(), "closed the connection without an answer"),
        (hang_up(), "closed the connection without an answer"),
        (status(400, "no"), "refused the request"),
        (html(), "web page"),
    ],
)
def test_aiohttp_failures_are_told_as_others_are(upstream, aiohttp_ask, answer, word):
    upstream.answers(answer)
    with pytest.raises(ModelError, match=word):
        aiohttp_ask()


def test_aiohttp_says_that_a_connection_is_refused(aiohttp_ask):
    with closed_port() as port, pytest.raises(ModelError, match="connection refused"):
        aiohttp_ask(f"http://127.0.0.1:{port}/v1")


def test_aiohttp_names_an_unknown_host(aiohttp_ask):
    with pytest.raises(ModelError, match="host name is unknown"):
        aiohttp_ask("http://no-such-host.invalid/v1")


def test_aiohttp_explains_https_to_a_plain_server(upstream, aiohttp_ask):
    with pytest.raises(ModelError, match="no TLS connection to https://127"):
        aiohttp_ask(upstream.url.replace("http:", "https:"))


def test_aiohttp_wants_the_certificates_that_the_environment_names(aiohttp_ask, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="certificates that the environment names cannot be read"):
        aiohttp_ask("https://no-such-host.invalid/v1")


def test_aiohttp_reads_compressed_answers(upstream, aiohttp_ask):
    body = gzip.compress(json.dumps(completion("Paris")).encode())
    upstream.answers(json_answer(body, headers={"content-encoding": "gzip"}))
    assert aiohttp_ask().text == "Paris"


def test_aiohttp_gives_up_on_a_silent_endpoint(upstream, aiohttp_ask):
    upstream.answers(silence())
    with pytest.raises(ModelError, match=r"sent nothing for 0.3 s"):
        aiohttp_ask(timeouts=Timeouts(read_s=0.3))


def test_aiohttp_tells_of_a_stream_that_is_cut(upstream, aiohttp_ask):
    upstream.answers(sse([chunk("Par")], end=None, ending="reset"))
    found = aiohttp_ask()
    assert found.text == "Par"
    assert "lost in the middle" in found.end.broken


def test_aiohttp_ends_the_request_when_its_stream_is_closed(upstream):
    from aivax_cli.model.aiohttp_sending import aiohttp_sender

    upstream.answers(sse([chunk("Par")], end=None, ending="stall"))

    async def run() -> None:
        async with HttpChatModel({}, sender=aiohttp_sender) as model:
            async with aclosing(model.stream(call(target(upstream.url)))) as stream:
                assert await anext(stream) == ModelText("Par")
            assert await asyncio.to_thread(upstream.disconnected.wait, 2.0)

    asyncio.run(run())
