"""Which term each strategy searches, and what it asks a rewrite model."""

import json

import pytest

from aivax_cli.core.errors import NotFoundError, UsageError
from aivax_cli.core.types import Message
from aivax_cli.gateway.knowledge import STRATEGIES as DEFINED
from aivax_cli.strategy import STRATEGIES, strategy_named
from aivax_cli.strategy.query_function import search_arguments

TALK = (
    Message("system", "Be kind."),
    Message("user", "What is Plain?"),
    Message("assistant", "The default strategy."),
    Message("user", "And the others?"),
    Message("assistant", "There are four more."),
    Message("user", "Which is cheapest?"),
)


def asked(name: str, window: int) -> str:
    rewrite = STRATEGIES[name].rewrite
    assert rewrite is not None
    return rewrite(TALK, window)[-1].content


def test_the_table_holds_the_strategies_that_a_gateway_may_name() -> None:
    assert tuple(STRATEGIES) == DEFINED


def test_plain_searches_the_last_user_message() -> None:
    assert STRATEGIES["Plain"].term(TALK, 3) == "Which is cheapest?"


def test_concatenate_searches_the_last_n_user_messages_one_a_line() -> None:
    assert STRATEGIES["Concatenate"].term(TALK, 2) == "And the others?\nWhich is cheapest?"


def test_concatenate_with_a_window_wider_than_the_talk_takes_what_there_is() -> None:
    assert STRATEGIES["Concatenate"].term(TALK, 50).splitlines() == [
        "What is Plain?",
        "And the others?",
        "Which is cheapest?",
    ]


def test_user_rewrite_shows_the_model_the_last_n_user_messages_alone() -> None:
    assert asked("UserRewrite", 2) == (
        "Conversation:\nuser: And the others?\nuser: Which is cheapest?\n\nSearch queries:"
    )


def test_full_rewrite_shows_the_model_the_last_2n_messages_of_both_sides() -> None:
    assert asked("FullRewrite", 2) == (
        "Conversation:\nassistant: The default strategy.\nuser: And the others?\n"
        "assistant: There are four more.\nuser: Which is cheapest?\n\nSearch queries:"
    )


def test_rewriting_leaves_out_system_and_tool_messages() -> None:
    text = asked("FullRewrite", 10)
    assert "Be kind" not in text


def test_query_function_offers_a_tool_and_rewrites_nothing() -> None:
    strategy = STRATEGIES["QueryFunction"]
    assert strategy.tool is not None
    assert strategy.rewrite is None


def test_an_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'Plain'"):
        strategy_named("Plane")


@pytest.mark.parametrize(
    ("arguments", "terms"),
    [
        ('{"search_terms": ["a", "b"]}', ("a", "b")),
        ('{"search_terms": "a"}', ("a",)),
        ('{"search_terms": [" a ", "a", ""]}', ("a",)),
    ],
)
def test_search_arguments_are_read(arguments: str, terms: tuple[str, ...]) -> None:
    assert search_arguments(arguments) == terms


TOO_LONG = json.dumps({"search_terms": ["x" * 501]})
TOO_MANY = json.dumps({"search_terms": [f"t{i}" for i in range(11)]})
MISSHAPEN = ("", "{}", "not json", "[]", '{"search_terms": []}', '{"search_terms": [1]}')


@pytest.mark.parametrize("arguments", [*MISSHAPEN, TOO_LONG, TOO_MANY])
def test_search_arguments_beyond_the_schema_are_refused(arguments: str) -> None:
    with pytest.raises(UsageError):
        search_arguments(arguments)
