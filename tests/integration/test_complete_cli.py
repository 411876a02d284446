"""`aivax complete` as scripts use it: what it is given, what it prints, how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Done, aivax
from support.upstream import (
    Upstream,
    chunk,
    completion,
    html,
    json_answer,
    says,
    sse,
    status,
    usage,
)
from support.workspaces import write_gateway


class Place:
    """A workspace with one gateway that calls a scripted endpoint."""

    def __init__(self, root: Path, upstream: Upstream) -> None:
        self.root = root
        self.upstream = upstream
        self.gateway()

    def gateway(self, name: str = "g", *, number: int = 1, more: str = "") -> None:
        model = f"{{base_url: {self.upstream.url}, name: m}}"
        write_gateway(self.root, name, model, number=number, more=more)

    def complete(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Done:
        return aivax("complete", *arguments, cwd=self.root, home=self.root, stdin=stdin, env=env)

    @property
    def sent(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.upstream.bodies[-1]["messages"]
        return messages


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Upstream(says("Paris.")) as upstream:
        yield Place(tmp_path, upstream)


def test_the_answer_alone_is_on_stdout(place: Place) -> None:
    done = place.complete("g", "Qual a capital da França?")
    assert (done.code, done.out) == (0, "Paris.\n")
    assert place.sent == [{"role": "user", "content": "Qual a capital da França?"}]


def test_quiet_says_nothing_beside_the_answer(place: Place) -> None:
    done = place.complete("g", "hi", "--quiet")
    assert (done.out, done.err) == ("Paris.\n", "")


def test_one_gateway_needs_no_name(place: Place) -> None:
    assert place.complete("What is the capital?").out == "Paris.\n"
    assert place.sent[-1]["content"] == "What is the capital?"


def test_stdin_alone_is_the_prompt(place: Place) -> None:
    place.complete("g", stdin="from a pipe\n")
    assert place.sent[-1]["content"] == "from a pipe"


def test_a_dash_for_a_prompt_is_what_stdin_has(place: Place) -> None:
    place.complete("g", "-", stdin="from a pipe\n")
    assert place.sent[-1]["content"] == "from a pipe"


def test_stdin_is_context_below_the_prompt(place: Place) -> None:
    place.complete("g", "Summarise this:", stdin="line 1\nline 2\n")
    assert place.sent[-1]["content"] == "Summarise this:\n\nline 1\nline 2"


def test_works_from_any_folder_below_the_workspace(place: Place) -> None:
    below = place.root / "a" / "b"
    below.mkdir(parents=True)
    assert aivax("complete", "hi", cwd=below, home=place.root, stdin="").out == "Paris.\n"


def test_a_conversation_comes_from_a_file(place: Place) -> None:
    talk = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "one"}]},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    (place.root / "talk.json").write_text(json.dumps(talk))
    assert place.complete("g", "--messages", "talk.json").code == 0
    assert [message["content"] for message in place.sent] == ["s", "one", "two", "three"]


def test_a_conversation_comes_from_stdin(place: Place) -> None:
    place.complete("g", "--messages", "-", stdin='[{"role": "user", "content": "hi"}]')
    assert place.sent == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no messages"),
        ('{"role": "user"}', "holds no messages"),
        ('[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]', "from the assistant"),
        ('[{"role": "robot", "content": "a"}]', "message 1: role must be one of"),
        ('[{"role": "user"}]', "message 1: content must be text"),
        ('[{"role": "user", "content": [{"type": "image_url"}]}]', "only text parts"),
    ],
)
def test_messages_that_are_no_conversation_are_refused(place: Place, text: str, said: str) -> None:
    done = place.complete("g", "--messages", "-", stdin=text)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not place.upstream.requests


def test_a_setting_holds_for_this_turn(place: Place) -> None:
    place.complete("g", "hi", "--set", "temperature=0.2", "--set", "instructions=Be brief.")
    assert place.upstream.bodies[-1]["temperature"] == 0.2
    assert place.sent[0] == {"role": "system", "content": "Be brief."}


def test_json_is_one_object_with_everything(place: Place) -> None:
    place.gateway(more="pricing: {input: 0.25, cached_input: 0.025, output: 2.0}\n")
    place.upstream.answers(sse([chunk("Paris."), chunk(finish="stop"), usage_chunk(84, 16, cached=1792)]))
    answer = place.complete("g", "capital?", "--json").json
    assert set(answer) >= {
        "text",
        "model",
        "finish_reason",
        "strategy",
        "search_terms",
        "sources",
        "usage",
        "generated_usage",
        "total_usd",
        "incomplete",
    }
    amounts = {line["sku"]: line["amount"] for line in answer["generated_usage"]}
    assert amounts == {
        "inference.chat_completions.in": 0.000021,
        "inference.chat_completions.in.cached": 0.0000448,
        "inference.chat_completions.out": 0.000032,
    }
    assert answer["total_usd"] == 0.0000978
    assert answer["usage"]["total_tokens"] == 1892


def usage_chunk(prompt: int, answered: int, *, cached: int) -> dict[str, Any]:
    total = prompt + cached + answered
    return {"choices": [], "usage": usage(prompt, answered, cached=cached, total=total)}


def test_the_total_is_null_while_a_part_is_unpriced(place: Place) -> None:
    write_gateway(place.root, "g", f"{{base_url: {place.upstream.url}, name: m}}")
    (place.root / "aivax.yaml").write_text(
        f"providers: {{lab: {{base_url: {place.upstream.url}, free: false}}}}\n"
    )
    write_gateway(place.root, "g", '"@lab/unheard-of"')
    answer = place.complete("g", "hi", "--json").json
    assert answer["total_usd"] is None
    assert {line["amount"] for line in answer["generated_usage"]} == {None}


def test_an_answer_that_breaks_off_is_kept_and_exits_1(place: Place) -> None:
    place.upstream.answers(sse([chunk("Paris is")], end=None))
    done = place.complete("g", "hi", "--json")
    assert done.code == 1
    assert done.json["text"] == "Paris is"
    assert done.json["incomplete"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (html(), "HTML"),
        (status(401, "bad key"), "401"),
        (status(404, "no such model"), "404"),
        (json_answer('{"choices": ['), "JSON"),
        (json_answer({"choices": []}), "no"),
    ],
)
def test_an_endpoint_that_gives_no_answer_is_an_error_of_one_line(
    place: Place, answer: Any, said: str
) -> None:
    place.upstream.answers(answer)
    done = place.complete("g", "hi", "--quiet")
    assert done.code == 1
    assert done.out == ""
    (error,) = (line for line in done.err.splitlines() if not line.startswith("warning: "))
    assert error.startswith("error: ")
    assert said in error
    assert "Traceback" not in done.err


def test_a_gateway_that_nobody_has_names_the_nearest(place: Place) -> None:
    place.gateway("support", number=2)
    done = place.complete("suport", "hi")
    assert done.code == 2
    assert "did you mean 'support'?" in done.err


def test_a_slip_of_the_only_gateways_name_is_not_taken_for_a_prompt(place: Place) -> None:
    place.gateway("my-gateway", number=1)
    (place.root / "gateways" / "g.yaml").unlink()
    done = place.complete("my-gatway")
    assert done.code == 2
    assert "did you mean 'my-gateway'?" in done.err


def test_no_prompt_at_all_is_a_usage_error(place: Place) -> None:
    done = place.complete("g")
    assert done.code == 2
    assert "there is no prompt" in done.err


def test_outside_of_a_workspace_the_way_to_make_one_is_named(tmp_path: Path) -> None:
    done = aivax("complete", "hi", cwd=tmp_path, home=tmp_path, stdin="")
    assert done.code == 2
    assert "aivax init" in done.err


def test_a_missing_key_names_its_variable(place: Place) -> None:
    write_gateway(place.root, "g", '"@openai/gpt-5-mini"')
    done = place.complete("g", "hi")
    assert done.code == 2
    assert "OPENAI_API_KEY" in done.err


def test_a_key_never_reaches_output_even_with_debug(place: Place) -> None:
    secret = "sk-live-0123456789abcdef0123456789"
    model = f"{{base_url: {place.upstream.url}, name: m, api_key_env: LAB_KEY}}"
    write_gateway(place.root, "g", model)
    place.upstream.answers(status(400, f"Incorrect API key provided: {secret}"))
    done = place.complete("g", "hi", "--debug", env={"LAB_KEY": secret})
    assert place.upstream.requests[-1].headers["authorization"] == f"Bearer {secret}"
    assert secret not in done.out + done.err


def test_retries_are_visible_on_stderr(place: Place) -> None:
    place.upstream.answers(status(503, "busy", retry_after="0"), says("Paris."))
    done = place.complete("g", "hi")
    assert done.out == "Paris.\n"
    assert "503" in done.err


def test_a_whole_answer_instead_of_a_stream_is_an_answer(place: Place) -> None:
    place.upstream.answers(json_answer(completion("Paris.")))
    assert place.complete("g", "hi").out == "Paris.\n"


def test_every_charge_is_in_the_ledger(place: Place) -> None:
    place.complete("g", "hi")
    summed = aivax("usage", "--by", "sku", "--json", cwd=place.root, home=place.root)
    assert "inference.chat_completions.in" in summed.out
