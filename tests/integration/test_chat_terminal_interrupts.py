"""Ctrl-C at every stage of a turn: the prompt is back at once, what came until then is kept and charged."""

from __future__ import annotations

import os
import re
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.command_line import Done
from support.embedding_server import embeddings
from support.in_process import aivax_here
from support.knowledge import write_files
from support.patience import best
from support.terminal_session import CTRL_C, CTRL_D, ENTER, TerminalSession
from support.tool_talk import http_tool, says_and_calls
from support.upstream import Answer, Script, Upstream, chunk, says, silence, sse
from support.workspaces import write_gateway

SLOW_MACHINE_S = 2.0
"""The prompt is to be back after 0.2 s; a machine that does much else may take this long."""


def stalling(*words: str) -> Answer:
    """Says the words, then nothing more, and does not end."""
    return sse([chunk(f"{word} ") for word in words], end=None, ending="stall")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Upstream]]:
    """The model, the embedder, and the endpoint of a tool."""
    with Upstream(silence()) as model, Upstream(embeddings()) as embedder, Upstream(silence()) as endpoint:
        yield {"model": model, "embedder": embedder, "endpoint": endpoint}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, servers: dict[str, Upstream]) -> Path:
    """Gateways that rewrite, search through an endpoint, and call a tool; every model has a price."""
    root = tmp_path_factory.mktemp("stages")
    embedding = f"{{base_url: {servers['embedder'].url}, name: small-embed}}"
    files = {f"docs/{n}.md": f"Item{n} lies in the box of word{n}." for n in range(20)}
    write_files(root, {**files, "collections/kb.yaml": f"embedder:\n  model: {embedding}\n  price: 0.02\n"})
    answers = f"{{base_url: {servers['model'].url}, name: big}}"
    prices = "pricing: {input: 0.25, output: 2.0}\n"
    knowledge = "knowledge: {collections: [kb], strategy: UserRewrite, min_score: 0}\n"
    write_gateway(root, "search", answers, more=prices + knowledge)
    tools = f"tools:\n{http_tool('fetch_file', servers['endpoint'].url)}"
    write_gateway(root, "tools", answers, number=2, more=prices + tools)
    made = run(root, "ingest", "docs", "-c", "kb")
    assert made.code == 0, made.err
    return root


def run(root: Path, *arguments: str) -> Done:
    return aivax_here(*arguments, cwd=root)


@pytest.fixture(scope="module")
def chats(root: Path) -> Iterator[dict[str, TerminalSession]]:
    """One chat for each gateway, for all tests of this module."""
    sessions = {name: TerminalSession("chat", name, cwd=root) for name in ("search", "tools")}
    for session in sessions.values():
        session.wait_for_prompt()
    yield sessions
    for session in sessions.values():
        session.end()


@dataclass(frozen=True)
class Stage:
    """The chat is with `gateway`; the model answers so in turn, the embedder so. `shown` says that the stage
    is reached, once `server` has been asked. `said` is what the model has said by then."""

    gateway: str
    answers: tuple[Script, ...]
    shown: str
    server: str = "model"
    vectors: Script = field(default_factory=embeddings)
    said: str = ""


REWRITTEN = says("item7 box")
STAGES = {
    "rewriting": Stage("search", (silence(),), "thinking…"),
    "retrieving": Stage("search", (REWRITTEN,), "searching…", "embedder", silence()),
    "waiting": Stage("search", (REWRITTEN, silence()), "waiting for the model…"),
    "streaming": Stage(
        "search", (REWRITTEN, stalling("Half", "an", "answer")), "Half an answer", said="Half an answer"
    ),
    "in a tool": Stage(
        "tools",
        (says_and_calls("I look it up.", "fetch_file", {"path": "x"}),),
        "calling fetch_file…",
        "endpoint",
        said="I look it up.",
    ),
}


