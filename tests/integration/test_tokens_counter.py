"""Counting tokens with OpenAI's real tables."""

import os
import time
from pathlib import Path

import pytest
from support.package_index import hurried_fetcher

from aivax_cli.assets.store import AssetStore
from aivax_cli.core.types import Message, ToolCall
from aivax_cli.model.tokens import TiktokenCounter


@pytest.fixture(scope="module")
def counter() -> TiktokenCounter:
    return TiktokenCounter(AssetStore.from_environment(os.environ))


# The cookbook's own example of how encodings differ.
@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4", 9),
        ("@openai/gpt-4-turbo", 9),
        ("gpt-3.5-turbo", 9),
        ("gpt-4o", 8),
        ("gpt-4.1-mini", 8),
        ("x", 8),
    ],
)
def test_a_models_own_encoding_is_used(counter: TiktokenCounter, model: str, tokens: int) -> None:
    assert counter.count_text("お誕生日おめでとう", model) == tokens


def test_messages_count_as_openais_cookbook_says(counter: TiktokenCounter) -> None:
    messages = [Message("user", "hello"), Message("assistant", "hi")]
    assert counter.count_messages(messages, "gpt-4o") == (3 + 1 + 1) + (3 + 1 + 1) + 3


def test_a_tool_call_counts_its_name_and_arguments(counter: TiktokenCounter) -> None:
    bare = Message("assistant", "")
    calling = Message("assistant", "", tool_calls=(ToolCall("1", "search", '{"q": "cost"}'),))
    grown = counter.count_messages([calling], "gpt-4o") - counter.count_messages([bare], "gpt-4o")
    assert grown == counter.count_text("search", "gpt-4o") + counter.count_text('{"q": "cost"}', "gpt-4o")


def test_special_tokens_in_a_text_are_text(counter: TiktokenCounter) -> None:
    assert counter.count_text("<|endoftext|>", "gpt-4o") > 1


@pytest.mark.parametrize("text", ["a" * 1_000_000, " " * 1_000_000, "\n" * 1_000_000])
def test_a_huge_run_of_one_character_is_counted(counter: TiktokenCounter, text: str) -> None:
    started = time.process_time()
    assert counter.count_text(text, "gpt-4o") > 1000
    assert time.process_time() - started < 20


def test_a_long_text_counts_as_if_it_were_not_cut(counter: TiktokenCounter) -> None:
    import tiktoken

    text = Path(__file__).read_text(encoding="utf-8") * 20
    exact = len(tiktoken.get_encoding("o200k_base").encode(text, disallowed_special=()))
    assert counter.count_text(text, "gpt-4o") == pytest.approx(exact, rel=0.001)


def test_without_tables_it_estimates(tmp_path: Path) -> None:
    store = AssetStore(tmp_path, hurried_fetcher(), offline=True)
    assert TiktokenCounter(store).count_text("x" * 41, "gpt-4o") == 11


def test_the_library_is_left_to_other_users_folders(
    counter: TiktokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "/somewhere/else")
    counter.count_text("x", "gpt-3.5-turbo")
    assert os.environ["TIKTOKEN_CACHE_DIR"] == "/somewhere/else"
