"""Every command that /help names does in a terminal what it says there; a new one needs its case here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.embedding_server import embeddings
from support.in_process import aivax_here
from support.knowledge import write_files
from support.terminal_session import CTRL_C, TerminalSession
from support.upstream import Answer, Request, Upstream, says
from support.workspaces import write_gateway

from aivax_cli.cli.chat_commands import COMMANDS

ANSWER = "Item7 lies in the box [1].\n\n```sh\nls -l\n```"
QUESTION = "Where does item7 lie?"
EDITOR = "import pathlib, sys\npathlib.Path(sys.argv[1]).write_text('words from the editor')\n"


def answer(request: Request) -> Answer:
    """An answer with a source and code; one that is cut off to a question that asks for it."""
    asked = request.body["messages"][-1]["content"]
    if "at length" in asked and "broke off" not in asked:
        return says("It begins", finish="length")
    return says(ANSWER, prompt=100)


@dataclass(frozen=True)
class Case:
    """Lines to enter, each once the prompt is back, and what the last one brings onto the screen.

    `sent` is what the terminal is told besides, `left_typed` whether words are left at the prompt."""

    lines: tuple[str, ...]
    shows: str
    sent: bytes = b""
    left_typed: bool = False


CASES = {
    "help": Case(("/help",), r"/sources \[N\] +The last answer's passages(.|\n)*Enter sends"),
    "retry": Case((QUESTION, "/retry"), r"asking again: Where does item7 lie\?\n(.|\n)*Item7 lies"),
    "continue": Case(("Tell me at length", "/continue"), r"going on: Tell me at length\n(.|\n)*Item7 lies"),
    "undo": Case(("A first", "A second", "/undo"), r"took back: A second"),
    "fork": Case(("A first", "A second", "/fork 1"), r"going on after turn 1 in conversation \w+"),
    "reset": Case(("A first", "/reset"), r"forgot \d+ turns?"),
    "title": Case(("A first", "/title Boxes and items"), r"this conversation is called: Boxes and items"),
    "compact": Case(("A first", "A second", "/compact"), r"turns? summarised: [\d,]+ characters became \d+"),
    "edit": Case(("/edit some",), r"› words from the editor", left_typed=True),
    "file": Case(("/file notes.md -- What does it say?",), r"notes\.md(.|\n)*Item7 lies in the box"),
    "attach": Case(("/attach notes.md",), r"notes\.md(.|\n)*goes with the next message"),
    "copy": Case((QUESTION, "/copy code"), r"code block 1", sent=b"\x1b]52;c;bHMgLWw="),
    "sources": Case((QUESTION, "/sources 1"), r"docs/(\d)\.md(.|\n)*Item\1 lies in the box of word\1\."),
    "why": Case((QUESTION, "/why"), r"Search  Plain(.|\n)*Passages  2(.|\n)*Sent  (.|\n)*\[user\]"),
    "cost": Case((QUESTION, "/cost"), r"(?m)inference\.chat_completions\.out(.|\n)*^total +\$0\.0"),
    "search": Case(("/search item3 box",), r"docs/3\.md"),
    "gateway": Case(("/gateway other", "/gateway boxes"), r"boxes"),
    "strategy": Case(("/strategy concatenate",), r"knowledge\.strategy is now Concatenate, for this chat"),
    "model": Case(("/model",), r"big"),
    "set": Case(("/set temperature=0.2",), r"temperature is now 0\.2, for this chat"),
    "save": Case(("A first", "/save! talk.md"), r"saved \d+ turns? to talk\.md"),
    "exit": Case(("/exit",), r"/exit"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("commands")
    with Upstream(answer) as model, Upstream(embeddings()) as embedder:
        embedding = f"{{base_url: {embedder.url}, name: small-embed}}"
        files = {f"docs/{n}.md": f"Item{n} lies in the box of word{n}." for n in range(9)}
        files["notes.md"] = "The library opens at nine."
        files["editor.py"] = EDITOR
        write_files(
            root, {**files, "collections/kb.yaml": f"embedder: {{model: {embedding}, price: 0.02}}\n"}
        )
        answers = f"{{base_url: {model.url}, name: big}}"
        knowledge = "knowledge: {collections: [kb], min_score: 0, top: 2, attach: prepend}\n"
        prices = "pricing: {input: 0.25, output: 2.0}\n"
        write_gateway(root, "boxes", answers, more=prices + knowledge)
        write_gateway(root, "other", answers, number=2)
        made = aivax_here("ingest", "docs", "-c", "kb", cwd=root)
        assert made.code == 0, made.err
        yield root


@pytest.fixture(scope="module")
def chats(root: Path) -> Iterator[list[TerminalSession]]:
    """The chat of all tests, and another one when it has been left."""
    sessions: list[TerminalSession] = []
    yield sessions
    for session in sessions:
        session.end()


@pytest.fixture
def chat(root: Path, chats: list[TerminalSession]) -> TerminalSession:
    if not chats or not chats[-1].child.isalive():
        editor = f"'{sys.executable}' '{root / 'editor.py'}'"
        chats.append(TerminalSession("chat", "boxes", cwd=root, env={"EDITOR": editor}))
        chats[-1].wait_for_prompt()
    return chats[-1]


def test_there_is_a_case_for_every_command() -> None:
    assert set(CASES) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_does_what_help_says(chat: TerminalSession, name: str) -> None:
    case = CASES[name]
    *before, last = case.lines
    for line in before:
        chat.enter(line)
    already = len(chat.raw)
    if name == "exit":
        assert chat.type(f"{last}\r").wait_for_end() == 0
    else:
        chat.enter(last)
    shown = chat.text[chat.text.rindex(f"› {last}") :]
    assert re.search(case.shows, shown)
    assert "error:" not in shown
    assert case.sent in chat.raw[already:]
    if case.left_typed:
        prompts = chat.text.count("›")
        chat.type(CTRL_C)
        chat.wait_for("›", count=prompts + 1)
        chat.wait_for_prompt()
