"""Each strategy through the real program: what is searched, and exactly what the models are sent."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Done, aivax
from support.patience import PATIENT_S
from support.upstream import Answer, Upstream, calls_tool, says, silence, status
from support.workspaces import write_gateway

from aivax_cli.assets.store import default_cache_dir
from aivax_cli.strategy.query_function import SEARCH_TOOL

DOCUMENT = """# Returns

## Window

Goods can be returned within thirty days of delivery.

## Cost

Return shipping costs four euros.
"""
TALK = [
    {"role": "user", "content": "How long can I return goods?"},
    {"role": "assistant", "content": "Thirty days after delivery."},
    {"role": "user", "content": "And what does the shipping cost?"},
]
PASSAGES_HEAD = "Passages from the documents, quoted."


class Shop:
    """A workspace with one collection, whose gateways all call the same scripted endpoint."""

    def __init__(self, root: Path, upstream: Upstream) -> None:
        self.root = root
        self.upstream = upstream

    def ask(self, strategy: str, *answers: Answer, timeout_s: float = PATIENT_S) -> Done:
        """Runs the conversation through a gateway with that strategy and a window of 2."""
        self.upstream.requests.clear()
        self.upstream.answers(*answers)
        model = f"{{base_url: {self.upstream.url}, name: big}}"
        search = f"{{collections: [shop], strategy: {strategy}, window: 2, top: 2, min_score: 0}}"
        pool = f"{{timeout_s: {timeout_s}, models: [{{base_url: {self.upstream.url}, name: small}}]}}"
        more = f"instructions: Be brief.\nknowledge: {search}\nrewrite: {pool}\n"
        write_gateway(self.root, "g", model, more=more)
        (self.root / "talk.json").write_text(json.dumps(TALK))
        arguments = ("complete", "g", "--messages", "talk.json", "--json")
        return aivax(*arguments, cwd=self.root, home=self.root, env=CACHE)

    @property
    def bodies(self) -> list[Any]:
        return self.upstream.bodies

    def sent(self, number: int = 0) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.bodies[number]["messages"]
        return messages


CACHE = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    root = tmp_path_factory.mktemp("shop")
    (root / "gateways").mkdir()
    (root / "docs").mkdir()
    (root / "docs" / "returns.md").write_text(DOCUMENT)
    made = aivax("ingest", "docs", "-c", "shop", cwd=root, home=root, env=CACHE, timeout_s=300)
    assert made.code == 0, made.err
    with Upstream() as upstream:
        yield Shop(root, upstream)


def assert_grounded(shop: Shop, messages: list[dict[str, Any]]) -> None:
    """Instructions, the conversation, the passages as a message of the user before the last one."""
    assert messages[0] == {"role": "system", "content": "Be brief."}
    assert messages[1:3] == TALK[:2]
    assert messages[3]["role"] == "user"
    assert messages[3]["content"].startswith(PASSAGES_HEAD)
    assert "[1] docs/returns.md:" in messages[3]["content"]
    assert "> Return shipping costs four euros." in messages[3]["content"]
    assert messages[4:] == TALK[2:]


def test_plain_searches_the_last_user_message_and_calls_one_model(shop: Shop) -> None:
    done = shop.ask("Plain", says("Four euros [1]."))
    assert done.code == 0, done.err
    assert done.json["search_terms"] == ["And what does the shipping cost?"]
    assert [body["model"] for body in shop.bodies] == ["big"]
    assert_grounded(shop, shop.sent())


def test_concatenate_searches_the_last_n_user_messages_one_a_line(shop: Shop) -> None:
    done = shop.ask("Concatenate", says("Four euros [1]."))
    assert done.json["search_terms"] == ["How long can I return goods?\nAnd what does the shipping cost?"]
    assert [body["model"] for body in shop.bodies] == ["big"]
    assert_grounded(shop, shop.sent())


def test_user_rewrite_asks_the_small_model_about_the_users_messages(shop: Shop) -> None:
    done = shop.ask("user-rewrite", says("What does return shipping cost?"), says("Four euros [1]."))
    assert done.json["strategy"] == "UserRewrite"
    assert done.json["search_terms"] == ["What does return shipping cost?"]
    assert [body["model"] for body in shop.bodies] == ["small", "big"]
    assert shop.sent(0)[1] == {
        "role": "user",
        "content": "Conversation:\nuser: How long can I return goods?\n"
        "user: And what does the shipping cost?\n\nSearch queries:",
    }
    assert_grounded(shop, shop.sent(1))


def test_full_rewrite_asks_the_small_model_about_both_sides(shop: Shop) -> None:
    done = shop.ask("FULL_REWRITE", says("return shipping cost\nreturn window"), says("Four euros [1]."))
    assert done.json["strategy"] == "FullRewrite"
    assert done.json["search_terms"] == ["return shipping cost", "return window"]
    assert shop.sent(0)[1] == {
        "role": "user",
        "content": "Conversation:\nuser: How long can I return goods?\n"
        "assistant: Thirty days after delivery.\nuser: And what does the shipping cost?\n\nSearch queries:",
    }
    assert_grounded(shop, shop.sent(1))


def test_query_function_searches_when_the_model_asks(shop: Shop) -> None:
    wanted = calls_tool(SEARCH_TOOL.name, {"search_terms": ["return shipping cost"]})
    done = shop.ask("QueryFunction", wanted, says("Four euros [1]."))
    assert done.json["search_terms"] == ["return shipping cost"]
    assert shop.sent(0) == [{"role": "system", "content": "Be brief."}, *TALK]
    assert shop.bodies[0]["tools"][0]["function"]["name"] == SEARCH_TOOL.name
    asked, result = shop.sent(1)[-2:]
    assert asked["tool_calls"][0]["function"]["name"] == SEARCH_TOOL.name
    assert (result["role"], result["tool_call_id"]) == ("tool", "call_1")
    assert "> Return shipping costs four euros." in result["content"]
    assert done.json["text"] == "Four euros [1]."


def test_query_function_forbids_the_tool_after_the_last_round(shop: Shop) -> None:
    wanted = calls_tool(SEARCH_TOOL.name, {"search_terms": ["shipping"]})
    done = shop.ask("QueryFunction", wanted)
    assert len(shop.bodies) == 6  # five rounds by default, then the answer
    assert [body.get("tool_choice") for body in shop.bodies] == [None] * 5 + ["none"]
    assert done.json["text"] == ""


def test_query_function_tells_the_model_what_was_wrong_with_its_call(shop: Shop) -> None:
    done = shop.ask("QueryFunction", calls_tool("delete_all", {}), says("Sorry."))
    assert done.code == 0, done.err
    assert "no tool named 'delete_all'" in shop.sent(1)[-1]["content"]


@pytest.mark.parametrize("failure", [status(401, "no"), says(""), status(400, "bad")])
def test_a_failing_rewrite_searches_the_last_message_and_says_so(shop: Shop, failure: Answer) -> None:
    done = shop.ask("UserRewrite", failure, says("Four euros [1]."))
    assert done.code == 0, done.err
    assert done.json["search_terms"] == ["And what does the shipping cost?"]
    assert "searched with the question itself" in done.err
    assert done.json["text"] == "Four euros [1]."


def test_a_rewrite_that_takes_too_long_is_given_up(shop: Shop) -> None:
    done = shop.ask("UserRewrite", silence(), says("Four euros [1]."), timeout_s=3)
    assert done.code == 0, done.err
    assert "took longer than 3 s to rewrite" in done.err
    assert done.json["text"] == "Four euros [1]."


def test_every_call_is_charged_under_its_purpose(shop: Shop) -> None:
    done = shop.ask("UserRewrite", says("shipping cost", prompt=20), says("Four euros [1].", prompt=30))
    quantities = {line["sku"]: line["quantity"] for line in done.json["generated_usage"]}
    assert quantities["inference.resolving.query_rewrite.in"] == 20
    assert quantities["inference.chat_completions.in"] == 30
    assert quantities["rag.embedding.query"] > 0
