"""What an endpoint said, made fit to be shown."""

import pytest

from aivax_cli.core.types import ModelTarget
from aivax_cli.model.failures import Place, status_error

SECRET = "a1b2c3d4"
PLACE = Place.of(ModelTarget("@p/m", "p", "m", "http://host/v1"), "http://u:pass99@host:81/v1?k=1", SECRET)


@pytest.mark.parametrize(
    "said",
    [
        f"bad key {SECRET}",
        "bad key sk-proj-AbC123dEf456",
        "bad key sk-ab***yz",
        "bad key gsk_1234567890abcdef",
        "bad key oky_gr5u...oqbfd3d9y",
        "bad key AIzaSyA1234567890",
        "bad key Bearer whatever",
        "bad key 0123456789abcdef0123456789abcdef",
        "bad key pass99",
    ],
)
def test_everything_that_looks_like_a_key_is_masked(said: str) -> None:
    assert PLACE.said(said) == "bad key ***"


@pytest.mark.parametrize(
    "said",
    [
        "no model claude-3-5-sonnet-20241022",
        "no model meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "request 0198d24c-c9ce-70fe-9cf3-00644ef5f2e2 failed",
        "skip this, key missing, risk is high",
        "max_completion_tokens is not supported",
    ],
)
def test_what_is_no_key_stays(said: str) -> None:
    assert PLACE.said(said) == said


def test_words_become_one_bounded_line_without_control_characters() -> None:
    assert PLACE.said("a\n\tb\x1b[31m") == "a b\ufffd[31m"
    assert len(PLACE.said("word " * 1_000)) == 300


def test_a_place_shows_no_user_no_password_no_query_and_no_key() -> None:
    assert PLACE.url == "http://host:81/v1"
    assert SECRET not in repr(PLACE)
    assert "pass99" not in repr(PLACE)


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings", "/rerank"])
def test_a_path_that_nobody_knows_is_named_as_what_follows_base_url(path: str) -> None:
    place = Place.of(ModelTarget("@p/m", "p", "m", "http://host/v1"), f"http://host/v1{path}", None)
    error = status_error(404, {}, "", place)
    assert error.fix is not None
    assert f"base_url: it is the part before {path} and" in error.fix
