"""A chat's prompt is there before what answers has been loaded."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.terminal_session import CTRL_D, ENTER, TerminalSession
from support.upstream import Upstream, says
from support.workspaces import write_gateway

PROMPT = "›".encode()
LATE = ("pydantic", "yaml", "httpx", "numpy", "chromadb", "onnxruntime", "aivax_cli.wiring")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(says("Paris is the capital.")) as server:
        yield server


@pytest.fixture
def workspace(tmp_path: Path, upstream: Upstream) -> Path:
    write_gateway(tmp_path, "talk", f"{{base_url: {upstream.url}, name: big}}")
    return tmp_path


def test_the_prompt_waits_for_nothing_that_only_an_answer_needs(workspace: Path) -> None:
    with TerminalSession("chat", cwd=workspace, env={"PYTHONPROFILEIMPORTTIME": "1"}) as chat:
        chat.wait_for("›")
        before = chat.raw.partition(PROMPT)[0].decode()
        loaded = {line.rpartition("|")[2].strip() for line in before.splitlines()}
    assert "prompt_toolkit" in loaded
    assert loaded.isdisjoint(LATE)


def test_a_question_asked_at_once_is_answered(workspace: Path, upstream: Upstream) -> None:
    with TerminalSession("chat", cwd=workspace) as chat:
        chat.wait_for("›")
        chat.type(f"The capital of France?{ENTER}")
        chat.wait_for("Paris is the capital")
    assert upstream.requests[0].body["messages"][-1]["content"] == "The capital of France?"


def test_a_broken_gateway_takes_the_prompt_away_and_says_what_is_wrong(workspace: Path) -> None:
    with (workspace / "gateways" / "talk.yaml").open("a", encoding="utf-8") as file:
        file.write("knowledge: {stratgy: Plain}\n")
    with TerminalSession("chat", cwd=workspace) as chat:
        code = chat.wait_for_end()
        shown = chat.text
    assert code == 2
    assert "did you mean 'strategy'" in shown
    assert "›" not in shown


def test_a_gateway_whose_file_has_another_name_is_found_before_the_prompt(workspace: Path) -> None:
    write_gateway(workspace, "other", "@local/any", number=2)
    with TerminalSession("chat", "nobody", cwd=workspace) as chat:
        assert chat.wait_for_end() == 2
        assert "nobody" in chat.text
        assert PROMPT not in chat.raw


def test_leaving_at_once_is_no_error(workspace: Path) -> None:
    with TerminalSession("chat", cwd=workspace) as chat:
        chat.wait_for("›")
        chat.type(CTRL_D)
        assert chat.wait_for_end() == 0
        assert not re.search("Traceback|error", chat.text)


def test_leaving_while_the_model_loads_is_no_error(workspace: Path) -> None:
    write_gateway(workspace, "here", "'@local/qwen2.5-coder-0.5b'", number=3)
    with TerminalSession("chat", "here", cwd=workspace) as chat:
        chat.wait_for("qwen2")
        chat.type(CTRL_D)
        assert chat.wait_for_end() == 0
        assert chat.text.splitlines()[0].startswith("here ·")
        assert not re.search("Traceback|error", chat.text)
