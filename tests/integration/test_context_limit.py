"""A gateway's context limit, through the program and a real endpoint."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Done, aivax
from support.terminal_session import TerminalSession
from support.upstream import Upstream, calls_tool, says
from support.workspaces import write_gateway

from aivax_cli.assets.store import default_cache_dir

TABLES = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}
"""Where tokenizer tables and weights are once they have been fetched."""
HISTORY = [
    {"role": "user", "content": "first question " * 40},
    {"role": "assistant", "content": "first answer " * 40},
    {"role": "user", "content": "second question"},
    {"role": "assistant", "content": "second answer"},
    {"role": "user", "content": "third question"},
]
HEAD = "instructions: Be brief.\n"


class Place:
    """A workspace with one gateway that calls a scripted endpoint."""

    def __init__(self, root: Path, upstream: Upstream) -> None:
        self.root = root
        self.upstream = upstream

    def gateway(self, more: str) -> None:
        write_gateway(self.root, "g", f"{{base_url: {self.upstream.url}, name: m}}", more=HEAD + more)

    def complete(self, messages: list[dict[str, Any]], *arguments: str) -> Done:
        given = json.dumps(messages)
        return aivax(
            *("complete", "g", "--messages", "-", *arguments),
            cwd=self.root,
            home=self.root,
            env=TABLES,
            stdin=given,
        )

    @property
    def sent(self) -> list[str]:
        return [message["content"] for message in self.upstream.bodies[-1]["messages"]]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Upstream(says("Paris.", prompt=123)) as upstream:
        yield Place(tmp_path, upstream)


def test_the_oldest_messages_stay_out_and_that_is_told(place: Place) -> None:
    place.gateway("context: {max_tokens: 100}\n")
    done = place.complete(HISTORY)
    assert (done.code, done.out) == (0, "Paris.\n")
    assert place.sent == ["Be brief.", "second question", "second answer", "third question"]
    assert "left out: 2 older messages (context limit 100 tokens)" in done.err


def test_what_stays_out_is_counted_in_the_json(place: Place) -> None:
    place.gateway("context: {max_tokens: 100}\n")
    assert place.complete(HISTORY, "--json").json["left_out"] == {"messages": 2, "tool_results": 0}


def test_overflow_error_calls_no_model(place: Place) -> None:
    place.gateway("context: {max_tokens: 100, overflow: error}\n")
    done = place.complete(HISTORY)
    assert (done.code, done.out, place.upstream.requests) == (1, "", [])
    assert "error: the conversation has about" in done.err
    assert (
        "context.max_tokens allows 100; set context.overflow to truncate, or raise context.max_tokens"
        in done.err
    )


def test_a_question_that_cannot_fit_calls_no_model(place: Place) -> None:
    place.gateway("context: {max_tokens: 100}\n")
    done = place.complete([{"role": "user", "content": "long question " * 200}])
    assert (done.code, place.upstream.requests) == (1, [])
    assert "alone have about" in done.err
    assert len(done.err.splitlines()) == 1


def test_without_a_limit_everything_is_sent_and_the_length_is_the_endpoints(place: Place) -> None:
    place.gateway("")
    done = place.complete(HISTORY, "--json")
    assert done.json["left_out"] is None
    assert place.sent == ["Be brief.", *(message["content"] for message in HISTORY)]
    assert done.json["context_tokens"] == 123


def test_older_tool_results_lose_their_text_in_later_rounds(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("The library opens at nine. " * 30, encoding="utf-8")
    done = aivax("ingest", "docs", "--collection", "kb", cwd=_workspace(tmp_path), home=tmp_path, env=TABLES)
    assert done.code == 0, done.err
    searches = [{"search_terms": [f"library {number}"]} for number in (1, 2)]
    rounds = [calls_tool("search_knowledge", terms, call_id=str(terms)) for terms in searches]
    with Upstream(*rounds, says("At nine.")) as upstream:
        write_gateway(
            tmp_path,
            "g",
            f"{{base_url: {upstream.url}, name: m}}",
            more="knowledge: {collections: [kb], strategy: QueryFunction}\ncontext: {tool_results: 1}\n",
        )
        done = aivax("complete", "g", "When?", cwd=tmp_path, home=tmp_path, env=TABLES)
        results = [m for m in upstream.bodies[-1]["messages"] if m["role"] == "tool"]
    assert done.out == "At nine.\n", done.err
    assert results[0]["content"].startswith("[This result was left out to save room.")
    assert "left out" not in results[1]["content"]
    assert "left out: the text of 1 tool result" in done.err


def _workspace(root: Path) -> Path:
    write_gateway(root, "g", "{base_url: http://127.0.0.1:9/v1, name: m}")
    return root


@pytest.mark.parametrize(("limit", "shown"), [("context: {max_tokens: 200}\n", "62% ›"), ("", "^›")])
def test_the_chats_prompt_shows_how_full_the_context_is(place: Place, limit: str, shown: str) -> None:
    place.gateway(limit)
    with TerminalSession("chat", "g", cwd=place.root) as chat:
        chat.wait_for_prompt()
        assert "%" not in chat.text
        chat.enter("Where?")
        chat.wait_for_prompt()
        assert ("62% ›" in chat.text) == bool(limit)


def test_a_models_own_window_is_the_measure_where_it_is_known(place: Place) -> None:
    """The price table knows 400,000 tokens for gpt-5-mini."""
    place.upstream.answers(says("Paris.", prompt=40_000))
    settings = f"providers:\n  openai: {{base_url: {place.upstream.url}, free: false}}\n"
    (place.root / "aivax.yaml").write_text(settings, encoding="utf-8")
    write_gateway(place.root, "g", '"@openai/gpt-5-mini"')
    with TerminalSession("chat", "g", cwd=place.root) as chat:
        chat.wait_for_prompt()
        chat.enter("Where?")
        chat.wait_for_prompt()
        assert "10% ›" in chat.text
