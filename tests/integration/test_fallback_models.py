"""A list of models through the real program: which is asked after which, what is told, what is kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import Done, aivax
from support.gateway_turns import turns_of
from support.in_process import aivax_here
from support.upstream import (
    Answer,
    Upstream,
    calls_tool,
    chunk,
    hang_up,
    html,
    json_answer,
    reset,
    says,
    silence,
    sse,
    status,
)
from support.workspaces import write_gateway

EMPTY = json_answer({"choices": []})
ERROR_OBJECT = sse([{"error": {"message": "overloaded", "code": 503}}], end=None)
CLOSED = "http://127.0.0.1:9/v1"


@pytest.fixture
def first() -> Iterator[Upstream]:
    with Upstream(says("from the first")) as server:
        yield server


@pytest.fixture
def second() -> Iterator[Upstream]:
    with Upstream(says("from the second", model="second-7b")) as server:
        yield server


def inline(url: str, name: str, more: str = "") -> str:
    return f"{{base_url: {url}, name: {name}{more}}}"


def gateway(root: Path, *models: str, more: str = "") -> None:
    write_gateway(root, "g", f"[{', '.join(models)}]", more=more)


def ask(root: Path, *arguments: str) -> Done:
    return aivax_here("complete", "g", "hi", *arguments, cwd=root)


@pytest.fixture
def pair(tmp_path: Path, first: Upstream, second: Upstream) -> Path:
    gateway(tmp_path, inline(first.url, "one"), inline(second.url, "two"))
    return tmp_path


def test_the_first_of_a_list_answers(pair: Path, second: Upstream) -> None:
    answer = ask(pair, "--json").json
    assert (answer["text"], answer["model_ref"], answer["fallbacks"]) == ("from the first", "one", [])
    assert second.requests == []


@pytest.mark.parametrize(
    ("failure", "reason", "asked"),
    [
        (status(400, "bad"), "refused the request (HTTP 400): bad", 1),
        (status(401), "wants an API key", 1),
        (status(404), "does not know the model 'one'", 1),
        (status(429, retry_after=30), "refuses more requests for now (HTTP 429)", 1),
        (status(500), "failed (HTTP 500)", 2),
        (status(503), "failed (HTTP 503)", 2),
        (reset(), "closed the connection without an answer", 2),
        (hang_up(), "closed the connection without an answer", 2),
        (html(), "answered with a web page (HTML)", 1),
        (json_answer('{"choices": [{"mess'), "answered with broken JSON", 2),
        (EMPTY, "JSON without any choices", 1),
        (ERROR_OBJECT, "reports an error: overloaded", 2),
        (sse([], end=None), "sent an empty answer", 2),
    ],
)
def test_a_failure_before_the_first_word_goes_to_the_next(
    pair: Path, first: Upstream, failure: Answer, reason: str, asked: int
) -> None:
    first.answers(failure)
    done = ask(pair, "--json")
    answer = done.json
    assert (done.code, answer["text"], answer["model"]) == (0, "from the second", "second-7b")
    assert answer["model_ref"] == "two"
    (fallback,) = answer["fallbacks"]
    assert (fallback["model"], fallback["next_model"]) == ("one", "two")
    assert fallback["sku"] == "inference.chat_completions"
    assert reason in fallback["reason"]
    assert f"one failed: {fallback['reason']}; trying two" in done.err
    assert len(first.requests) == asked


def test_a_server_that_is_not_there_and_a_key_that_is_missing_go_to_the_next(
    tmp_path: Path, second: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    gateway(tmp_path, '"@openai/gpt-5-mini"', inline(CLOSED, "away"), inline(second.url, "two"))
    answer = ask(tmp_path, "--json").json
    assert answer["text"] == "from the second"
    missing, away = answer["fallbacks"]
    assert "OPENAI_API_KEY" in missing["reason"]
    assert "connection refused" in away["reason"]


def test_a_model_that_is_silent_goes_to_the_next(tmp_path: Path, first: Upstream, second: Upstream) -> None:
    first.answers(silence())
    gateway(tmp_path, inline(first.url, "one"), inline(second.url, "two"), more="timeout_s: 3\n")
    (result,) = turns_of(tmp_path, "hi").results
    assert result.text == "from the second"
    assert "one" in [fallback.model for fallback in result.fallbacks]
    assert "sent nothing for 3 s" in result.fallbacks[0].reason


def test_an_endless_line_goes_to_the_next(pair: Path, first: Upstream) -> None:
    first.answers(sse([b"data: " + b"x" * 10_000_000 + b"\n\n"]))
    (result,) = turns_of(pair, "hi").results
    assert result.text == "from the second"
    assert "more than 8 MiB" in result.fallbacks[0].reason


def test_the_models_of_a_chat_are_listed_by_slash_model(pair: Path, second: Upstream) -> None:
    done = aivax("chat", "g", cwd=pair, home=pair, stdin="/model\n")
    assert done.err.splitlines() == ["one", f"if that fails: two, {second.url}, no key"]


def test_weights_that_are_not_there_go_to_the_next(tmp_path: Path, second: Upstream) -> None:
    gateway(tmp_path, '"@local/nobody-has-this"', '"@local/qwen2.5-coder-0.5b"', inline(second.url, "two"))
    offline = {"AIVAX_OFFLINE": "1"}
    done = aivax("complete", "g", "hi", "--json", cwd=tmp_path, home=tmp_path / "home", env=offline)
    assert done.json["text"] == "from the second"
    unknown, offline_weights = done.json["fallbacks"]
    assert "no local model named" in unknown["reason"]
    assert offline_weights["model"] == "@local/qwen2.5-coder-0.5b"


def test_a_break_in_the_middle_of_the_answer_falls_back_to_nobody(
    pair: Path, first: Upstream, second: Upstream
) -> None:
    first.answers(sse([chunk("half an"), chunk(" answer")], end=None, ending="reset"))
    done = ask(pair)
    assert (done.code, done.out) == (1, "half an answer\n")
    assert "the answer is incomplete" in done.err
    assert second.requests == []


def test_when_all_fail_the_last_error_is_the_result(pair: Path, first: Upstream, second: Upstream) -> None:
    first.answers(status(404))
    second.answers(status(401))
    done = ask(pair)
    assert (done.code, done.out) == (1, "")
    assert "one failed" in done.err
    assert "error: 127.0.0.1 wants an API key and the model 'two' has none" in done.err


def test_the_prices_are_those_of_the_model_that_answered(
    tmp_path: Path, first: Upstream, second: Upstream
) -> None:
    first.answers(status(404))
    price = ", pricing: {input: 1, output: 2}"
    gateway(
        tmp_path,
        inline(first.url, "one"),
        inline(second.url, "two", price),
        more="pricing: {input: 10, output: 20}\n",
    )
    charges = ask(tmp_path, "--json").json["generated_usage"]
    assert [(each["sku"].rpartition(".")[2], each["unit_price"]) for each in charges] == [
        ("in", 1e-6),
        ("out", 2e-6),
    ]


def test_in_later_rounds_the_model_that_answered_is_asked_alone(
    tmp_path: Path, first: Upstream, second: Upstream
) -> None:
    first.answers(status(404))
    second.answers(calls_tool("nothing", {}), says("done"))
    search = "knowledge: {collections: [kb], strategy: QueryFunction}\n"
    gateway(tmp_path, inline(first.url, "one"), inline(second.url, "two"), more=search)
    assert ask(tmp_path, "--json").json["text"] == "done"
    assert (len(first.requests), len(second.requests)) == (1, 2)


def test_why_tells_who_failed_and_who_answered(pair: Path, first: Upstream) -> None:
    first.answers(status(404, "no such model"))
    done = aivax("chat", "g", cwd=pair, home=pair, stdin="hi\n/why\n")
    lines = [line.strip() for line in done.err.splitlines()]
    assert "Model  two" in lines
    assert "answered as second-7b" in lines
    assert any(line.startswith("one failed: 127.0.0.1 does not know") for line in lines)


def test_show_lists_the_models_in_their_order(pair: Path, first: Upstream, second: Upstream) -> None:
    shown = aivax_here("gateways", "show", "g", cwd=pair).out
    assert f"# endpoint: {first.url}, no key\n# if that fails: two, {second.url}, no key\n" in shown
    record = aivax_here("gateways", "show", "g", "--json", cwd=pair).json
    assert [each["model_ref"] for each in record["fallbacks"]] == ["two"]


def test_an_unknown_provider_in_the_list_is_a_fault_with_its_line(tmp_path: Path) -> None:
    write_gateway(tmp_path, "g", '\n  - "@openai/gpt-5-mini"\n  - "@opnai/gpt-5-mini"')
    done = aivax_here("gateways", "validate", cwd=tmp_path)
    assert done.code == 2
    assert "gateways/g.yaml:5: model[1]: no provider named 'opnai'; did you mean 'openai'?" in done.out
