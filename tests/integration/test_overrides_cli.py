"""Overrides, locks, prefills and instructions from elsewhere, as a person at the command line meets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Done, aivax
from support.in_process import aivax_here
from support.upstream import Answer, Upstream, says, silence, status
from support.workspaces import write_gateway

LOCKED = "locked: [model, parameters.temperature, knowledge.strategy]\n"


@pytest.fixture
def model() -> Iterator[Upstream]:
    with Upstream(says("Paris")) as server:
        yield server


@pytest.fixture
def texts() -> Iterator[Upstream]:
    with Upstream(Answer((b"Be brief.\n",), 200, {"content-type": "text/plain"})) as server:
        yield server


def gateway(root: Path, model: Upstream, more: str = "") -> None:
    write_gateway(root, "g", f"{{base_url: {model.url}, name: big}}", more=more)


def complete(root: Path, *arguments: str) -> Done:
    return aivax_here("complete", "g", "Hello", *arguments, cwd=root)


def messages(upstream: Upstream, call: int = -1) -> list[tuple[str, Any]]:
    return [(each["role"], each["content"]) for each in upstream.bodies[call]["messages"]]


def test_every_kind_of_field_reaches_the_request(tmp_path: Path, model: Upstream) -> None:
    gateway(tmp_path, model, "prefill: A\nparameters: {temperature: 1}\n")
    done = complete(
        tmp_path,
        *("--set", "temperature=0.2"),
        *("--set", "stop=[a, b]"),
        *("--set", "instructions=Be kind."),
        *("--set", 'examples=[{user: "1", assistant: "2"}]'),
        *("--set", "prefill="),
        *("--set", "parameters.extra_body.top_k=3"),
    )
    assert done.code == 0
    body = model.bodies[0]
    assert (body["temperature"], body["stop"], body["top_k"]) == (0.2, ["a", "b"], 3)
    assert messages(model) == [
        ("system", "Be kind."),
        ("user", "1"),
        ("assistant", "2"),
        ("user", "Hello"),
    ]


def test_a_locked_field_is_refused_before_any_call(tmp_path: Path, model: Upstream) -> None:
    gateway(tmp_path, model, LOCKED)
    done = complete(tmp_path, "--set", "temperature=0.2")
    assert (done.code, done.out, model.requests) == (2, "", [])
    assert "error: parameters.temperature is locked by gateways/g.yaml:4; " in done.err


def test_the_commands_of_a_chat_respect_locks(tmp_path: Path, model: Upstream) -> None:
    gateway(tmp_path, model, LOCKED + "knowledge: {collections: [kb]}\n")
    stdin = "/model @openai/x\n/strategy Concatenate\n/set temperature=1\n/set seed=7\n"
    done = aivax("chat", "g", cwd=tmp_path, home=tmp_path, stdin=stdin)
    assert [line.partition(";")[0] for line in done.err.splitlines()] == [
        "error: model is locked by gateways/g.yaml:4",
        "error: knowledge.strategy is locked by gateways/g.yaml:4",
        "error: parameters.temperature is locked by gateways/g.yaml:4",
        "seed is now 7, for this chat",
    ]


def test_a_schema_of_the_command_line_respects_locks(tmp_path: Path, model: Upstream) -> None:
    gateway(tmp_path, model, "locked: [response_schema]\n")
    done = complete(tmp_path, "--schema", "name")
    assert (done.code, model.requests) == (2, [])
    assert "response_schema is locked by gateways/g.yaml:4" in done.err


def test_instructions_that_are_set_hold_in_a_chat_too(tmp_path: Path, model: Upstream) -> None:
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "rules.md").write_text("From the file.")
    gateway(tmp_path, model, "instructions_file: rules.md\n")
    aivax("chat", "g", "--set", "instructions=Mine.", cwd=tmp_path, home=tmp_path, stdin="Hello\n")
    assert messages(model)[0] == ("system", "Mine.")


def test_an_unknown_lock_is_a_fault(tmp_path: Path, model: Upstream) -> None:
    gateway(tmp_path, model, "locked:\n  - modle\n")
    done = complete(tmp_path)
    assert done.code == 2
    assert "gateways/g.yaml:5: locked[0]: no field is called 'modle'; did you mean 'model'?" in done.err


def test_texts_from_elsewhere_stand_behind_the_instructions_and_before_the_collections(
    tmp_path: Path, model: Upstream, texts: Upstream
) -> None:
    (tmp_path / "collections").mkdir()
    (tmp_path / "collections" / "kb.yaml").write_text("context: About fish.\n")
    gateway(
        tmp_path,
        model,
        f"instructions: Be kind.\nremote_instructions: [{{url: {texts.url}/a.txt}}]\n"
        "knowledge: {collections: [kb], strategy: QueryFunction}\n",
    )
    complete(tmp_path)
    assert messages(model)[0] == ("system", "Be kind.\n\nBe brief.\n\nAbout fish.")
    assert [request.path for request in texts.requests] == ["/v1/a.txt"]


def test_show_names_the_addresses_of_instructions(tmp_path: Path, model: Upstream, texts: Upstream) -> None:
    gateway(tmp_path, model, f"instructions: Be kind.\nremote_instructions: [{{url: {texts.url}/a.txt}}]\n")
    shown = aivax_here("gateways", "show", "g", cwd=tmp_path).out
    assert f"# instructions: gateways/g.yaml, then {texts.url}/a.txt\n" in shown


def test_a_failing_source_is_warned_of_and_its_copy_used(
    tmp_path: Path, model: Upstream, texts: Upstream
) -> None:
    gateway(tmp_path, model, f"remote_instructions: [{{url: {texts.url}, cache_s: 0}}]\n")
    complete(tmp_path)
    texts.answers(status(500))
    done = complete(tmp_path)
    assert (done.code, done.out) == (0, "Paris\n")
    assert f"warning: the instructions at {texts.url}: HTTP 500; using the copy of " in done.err
    assert messages(model)[0] == ("system", "Be brief.")


def test_without_a_copy_no_model_is_called(tmp_path: Path, model: Upstream, texts: Upstream) -> None:
    texts.answers(status(404))
    gateway(tmp_path, model, f"remote_instructions: [{{url: {texts.url}}}]\n")
    done = complete(tmp_path)
    assert (done.code, done.out, model.requests) == (1, "", [])
    assert done.err.splitlines()[-1] == (
        f"error: the instructions at {texts.url} cannot be had: HTTP 404; check the address"
    )


def test_offline_the_copy_serves(
    tmp_path: Path, model: Upstream, texts: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway(tmp_path, model, f"remote_instructions: [{{url: {texts.url}, cache_s: 0}}]\n")
    complete(tmp_path)
    monkeypatch.setenv("AIVAX_OFFLINE", "1")
    assert complete(tmp_path).code == 0
    assert len(texts.requests) == 1
    assert messages(model)[0] == ("system", "Be brief.")


def test_a_chat_goes_on_after_a_source_that_does_not_answer(
    tmp_path: Path, model: Upstream, texts: Upstream
) -> None:
    gateway(tmp_path, model, f"remote_instructions: [{{url: {texts.url}, cache_s: 0, timeout_s: 0.5}}]\n")
    texts.answers(silence())
    done = aivax("chat", "g", cwd=tmp_path, home=tmp_path, stdin="one\n/set remote_instructions=\ntwo\n")
    assert (done.code, done.out) == (1, "Paris\n")
    assert "no whole answer within 0.5 s" in done.err
    assert messages(model) == [("user", "two")]


def test_the_address_of_a_source_may_come_from_the_environment_and_is_never_told(
    tmp_path: Path, model: Upstream, texts: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RULES_URL", f"{texts.url}/hunter2")
    gateway(tmp_path, model, "remote_instructions: [{url: '${RULES_URL}'}]\n")
    assert complete(tmp_path).code == 0
    assert texts.requests[0].path == "/v1/hunter2"
    monkeypatch.setenv("RULES_URL", f"{texts.url}/hunter3")
    texts.answers(status(500))
    done = complete(tmp_path)
    assert "error: the instructions at ${RULES_URL} cannot be had: HTTP 500" in done.err
    assert "hunter" not in done.err


def test_a_source_without_https_is_a_fault(tmp_path: Path, model: Upstream) -> None:
    gateway(tmp_path, model, "remote_instructions:\n  - url: http://example.com/a.txt\n")
    assert (
        "gateways/g.yaml:5: remote_instructions[0].url: must start with https://; "
        "http:// is for addresses on this machine alone"
    ) in complete(tmp_path).err


def test_a_prefill_is_sent_last_and_the_answer_begins_with_it(tmp_path: Path, model: Upstream) -> None:
    model.answers(says(" is Paris."))
    gateway(tmp_path, model, "prefill: The capital\n")
    assert complete(tmp_path).out == "The capital is Paris.\n"
    assert messages(model)[-1] == ("assistant", "The capital")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            'model: "@openai/gpt-5-mini"\nprefill: A\n',
            "gateways/h.yaml:4: prefill: @openai/gpt-5-mini does not",
        ),
        (
            'model: ["@ollama/a", "@google/gemini-3-flash"]\nprefill: A\n',
            "gateways/h.yaml:4: prefill: @google/gemini-3-flash does not",
        ),
        (
            'model: "@ollama/a"\nprefill: A\nrouting: {router: "@openai/a", high: "@openai/b"}\n',
            "gateways/h.yaml:4: prefill: @openai/b does not",
        ),
    ],
)
def test_a_prefill_that_no_model_continues_is_a_fault(tmp_path: Path, more: str, said: str) -> None:
    (tmp_path / "gateways").mkdir()
    text = f"id: 0199c3f0-0000-7000-8000-000000000009\nname: h\n{more}"
    (tmp_path / "gateways" / "h.yaml").write_text(text)
    done = aivax_here("complete", "h", "Hello", cwd=tmp_path)
    assert done.code == 2
    assert said in done.err


def test_a_prefill_that_is_set_for_such_a_model_is_refused_before_the_call(
    tmp_path: Path, model: Upstream
) -> None:
    gateway(tmp_path, model)
    done = complete(tmp_path, "--set", "prefill=A", "--set", "model=@openai/gpt-5-mini")
    assert done.code == 2
    assert "error: prefill: @openai/gpt-5-mini does not continue a message of the assistant" in done.err
