"""Tools marked `confirm`, in a pseudo-terminal: the person sees the call and decides."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.terminal_session import CTRL_C, ENTER, TerminalSession
from support.tool_talk import gateway_with_tools, http_tool, says_and_calls, text_answer
from support.upstream import Upstream, calls_tool, says

QUESTION = r"\[y\]es  \[n\]o  \[a\]lways in this session ›"
Start = Callable[..., TerminalSession]


@pytest.fixture
def model() -> Iterator[Upstream]:
    first = says_and_calls("I will **now** delete it.", "delete_file", {"path": "/tmp/x"})
    with Upstream(first, says("Done.")) as server:
        yield server


@pytest.fixture
def endpoint() -> Iterator[Upstream]:
    with Upstream(text_answer("deleted")) as server:
        yield server


@pytest.fixture
def start(tmp_path: Path, model: Upstream, endpoint: Upstream) -> Iterator[Start]:
    gateway_with_tools(tmp_path, model, http_tool("delete_file", endpoint.url, more=", confirm: true"))
    sessions: list[TerminalSession] = []

    def begin(*arguments: str) -> TerminalSession:
        sessions.append(TerminalSession(*arguments, cwd=tmp_path))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.end()


def asked(start: Start) -> TerminalSession:
    """A chat in which the question has been put."""
    chat = start("chat")
    chat.wait_for_prompt()
    chat.type(f"Delete it{ENTER}")
    chat.wait_for(QUESTION)
    return chat


def test_the_call_is_shown_below_what_was_said_and_yes_runs_it(start: Start, endpoint: Upstream) -> None:
    chat = asked(start)
    assert endpoint.requests == []
    said = chat.lines.index("I will now delete it.")
    assert chat.lines[said + 1].startswith("run delete_file  http://127.0.0.1:")
    assert chat.lines[said + 2] == '  {"path": "/tmp/x"}'
    chat.type("y")
    chat.wait_for(r"session › yes")
    chat.wait_for("Done.")
    chat.wait_for_prompt()
    assert len(endpoint.requests) == 1
    assert chat.text.count("I will now delete it.") == 1


def test_no_refuses_it_and_the_model_hears_of_it(start: Start, model: Upstream, endpoint: Upstream) -> None:
    chat = asked(start).type("n")
    chat.wait_for("Done.")
    assert endpoint.requests == []
    assert "refused" in model.bodies[1]["messages"][-1]["content"]


def test_always_is_not_asked_again(start: Start, model: Upstream, endpoint: Upstream) -> None:
    chat = asked(start).type("a")
    chat.wait_for("Done.")
    chat.wait_for_prompt()
    model.answers(calls_tool("delete_file", {"path": "/tmp/y"}), says("Again."))
    chat.enter("And the other")
    assert len(endpoint.requests) == 2


def test_why_shows_the_calls_of_the_last_turn(start: Start) -> None:
    chat = asked(start).type("y")
    chat.wait_for("Done.")
    chat.wait_for_prompt()
    chat.enter("/why")
    place = chat.lines.index("Tools  1 call")
    assert chat.lines[place + 1].startswith('  delete_file {"path": "/tmp/x"}')
    assert chat.lines[place + 2] == "    deleted"


def test_ctrl_c_at_the_question_ends_the_turn_and_runs_nothing(start: Start, endpoint: Upstream) -> None:
    chat = asked(start).type(CTRL_C)
    chat.wait_for("interrupted")
    chat.wait_for_prompt()
    assert endpoint.requests == []


def test_what_was_typed_before_the_question_is_no_answer(
    start: Start, model: Upstream, endpoint: Upstream
) -> None:
    chat = start("chat")
    chat.wait_for_prompt()
    chat.type(f"Delete it{ENTER}yyy")
    chat.wait_for(QUESTION)
    assert endpoint.requests == []
    chat.type("x")
    time.sleep(0.2)
    chat.type("n")
    chat.wait_for("session › no")


def test_hostile_arguments_do_nothing_to_the_terminal(start: Start, model: Upstream) -> None:
    model.answers(calls_tool("delete_file", {"path": "\x1b[2J\x1b]0;owned\x07"}), says("Done."))
    chat = start("chat")
    chat.wait_for_prompt()
    chat.type(f"Delete it{ENTER}")
    chat.wait_for(QUESTION)
    assert chat.screen.title == ""
    assert "Delete it" in chat.text


def test_complete_asks_too_and_ctrl_c_ends_it(start: Start, endpoint: Upstream) -> None:
    once = start("complete", "g", "Delete it")
    once.wait_for(QUESTION)
    once.type(CTRL_C)
    assert once.wait_for_end() == 130
    assert endpoint.requests == []