@pytest.mark.parametrize("name", STAGES)
def test_ctrl_c_brings_the_prompt_back_and_keeps_the_turn_with_its_cost(
    chats: dict[str, TerminalSession],
    servers: dict[str, Upstream],
    root: Path,
    name: str,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    stage, question = STAGES[name], f"The question while {name}"
    chat, server = chats[stage.gateway], servers[stage.server]

    def interrupted_s() -> float:
        servers["model"].answers(*stage.answers)
        servers["embedder"].answers(stage.vectors)
        asked, shown = len(server.requests), chat.text.count(stage.shown)
        chat.type(f"{question}{ENTER}")
        chat.wait_for(re.escape(stage.shown), count=shown + 1)
        chat.read_until(lambda: len(server.requests) > asked)
        return back_at_prompt_s(chat)

    waited_s = best(interrupted_s, SLOW_MACHINE_S)
    record_testsuite_property(f"prompt_back_ms_{name}", round(waited_s * 1000))
    assert waited_s < SLOW_MACHINE_S

    closing = [line for line in chat.lines if line.startswith("interrupted")][-1]
    assert re.search(r"· ~?\$0\.0", closing)
    chat.enter("/cost")
    table = chat.text[chat.text.rindex("/cost") :]
    assert re.search(r"^total +~?\$0\.0", table, re.MULTILINE)
    kept = run(root, "log", "show", newest(root)).out
    assert question in kept
    assert stage.said in kept


def back_at_prompt_s(chat: TerminalSession) -> float:
    """Presses Ctrl-C; the seconds until the turn is closed and a prompt stands on the last line."""
    stops = chat.text.count("\ninterrupted")
    started = time.monotonic()
    chat.type(CTRL_C)
    chat.read_until(lambda: chat.text.count("\ninterrupted") > stops and chat.at_prompt())
    return time.monotonic() - started


def newest(root: Path) -> str:
    return str(run(root, "log", "--json").json["conversations"][0]["id"])


def test_an_interrupted_turn_can_be_gone_on_with_and_the_chat_left(
    root: Path, servers: dict[str, Upstream]
) -> None:
    servers["embedder"].answers(embeddings())
    servers["model"].answers(REWRITTEN, stalling("Half", "an", "answer"))
    with TerminalSession("chat", "search", cwd=root) as chat:
        chat.wait_for_prompt()
        chat.type(f"Where is it?{ENTER}")
        chat.wait_for("Half an answer")
        back_at_prompt_s(chat)
        servers["model"].answers(REWRITTEN, says("and its end."))
        chat.enter("/continue")
        assert "and its end." in chat.text
        assert chat.type(CTRL_D).wait_for_end() == 0


def test_ctrl_c_right_after_enter_is_not_forgotten(root: Path, servers: dict[str, Upstream]) -> None:
    servers["model"].answers(silence())

    def interrupted_s() -> float:
        with TerminalSession("chat", "tools", cwd=root) as chat:
            chat.read_until(chat.at_prompt)
            chat.type(f"Hello{ENTER}")
            # From then on Ctrl-C is a signal, before it is a key of the prompt.
            chat.read_until(lambda: bool(termios.tcgetattr(chat.child.child_fd)[3] & termios.ISIG))
            return back_at_prompt_s(chat)

    assert best(interrupted_s, SLOW_MACHINE_S) < SLOW_MACHINE_S


def test_a_file_that_never_comes_is_given_up_and_the_chat_left(
    root: Path, chats: dict[str, TerminalSession]
) -> None:
    os.mkfifo(root / "nobody-writes")
    chat = chats["tools"].type(f"/attach nobody-writes{ENTER}")
    chat.read_until(lambda: bool(termios.tcgetattr(chat.child.child_fd)[3] & termios.ISIG))
    chat.type(CTRL_C)
    chat.wait_for("interrupted; nothing was attached")
    chat.wait_for_prompt()
    assert chat.type(CTRL_D).wait_for_end() == 0
