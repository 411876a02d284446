"""What a chat shows of its documents: terms, sources, searches, reasons."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import aivax
from support.terminal_session import CTRL_C, ENTER, TerminalSession
from support.upstream import Upstream, says, silence
from support.workspaces import write_gateway

from aivax_cli.assets.store import default_cache_dir

DOCUMENTS = {
    "returns.md": "# Returns\n\n## Window\n\nGoods can be returned within thirty days of delivery.\n",
    "shipping.md": "# Shipping\n\n## Cost\n\nReturn shipping costs four euros.\n",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    (root / "gateways").mkdir()
    (root / "docs").mkdir()
    for name, text in DOCUMENTS.items():
        (root / "docs" / name).write_text(text)
    cache = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}
    made = aivax("ingest", "docs", "-c", "shop", cwd=root, home=root, env=cache, timeout_s=300)
    assert made.code == 0, made.err
    return root


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(says("Thirty days [1].")) as server:
        yield server


@pytest.fixture
def chat(root: Path, upstream: Upstream) -> Iterator[TerminalSession]:
    write_gateway(
        root,
        "shop",
        f"{{base_url: {upstream.url}, name: big}}",
        more="knowledge: {collections: [shop], top: 2, min_score: 0}\n",
    )
    with TerminalSession("chat", cwd=root) as session:
        session.wait_for_prompt()
        yield session


def test_an_answer_shows_its_sources_with_their_scores_and_links_them(
    chat: TerminalSession, root: Path
) -> None:
    chat.enter("How long can I return goods?")
    assert re.search(
        r"^\[1\]  docs/returns\.md:\d-\d   Returns > Window  0\.\d\d\n"
        r"\[2\]  docs/shipping\.md:\d-\d  Shipping > Cost   0\.\d\d$",
        chat.text,
        re.MULTILINE,
    )
    assert (root / "docs" / "returns.md").as_uri().encode() in chat.raw


def test_a_passage_can_be_read_whole(chat: TerminalSession) -> None:
    chat.enter("How long can I return goods?").enter("/sources 2")
    assert "Return shipping costs four euros." in chat.text
    chat.enter("/sources 9")
    assert "error: there is no passage '9'; choose 1 to 2" in chat.lines


def test_why_shows_terms_passages_and_the_messages_with_them(chat: TerminalSession) -> None:
    chat.enter("How long can I return goods?").enter("/why")
    shown = chat.text[chat.text.rindex("Search  Plain") :]
    assert "  How long can I return goods?" in shown
    assert "Passages  2" in shown
    assert re.search(r"\[user\]\nPassages from the documents, quoted\.", shown)


def test_the_collections_can_be_searched_without_a_model(chat: TerminalSession, upstream: Upstream) -> None:
    chat.enter("/search shipping")
    assert re.search(r"0\.\d\d  docs/shipping\.md:\d-\d  Shipping > Cost", chat.text)
    assert upstream.requests == []


def test_another_strategy_serves_from_the_next_turn_on(chat: TerminalSession, upstream: Upstream) -> None:
    upstream.answers(says("return window"), says("Thirty days [1]."))
    chat.enter("/strategy full_rewrite").enter("How long?")
    assert "FullRewrite searches “return window”" in chat.lines
    assert len(upstream.requests) == 2
    chat.enter("/strategy FulRewrite")
    assert "error: no strategy named 'FulRewrite'; did you mean 'FullRewrite'?" in chat.lines


def test_rewriting_that_fails_is_told_and_the_turn_goes_on(chat: TerminalSession, upstream: Upstream) -> None:
    upstream.answers(says(""), says("Thirty days."))
    chat.enter("/strategy UserRewrite").enter("How long?")
    assert "warning: searched with the question itself: big returned no search terms" in chat.lines
    assert "Thirty days." in chat.lines


def test_ctrl_c_while_rewriting_returns_to_the_prompt(chat: TerminalSession, upstream: Upstream) -> None:
    upstream.answers(silence(), says("Thirty days."))
    chat.enter("/strategy UserRewrite")
    chat.type(f"How long?{ENTER}")
    chat.wait_for("thinking")
    chat.type(CTRL_C)
    chat.wait_for("interrupted")
    chat.wait_for_prompt()
    assert "thinking" not in chat.text
