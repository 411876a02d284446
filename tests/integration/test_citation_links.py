"""Every citation that a terminal shows is an OSC 8 link to the file, in each command that shows sources."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from support.embedding_server import embeddings
from support.in_process import aivax_here
from support.knowledge import write_files
from support.terminal_session import TerminalSession
from support.upstream import Upstream, says
from support.workspaces import write_gateway

LINK = re.compile(rb"\x1b\]8;[^;]*;([^\x07\x1b]+)(?:\x1b\\|\x07)(.*?)\x1b\]8;;(?:\x1b\\|\x07)", re.DOTALL)
STYLE = re.compile(r"\x1b\[[0-9;]*m")
QUESTION = "Which box holds the key of the harbour?"
FILES = {
    "docs/plain.md": "# Harbour\n\nThe key of the harbour lies in the red box.\n",
    "docs/with blank & #hash 50%.md": "The key of the harbour was in the green box.\n",
    "docs/ação/chaves.txt": "The box that holds the key of the harbour office.\n",
    "docs/tool.py": 'def harbour_key() -> str:\n    return "the box of the key of the harbour"\n',
    "docs/keys.csv": "key,box\nharbour,blue box\n",
    "outside/far.md": "Another key of the harbour, and another box.\n",
}


@pytest.fixture
def root(tmp_path):
    """A workspace whose collection holds files of its own and a folder beside it."""
    root = tmp_path / "work space"
    root.mkdir()
    write_files(root, {name: text for name, text in FILES.items() if name.startswith("docs/")})
    write_files(tmp_path, {"outside/far.md": FILES["outside/far.md"]})
    with (
        Upstream(embeddings()) as upstream,
        Upstream(says("In the red box [1], once in others [2][3].")) as chat,
    ):
        model = f"{{base_url: {upstream.url}, name: small-embed}}"
        write_files(root, {"collections/kb.yaml": f"embedder:\n  model: {model}\n"})
        knowledge = "knowledge: {collections: [kb], top: 10, min_score: 0}\n"
        write_gateway(root, "g", f"{{base_url: {chat.url}, name: big}}", more=knowledge)
        done = aivax_here("ingest", "docs", "../outside", "-c", "kb", cwd=root)
        assert done.code == 0, done.err
        yield root


def links(raw: bytes) -> dict[str, str]:
    """What is shown as a link, with where it leads. A link that spans lines counts once a line."""
    return {STYLE.sub("", shown.decode()): target.decode() for target, shown in LINK.findall(raw)}


def assert_each_leads_to_its_file(root: Path, found: dict[str, str], screen: str) -> None:
    for name in FILES:
        (shown,) = [shown for shown in found if Path(name).name in shown]
        address = urlsplit(found[shown])
        assert address.scheme == "file"
        target = Path(unquote(address.path))
        assert target.read_text(encoding="utf-8") == FILES[name]
        assert shown in screen


def shown_by(root: Path, *arguments: str) -> tuple[dict[str, str], str]:
    with TerminalSession(*arguments, cwd=root, columns=160, rows=60) as session:
        assert session.wait_for_end() == 0, session.text
        return links(session.raw), session.text


def test_the_sources_of_an_answer_are_links(root):
    found, screen = shown_by(root, "complete", "g", QUESTION)
    assert len(re.findall(r"^\s*\[\d+\] ", screen, re.MULTILINE)) == len(found) == len(FILES)
    assert_each_leads_to_its_file(root, found, screen)


def test_the_hits_of_a_search_are_links(root):
    found, screen = shown_by(root, "search", "kb", QUESTION, "--top", "10", "--min-score", "0")
    assert_each_leads_to_its_file(root, found, screen)


def test_the_sources_of_a_conversation_are_links(root):
    with TerminalSession("chat", "g", cwd=root, columns=160, rows=60) as session:
        session.wait_for_prompt()
        session.enter(QUESTION)
        found, screen = links(session.raw), session.text
    assert_each_leads_to_its_file(root, found, screen)


def test_a_source_whose_file_is_gone_is_shown_without_a_link(root):
    (root / "docs/plain.md").unlink()
    found, screen = shown_by(root, "complete", "g", QUESTION)
    assert "docs/plain.md" in screen
    assert not any("plain.md" in shown for shown in found)
    assert len(found) == len(FILES) - 1
