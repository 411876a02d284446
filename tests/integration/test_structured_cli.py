"""Structured answers from the command line, with everything that goes over the wire."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Done, aivax
from support.in_process import aivax_here
from support.terminal_session import TerminalSession
from support.upstream import Answer, Request, Upstream, calls_tool, chunk, json_answer, says, sse, status
from support.workspaces import write_gateway

FIELDS = "name, age int"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SOUND = '{"name": "Ann", "age": 3}'
PRICED = "pricing: {input: 1.0, output: 2.0}\n"


class Place:
    """A workspace with one gateway that calls a scripted endpoint."""

    def __init__(self, root: Path, upstream: Upstream) -> None:
        self.root = root
        self.upstream = upstream
        self.gateway(f"response_schema: {FIELDS}\n")

    def gateway(self, more: str = "") -> None:
        write_gateway(self.root, "g", f"{{base_url: {self.upstream.url}, name: m}}", more=PRICED + more)

    def complete(self, *arguments: str) -> Done:
        return aivax_here("complete", "g", "who?", *arguments, cwd=self.root)

    @property
    def bodies(self) -> list[Any]:
        return self.upstream.bodies


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Upstream(says(SOUND)) as upstream:
        yield Place(tmp_path, upstream)


def test_the_answer_is_json_and_the_endpoint_is_asked_for_it(place: Place) -> None:
    done = place.complete()
    assert (done.code, done.out) == (0, '{\n  "name": "Ann",\n  "age": 3\n}\n')
    (sent,) = place.bodies
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "g", "schema": SCHEMA, "strict": True},
    }
    system, question = sent["messages"]
    assert system["content"].endswith(f"It must hold to this JSON Schema:\n{json.dumps(SCHEMA)}")
    assert question == {"role": "user", "content": "who?"}


def test_json_only_is_the_value_alone_in_one_line(place: Place) -> None:
    place.upstream.answers(says(f"Here you are:\n```json\n{SOUND}\n```"))
    done = place.complete("--json-only")
    assert (done.code, done.out) == (0, f"{SOUND}\n")


def test_json_has_the_value_beside_its_text(place: Place) -> None:
    answer = place.complete("--json").json
    assert answer["structured"] == json.loads(answer["text"]) == {"name": "Ann", "age": 3}
    assert answer["usage"]["total_tokens"] == 14
    assert [line["sku"] for line in answer["generated_usage"]] == [
        "inference.functions.json.in",
        "inference.functions.json.out",
    ]


def test_without_a_schema_there_is_no_structured_value(place: Place) -> None:
    place.gateway()
    assert place.complete("--json").json["structured"] is None
    assert "response_format" not in place.bodies[0]


def test_an_answer_that_does_not_hold_is_asked_for_again_with_what_is_wrong(place: Place) -> None:
    wrong = '{"name": "Ann", "age": "three"}'
    place.upstream.answers(says(wrong), says(SOUND))
    done = place.complete("--json")
    assert done.json["structured"] == {"name": "Ann", "age": 3}
    assert 'answer 1 of 3 does not hold to the schema: age: must be integer, not "three"' in done.err
    first, second = place.bodies
    *before, answer, retort = second["messages"]
    assert before == first["messages"]
    assert answer == {"role": "assistant", "content": wrong}
    assert retort["role"] == "user"
    assert '- age: must be integer, not "three"\n' in retort["content"]
    assert [line["sku"].rpartition(".")[2] for line in done.json["generated_usage"]] == ["in", "out"] * 2
    assert done.json["usage"]["prompt_tokens"] == 20


def test_only_the_latest_wrong_answer_is_shown_to_the_model_again(place: Place) -> None:
    place.upstream.answers(says("first"), says("second"), says(SOUND))
    assert place.complete("--json-only").code == 0
    assert [body["messages"][-2]["content"] for body in place.bodies[1:]] == ["first", "second"]
    assert len(place.bodies[1]["messages"]) == len(place.bodies[2]["messages"])


@pytest.mark.parametrize("more", [(), ("--json-only",)])
def test_without_a_sound_answer_nothing_is_printed_and_the_exit_code_is_1(
    place: Place, more: tuple[str, ...]
) -> None:
    place.upstream.answers(says('{"name": "Ann"}'))
    done = place.complete(*more)
    assert (done.code, done.out) == (1, "")
    *_, error = done.err.strip().splitlines()
    assert error.startswith("error: no answer held to the response schema in 3 attempts: 'age' is missing")
    assert len(place.bodies) == 3
    spent = aivax_here("usage", "--json", cwd=place.root).json["total"]
    assert spent["tokens"] == 36


def test_what_a_turn_without_a_sound_answer_cost_is_told(place: Place) -> None:
    place.upstream.answers(says('{"name": "Ann"}'))
    done = place.complete("--json")
    assert done.code == 1
    assert done.json["incomplete"].startswith("no answer held to the response schema")
    assert (done.json["structured"], len(done.json["generated_usage"])) == (None, 6)
    assert done.json["total_usd"] > 0
    assert "failed · 30 in · 6 out · $" in done.err


def test_the_last_unsound_answer_is_told_once(place: Place) -> None:
    place.upstream.answers(says('{"name": "Ann"}'))
    lines = place.complete().err.splitlines()
    assert [line.partition(" does not")[0] for line in lines if "does not hold" in line] == [
        "warning: answer 1 of 3",
        "warning: answer 2 of 3",
    ]


def test_an_endpoint_that_fails_later_on_ends_the_turn_and_the_charges_stay(place: Place) -> None:
    place.upstream.answers(says("no"), status(401, "the key has run out"))
    done = place.complete("--json-only")
    assert (done.code, done.out) == (1, "")
    assert "HTTP 401" in done.err.splitlines()[-1]
    assert aivax_here("usage", "--json", cwd=place.root).json["total"]["tokens"] == 11


def test_max_attempts_limits_the_calls(place: Place) -> None:
    place.upstream.answers(says("no"))
    place.gateway(f"response_schema: {FIELDS}\nmax_attempts: 1\n")
    assert place.complete().code == 1
    assert len(place.bodies) == 1


@pytest.mark.parametrize(
    "broken",
    [
        sse([chunk('{"name": "Ann", "age": 3')], end=None),
        sse([chunk('{"name": "Ann", "age": 3'), chunk(finish="length")]),
    ],
)
def test_a_part_of_an_answer_is_a_failed_attempt_even_if_it_could_be_mended(
    place: Place, broken: Answer
) -> None:
    place.upstream.answers(broken, says('{"name": "Ann", "age": 34}'))
    assert place.complete("--json-only").out == '{"name": "Ann", "age": 34}\n'
    assert len(place.bodies) == 2


def test_an_endpoint_that_knows_no_response_format_is_asked_in_words(place: Place) -> None:
    def picky(request: Request) -> Answer:
        if "response_format" in request.body:
            return status(400, "Unrecognized request argument supplied: response_format")
        return says("not yet") if len(request.body["messages"]) == 2 else says(SOUND)

    place.upstream.answers(picky)
    assert place.complete("--json-only").out == f"{SOUND}\n"
    kinds = [body.get("response_format", {}).get("type") for body in place.bodies]
    assert kinds == ["json_schema", "json_object", None, None]


def test_an_array_is_asked_for_as_an_object_and_unwrapped(place: Place) -> None:
    place.gateway("response_schema: {type: array, items: {type: string}}\n")
    place.upstream.answers(says('{"value": ["a", "b"]}'))
    assert place.complete("--json-only").out == '["a", "b"]\n'
    sent = place.bodies[0]["response_format"]["json_schema"]["schema"]
    assert sent["properties"] == {"value": {"type": "array", "items": {"type": "string"}}}


def test_tools_are_called_first_and_their_results_stay_when_it_is_asked_again(place: Place) -> None:
    with Upstream(json_answer({"age": 3})) as tool:
        place.gateway(
            f"response_schema: {FIELDS}\n"
            f"tools: [{{name: age_of, description: The age., url: {tool.url}/age}}]\n"
        )
        place.upstream.answers(calls_tool("age_of", {}), says('{"name": "Ann"}'), says(SOUND))
        done = place.complete("--json")
    assert done.json["structured"] == {"name": "Ann", "age": 3}
    assert [run["name"] for run in done.json["runned_functions"]] == ["age_of"]
    roles = [message["role"] for message in place.bodies[2]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert [body.get("tool_choice") for body in place.bodies] == [None, None, "none"]
    assert {line["sku"] for line in done.json["generated_usage"]} == {
        "inference.functions.json.in",
        "inference.functions.json.out",
    }


def test_an_answer_that_broke_off_is_asked_for_as_before_tools_included(place: Place) -> None:
    with Upstream(json_answer({"age": 3})) as tool:
        place.gateway(
            f"response_schema: {FIELDS}\n"
            f"tools: [{{name: age_of, description: The age., url: {tool.url}/age}}]\n"
        )
        place.upstream.answers(sse([chunk("Let me")], end=None), calls_tool("age_of", {}), says(SOUND))
        assert place.complete("--json-only").out == f"{SOUND}\n"
    first, second, _ = place.bodies
    assert first == second


def test_a_prefill_is_continued_in_every_attempt(place: Place) -> None:
    place.gateway(f"response_schema: {FIELDS}\nprefill: '{{'\n")
    place.upstream.answers(says('"name": "Ann"}'), says('"name": "Ann", "age": 3}'))
    assert place.complete("--json-only").out == f"{SOUND}\n"
    for body in place.bodies:
        assert "response_format" not in body
        assert body["messages"][-1] == {"role": "assistant", "content": "{"}
    assert place.bodies[1]["messages"][-3] == {"role": "assistant", "content": '{"name": "Ann"}'}


def test_the_next_model_answers_when_the_first_fails(place: Place) -> None:
    with Upstream(status(401)) as dead:
        models = f"[{{base_url: {dead.url}, name: a}}, {{base_url: {place.upstream.url}, name: b}}]"
        write_gateway(place.root, "g", models, more=f"response_schema: {FIELDS}\n")
        place.upstream.answers(says("no"), says(SOUND))
        assert place.complete("--json-only").out == f"{SOUND}\n"
        assert (len(dead.bodies), len(place.bodies)) == (1, 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("person.json", json.dumps(SCHEMA)),
        ("person.yaml", "type: object\nproperties: {name: {}, age: {type: integer}}\n"),
    ],
)
def test_a_schema_stands_in_a_file_beside_the_gateway(place: Place, name: str, text: str) -> None:
    (place.root / "gateways" / "schemas").mkdir()
    (place.root / "gateways" / "schemas" / name).write_text(text)
    place.gateway(f"response_schema: schemas/{name}\n")
    assert place.complete("--json-only").out == f"{SOUND}\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("response_schema: nowhere.json", "'nowhere.json' cannot be read: no such file"),
        ("response_schema: ../../etc.json", "'../../etc.json' is outside of the workspace"),
        ("response_schema: broken.json", "'broken.json', line 2: is not JSON"),
        ("response_schema: wrong.yaml", "'wrong.yaml': type: \"objec\" is no JSON type"),
        ("response_schema: name strr", "unknown type 'strr'; did you mean 'str'?"),
        ("response_schema:\n  items:\n    $ref: http://x.org/a.json", "'http://x.org/a.json' is elsewhere"),
    ],
)
def test_a_schema_that_is_none_is_a_fault_of_the_gateway_at_its_line(
    place: Place, given: str, said: str
) -> None:
    (place.root / "gateways" / "broken.json").write_text('{\n"type": }')
    (place.root / "gateways" / "wrong.yaml").write_text("type: objec")
    place.gateway(given + "\n")
    done = aivax_here("gateways", "validate", cwd=place.root)
    assert done.code == 2
    fault = next(line for line in (done.out + done.err).splitlines() if "response_schema" in line)
    line = 7 if "$ref" in given else 5
    assert f"g.yaml:{line}: response_schema" in fault
    assert said in fault


def test_the_command_line_has_a_schema_of_its_own(place: Place) -> None:
    place.upstream.answers(says('{"city": "Lisbon"}'))
    (place.root / "city.json").write_text(json.dumps({"type": "object", "required": ["city"]}))
    for given in ("city", "city.json", '{"type": "object", "required": ["city"]}'):
        assert place.complete("--schema", given, "--json-only").out == '{"city": "Lisbon"}\n'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--schema", "name strr"), "--schema: unknown type 'strr'"),
        (("--schema", "none.json"), "--schema: 'none.json' cannot be read: no such file"),
        (("--schema", '{"type": "objec"}'), '--schema: type: "objec" is no JSON type'),
        (("--schema", "{no}"), "--schema: is not JSON"),
        (("--json-only", "--json"), "exclude each other"),
        (("--set", "response_schema=", "--json-only"), "--json-only needs a schema"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_any_call(
    place: Place, arguments: tuple[str, ...], said: str
) -> None:
    done = place.complete(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not place.bodies


def test_a_locked_schema_stays(place: Place) -> None:
    place.gateway(f"response_schema: {FIELDS}\nlocked: [response_schema]\n")
    done = place.complete("--schema", "city")
    assert done.code == 2
    assert "response_schema is locked" in done.err


def test_a_chat_shows_the_json_and_remembers_it(place: Place) -> None:
    done = aivax("chat", "g", cwd=place.root, home=place.root, stdin="who?\nand now?\n")
    pretty = '{\n  "name": "Ann",\n  "age": 3\n}'
    assert done.out == f"{pretty}\n" * 2
    assert [m["content"] for m in place.bodies[1]["messages"][1:]] == ["who?", pretty, "and now?"]


def test_on_a_terminal_the_json_stands_as_code_without_a_fence(place: Place) -> None:
    session = TerminalSession("complete", "g", "who?", cwd=place.root)
    assert session.wait_for_end() == 0
    lines = [line.strip() for line in session.lines]
    assert '"name": "Ann",' in lines
    assert not any("```" in line for line in lines)


def test_on_a_terminal_json_only_is_the_value_over_several_lines(place: Place) -> None:
    session = TerminalSession("complete", "g", "who?", "--json-only", "--quiet", cwd=place.root)
    assert session.wait_for_end() == 0
    assert json.loads(session.text) == {"name": "Ann", "age": 3}
