"""`--plain`: a terminal gets lines of text and nothing else, as a screen reader needs it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.terminal_session import CTRL_D, ENTER, TerminalSession
from support.upstream import Upstream, says
from support.workspaces import write_gateway

ANSWER = "# Paris\n\n- It is **the capital**.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
PRICES = "pricing: {input: 0.25, cached_input: 0.025, output: 2.0}\n"
DRAWN = re.compile("[\u2500-\u259f\u2800-\u28ff]")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    with Upstream(says(ANSWER, prompt=1204, cached=204)) as server:
        write_gateway(tmp_path, "talk", f"{{base_url: {server.url}, name: big}}", more=PRICES)
        yield tmp_path


def ask_and_leave(chat: TerminalSession) -> None:
    chat.wait_for("(?m)^>")
    for number, line in enumerate(("The capital of France?", "/help", "/cost", "/nonsense"), start=2):
        chat.type(line + ENTER)
        chat.wait_for("(?m)^>", count=number)
    chat.type(CTRL_D)


@pytest.mark.parametrize("way", ["--plain", "AIVAX_PLAIN", "TERM=dumb"])
def test_a_whole_chat_is_lines_of_text(workspace: Path, way: str) -> None:
    options = ["--plain"] if way == "--plain" else []
    env = {"--plain": {}, "AIVAX_PLAIN": {"AIVAX_PLAIN": "1"}, "TERM=dumb": {"TERM": "dumb"}}[way]
    with TerminalSession("chat", *options, cwd=workspace, env=env) as chat:
        ask_and_leave(chat)
        assert chat.wait_for_end() == 0
        assert b"\x1b" not in chat.raw
        assert "\r\n- It is **the capital**." in chat.raw.decode()
        assert "1,000 in" in chat.text
        assert not DRAWN.search(chat.text)


def test_an_answer_of_complete_is_lines_of_text(workspace: Path) -> None:
    with TerminalSession("complete", "--plain", "--cost", "The capital?", cwd=workspace) as complete:
        assert complete.wait_for_end() == 0
        assert b"\x1b" not in complete.raw
        assert "**the capital**" in complete.text
        assert not DRAWN.search(complete.text)


def test_usage_draws_nothing(workspace: Path) -> None:
    with TerminalSession("complete", "-q", "The capital?", cwd=workspace) as complete:
        complete.wait_for_end()
    with TerminalSession("usage", "--plain", cwd=workspace) as usage:
        assert usage.wait_for_end() == 0
        assert b"\x1b" not in usage.raw
        assert not DRAWN.search(usage.text)


def test_the_theme_has_the_say_about_colours_of_answers_and_notes(workspace: Path) -> None:
    with TerminalSession("complete", "Use `x`", cwd=workspace, env={"AIVAX_THEME": "light"}) as complete:
        complete.wait_for_end()
        assert b"\x1b[36m" not in complete.raw  # the terminal's own cyan
    with TerminalSession("nonsense", cwd=workspace, env={"AIVAX_THEME": "light"}) as slip:
        slip.wait_for_end()
        assert b"38;2;179;71;0" in slip.raw or b"38;5;130" in slip.raw


def test_an_unknown_theme_is_warned_of(workspace: Path) -> None:
    with TerminalSession("gateways", cwd=workspace, env={"AIVAX_THEME": "neon"}) as listed:
        assert listed.wait_for_end() == 0
        assert "warning: AIVAX_THEME: no theme 'neon'" in listed.text
