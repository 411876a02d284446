"""JSON found in what models write, checked, and asked for again."""

import time
from typing import Any

import pytest

from aivax_cli.gateway.schema_forms import short_form
from aivax_cli.prompt.structured import Accepted, Rejected, ask_again, canonical, judged

PERSON = short_form("name, age int")
ANN = {"name": "Ann", "age": 3}
SOUND = '{"name": "Ann", "age": 3}'


def value(text: str, schema: Any = PERSON, **more: Any) -> Any:
    verdict = judged(text, schema, **more)
    assert isinstance(verdict, Accepted), verdict
    return verdict.value


def problems(text: str, schema: Any = PERSON, **more: Any) -> tuple[str, ...]:
    verdict = judged(text, schema, **more)
    assert isinstance(verdict, Rejected), verdict
    return verdict.problems


@pytest.mark.parametrize(
    "text",
    [
        SOUND,
        f"\ufeff  {SOUND}\n",
        f"Sure, here it is:\n```json\n{SOUND}\n```\nAnything else?",
        f"```\n{SOUND}\n```",
        f"```json\n{SOUND}",
        f"Ann [1] is three {{years}} old: {SOUND} (see [2])",
        f"<think>Perhaps {SOUND.replace('3', '4')}?</think>\n{SOUND}",
        "{name: 'Ann', age: 3,}",
        '{"name": "Ann", // who\n "age": 3',
        'Here: {"name": "Ann" "age": 3}',
        f'{{"name": "Bob"}} is wrong, right is {SOUND}',
    ],
)
def test_the_value_is_found(text: str) -> None:
    assert value(text) == ANN


def test_a_block_that_calls_itself_json_is_read_before_others() -> None:
    either = {"type": "object"}
    assert value('```\n{"a": 1}\n```\n```json\n{"b": 2}\n```', either) == {"b": 2}


@pytest.mark.parametrize("text", ['{"name": "Ann", "age": 3}', '{{"name": "Ann", "age": 3}'])
def test_a_prefill_may_be_continued_or_said_again(text: str) -> None:
    assert value(text, prefill="{") == ANN


@pytest.mark.parametrize("text", ['["a"]', '{"value": ["a"]}', 'It is ["a"].'])
def test_what_is_no_object_may_come_bare_or_in_its_field(text: str) -> None:
    assert value(text, {"type": "array", "items": {"type": "string"}}) == ["a"]


def test_an_object_with_a_field_of_that_name_stays_an_object() -> None:
    assert value('{"value": 1}', {"type": "object"}) == {"value": 1}


@pytest.mark.parametrize(
    ("text", "schema", "expected"),
    [('"Paris"', {"type": "string"}, "Paris"), ("null", {"type": "null"}, None), ("42", {}, 42)],
)
def test_single_values_are_values(text: str, schema: Any, expected: Any) -> None:
    assert value(text, schema) == expected


def test_letters_and_their_order_stay_as_the_model_wrote_them() -> None:
    assert canonical(value('{"age": 3, "name": "Zoë ❤"}')) == '{\n  "age": 3,\n  "name": "Zoë ❤"\n}'


def test_half_a_surrogate_pair_can_be_printed() -> None:
    canonical(value('{"name": "\\ud83d", "age": 3}')).encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("I cannot help with that.", "it holds no JSON; it begins: I cannot help with that."),
        ('{"name": "Ann", "age": "3"}', 'age: must be integer, not "3"'),
        ('{"name": "Ann"}', "'age' is missing"),
        ('{"name": "Ann", "age": 3, "x": 1}', "has fields that are not allowed: 'x'"),
        ('{"name": "Ann", "age": NaN}', "age: must be integer"),
        ('See [1]: {"name": "Ann"}', "'age' is missing"),
        ("{no json", "it holds no JSON; it begins: {no json"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(text: str, said: str) -> None:
    assert any(said in problem for problem in problems(text))


def test_a_number_beyond_all_floats_is_no_value() -> None:
    assert problems("1e999", {})


def test_an_answer_that_was_cut_off_is_not_mended_into_less_than_it_was_to_be() -> None:
    people = {"type": "object", "properties": {"names": {"type": "array"}}, "required": ["names"]}
    text = '{"names": ["Ann", "Bob"'
    assert value(text, people) == {"names": ["Ann", "Bob"]}
    assert problems(text, people, whole=False)


@pytest.mark.parametrize("unit", ['{"a" ', "{]", "```\n{"])
def test_hostile_text_is_given_up_within_seconds(unit: str) -> None:
    began = time.monotonic()
    problems('{"k": ' + unit * (40_000 // len(unit)), {"type": "object", "required": ["zz"]})
    assert time.monotonic() - began < 60


def test_nothing_that_a_terminal_would_obey_gets_into_a_problem() -> None:
    written = '{"name": "Ann", "age": 3, "\x9b31m": 1}'
    assert all(line.isprintable() for text in (written, "\x1b[2J no") for line in problems(text))


def test_the_model_is_told_every_problem() -> None:
    said = ask_again(("'age' is missing", "name: must be string, not 3"))
    assert "- 'age' is missing\n- name: must be string, not 3\n" in said
