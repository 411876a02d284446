"""How an endpoint is asked for JSON, and what is tried when it refuses."""

from typing import Any

import pytest
from msgspec.structs import replace

from aivax_cli.core.types import AnswerFormat, Message, ModelCall, ModelTarget, Purpose
from aivax_cli.gateway.providers import PROVIDERS
from aivax_cli.model.adapting import simpler
from aivax_cli.model.wire import Dialect, request_body

SCHEMA: dict[str, Any] = {"type": "object"}
WANTED = AnswerFormat("g", SCHEMA, strict=True, request="Answer in JSON.")
TALK = (Message("system", "Be brief."), Message("user", "who?"))


def call(provider: str = "", wanted: AnswerFormat | None = WANTED, **fields: Any) -> ModelCall:
    base_url = PROVIDERS[provider].base_url if provider else "http://host/v1"
    target = ModelTarget(f"@{provider}/m", provider, "m", base_url)
    return ModelCall(Purpose.STRUCTURED, target, TALK, answer_format=wanted, **fields)


def body(made: ModelCall, dialect: Dialect | None = None) -> tuple[Any, str]:
    """The field `response_format`, and the system message."""
    sent: Any = request_body(made, dialect or Dialect())
    return sent.get("response_format"), sent["messages"][0]["content"]


NATIVE = {"type": "json_schema", "json_schema": {"name": "g", "schema": SCHEMA, "strict": True}}
IN_WORDS = "Be brief.\n\nAnswer in JSON."


@pytest.mark.parametrize(
    ("provider", "field", "system"),
    [
        ("openai", NATIVE, "Be brief."),
        ("google", NATIVE, "Be brief."),
        ("ollama", NATIVE, IN_WORDS),
        ("openrouter", NATIVE, IN_WORDS),
        ("local", NATIVE, IN_WORDS),
        ("", NATIVE, IN_WORDS),
        ("deepseek", {"type": "json_object"}, IN_WORDS),
        ("anthropic", None, IN_WORDS),
    ],
)
def test_each_provider_is_asked_in_its_way(provider: str, field: Any, system: str) -> None:
    assert body(call(provider)) == (field, system)


def test_a_schema_that_is_not_strict_is_not_called_so() -> None:
    field, _ = body(call("openai", replace(WANTED, strict=False)))
    assert "strict" not in field["json_schema"]


def test_an_answer_that_has_begun_is_asked_for_in_words() -> None:
    assert body(call("openai", replace(WANTED, in_words_only=True))) == (None, IN_WORDS)


def test_without_a_system_message_one_is_made() -> None:
    sent: Any = request_body(replace(call(), messages=TALK[1:]))
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


def test_what_extra_body_says_wins() -> None:
    assert body(call(parameters={"response_format": {"type": "text"}}))[0] == {"type": "text"}


def test_without_a_format_nothing_is_added() -> None:
    assert body(call(wanted=None)) == (None, "Be brief.")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Invalid schema for response_format 'g': 'additionalProperties' is required", "schema"),
        ("response_format.strict is not supported", "schema"),
        ("This response_format type is unavailable now", "object"),
        ("'json_schema' is not one of ['json_object', 'text']", "object"),
    ],
)
def test_a_refusal_is_followed_by_the_next_way(said: str, expected: str) -> None:
    found = simpler(Dialect(), call(), 400, said)
    assert found is not None
    assert found.answers == expected


def test_a_refusal_of_everything_ends_in_words() -> None:
    dialect: Dialect | None = Dialect()
    ways = []
    while (
        dialect := simpler(dialect, call(), 422, "response_format: extra fields not permitted")
    ) is not None:
        ways.append(dialect.answers)
    assert ways == ["object", "words"]


def test_a_complaint_about_something_else_changes_nothing() -> None:
    assert simpler(Dialect(), call(), 400, "the model does not exist") is None


def test_what_was_found_holds_for_the_next_call() -> None:
    assert body(call("openai"), Dialect(answers="words")) == (None, IN_WORDS)
    assert body(call("deepseek"), Dialect(answers="schema"))[0] == {"type": "json_object"}
