"""Tools in a turn, through the program: called, refused, listed, and gone when it ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import Done, aivax
from support.in_process import aivax_here
from support.patience import PATIENT_S, until
from support.tool_boxes import SDK_SERVER, is_running, raw_server
from support.tool_talk import gateway_with_tools, http_tool, text_answer
from support.upstream import Upstream, calls_tool, chunk, says, sse, tool_call

from aivax_cli.gateway.workspace import find_workspace
from aivax_cli.wiring import open_gateway

READ = {"path": "a.txt"}


@pytest.fixture
def model() -> Iterator[Upstream]:
    with Upstream(calls_tool("read_file", READ), says("It says hello.")) as server:
        yield server


@pytest.fixture
def endpoint() -> Iterator[Upstream]:
    with Upstream(text_answer("hello")) as server:
        yield server


def ask(root: Path, *arguments: str) -> Done:
    return aivax_here("complete", "g", "What does it say?", *arguments, cwd=root)


def test_a_tool_server_of_the_gateway_is_used(model: Upstream, tmp_path: Path) -> None:
    model.answers(calls_tool("add", {"a": 20, "b": 22}), says("42."))
    gateway_with_tools(tmp_path, model, f"  - mcp: {json.dumps(SDK_SERVER)}\n    only: [add]\n")
    done = aivax("complete", "g", "What is 20 + 22?", "--json", cwd=tmp_path, home=tmp_path)
    assert (done.code, done.err.count("warning")) == (0, 0)
    (run,) = done.json["runned_functions"]
    assert run.pop("duration_s") >= 0
    assert run == {"name": "add", "arguments": {"a": 20, "b": 22}, "result": "42", "failed": False}
    assert [tool["function"]["name"] for tool in model.bodies[0]["tools"]] == ["add"]
    assert model.bodies[1]["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "42"}


def test_a_call_is_told_beside_the_answer(model: Upstream, endpoint: Upstream, tmp_path: Path) -> None:
    gateway_with_tools(tmp_path, model, http_tool("read_file", endpoint.url))
    done = ask(tmp_path)
    assert done.out == "It says hello.\n"
    assert 'called read_file {"path": "a.txt"}' in done.err


def test_several_calls_of_one_message_run_one_after_the_other(
    model: Upstream, endpoint: Upstream, tmp_path: Path
) -> None:
    calls = [
        tool_call("read_file", json.dumps({"path": name}), call_id=name, index=number)
        for number, name in enumerate(("a", "b"))
    ]
    model.answers(sse([*calls, chunk(finish="tool_calls")]), says("Read."))
    gateway_with_tools(tmp_path, model, http_tool("read_file", endpoint.url))
    assert ask(tmp_path).code == 0
    assert [body["function"]["content"]["path"] for body in endpoint.bodies] == ["a", "b"]
    assert [message.get("tool_call_id") for message in model.bodies[1]["messages"][-2:]] == ["a", "b"]


def test_a_tool_that_fails_is_told_and_the_turn_goes_on(
    model: Upstream, endpoint: Upstream, tmp_path: Path
) -> None:
    endpoint.answers(text_answer("never used"))
    model.answers(calls_tool("read_file", {"file": "a"}), says("I cannot."))
    gateway_with_tools(tmp_path, model, http_tool("read_file", endpoint.url))
    done = ask(tmp_path)
    assert (done.code, done.out) == (0, "I cannot.\n")
    assert "warning: read_file failed: Not run: the arguments do not fit the schema" in done.err
    assert endpoint.requests == []


def test_rounds_end_and_the_last_one_has_to_answer(
    model: Upstream, endpoint: Upstream, tmp_path: Path
) -> None:
    model.answers(calls_tool("read_file", READ))
    gateway_with_tools(tmp_path, model, http_tool("read_file", endpoint.url), more="max_tool_rounds: 2\n")
    ask(tmp_path)
    assert len(endpoint.requests) == 2
    assert [body.get("tool_choice") for body in model.bodies] == [None, None, "none"]


def test_the_search_tool_works_beside_others(model: Upstream, endpoint: Upstream, tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    (tmp_path / "a.md").write_text("# Returns\n\nGoods may be returned within thirty days.\n")
    assert aivax_here("ingest", "a.md", "-c", "kb", cwd=tmp_path).code == 0
    search = calls_tool("search_knowledge", {"search_terms": ["returns"]}, call_id="c1")
    model.answers(search, calls_tool("read_file", READ, call_id="c2"), says("Thirty days."))
    more = "knowledge: {collections: [kb], strategy: QueryFunction, min_score: 0.01}\n"
    gateway_with_tools(tmp_path, model, http_tool("read_file", endpoint.url), more=more)
    runs = ask(tmp_path, "--json").json["runned_functions"]
    assert [run["name"] for run in runs] == ["search_knowledge", "read_file"]
    assert not any(run["failed"] for run in runs)
    names = [tool["function"]["name"] for tool in model.bodies[0]["tools"]]
    assert names == ["search_knowledge", "read_file"]


def test_hostile_results_do_nothing_to_what_is_printed(
    model: Upstream, endpoint: Upstream, tmp_path: Path
) -> None:
    model.answers(calls_tool("read_file", {"path": "\x1b[2J\x1b]0;owned\x07"}), says("ok"))
    gateway_with_tools(tmp_path, model, http_tool("read_file", endpoint.url))
    assert "\x1b" not in ask(tmp_path).err


def test_a_server_that_cannot_be_started_is_an_error_of_one_line(model: Upstream, tmp_path: Path) -> None:
    gateway_with_tools(tmp_path, model, f"  - mcp: {json.dumps(raw_server('crash'))}\n")
    done = ask(tmp_path)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: the tool server '")
    assert line.endswith("its last words: no licence")
    assert model.requests == []


def test_without_a_terminal_a_tool_to_confirm_is_refused(
    model: Upstream, endpoint: Upstream, tmp_path: Path
) -> None:
    gateway_with_tools(tmp_path, model, http_tool("read_file", endpoint.url, more=", confirm: true"))
    done = ask(tmp_path)
    assert done.code == 0
    assert "read_file needs approval and there is no terminal to ask on; --approve-tools gives it" in done.err
    assert done.err.count("warning:") == 1
    assert "nobody can be asked" in model.bodies[1]["messages"][-1]["content"]
    assert endpoint.requests == []


def test_approval_can_be_given_beforehand(model: Upstream, endpoint: Upstream, tmp_path: Path) -> None:
    gateway_with_tools(tmp_path, model, http_tool("read_file", endpoint.url, more=", confirm: true"))
    assert ask(tmp_path, "--approve-tools").code == 0
    assert len(endpoint.requests) == 1


def test_the_tools_of_a_gateway_are_listed(model: Upstream, tmp_path: Path) -> None:
    tools = http_tool("echo", "https://example.org/x", more=", confirm: true")
    gateway_with_tools(tmp_path, model, f"{tools}  - mcp: {json.dumps(raw_server('sound'))}\n")
    done = aivax_here("tools", "g", cwd=tmp_path)
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["name", "from", "confirm", "description"]
    assert rows[1][:3] == ["echo", "https://example.org/x", "yes"]
    assert [row[0] for row in rows[1:]] == ["echo", "raw_mcp_echo", "pid"]
    listed = aivax_here("tools", "g", "--json", cwd=tmp_path).json
    assert [(tool["name"], tool["own_name"], tool["confirm"]) for tool in listed] == [
        ("echo", "echo", True),
        ("raw_mcp_echo", "echo", False),
        ("pid", "pid", False),
    ]
    assert listed[0]["schema"]["required"] == ["path"]


def test_a_gateway_without_tools_says_so(model: Upstream, tmp_path: Path) -> None:
    gateway_with_tools(tmp_path, model, "  []\n")
    done = aivax_here("tools", cwd=tmp_path)
    assert (done.code, done.out) == (0, "")
    assert "gateway 'g' has no tools" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_the_tool_servers(model: Upstream, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = tmp_path / "server.sh"
    called = tmp_path / "called"
    server = " ".join([*raw_server("silent"), str(called)])
    script.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nexec {server}\n")
    script.chmod(0o755)
    model.answers(calls_tool("echo", {}))
    gateway_with_tools(tmp_path, model, f"  - mcp: [{script}]\n")
    program = subprocess.Popen(
        [sys.executable, "-m", "aivax_cli", "complete", "g", "hi"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    until(called.exists)
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=PATIENT_S)
    assert program.returncode == 130
    assert said.strip() == b""
    until(lambda: not is_running(int(pid_file.read_text())))


def test_other_tools_of_a_running_gateway_take_the_place_of_its_own(model: Upstream, tmp_path: Path) -> None:
    gateway_with_tools(tmp_path, model, f"  - mcp: {json.dumps(raw_server('sound'))}\n")
    workspace = find_workspace(tmp_path)
    loaded = workspace.load("g")

    async def pids() -> list[int]:
        async with open_gateway(workspace, loaded) as gateway:

            async def pid() -> int:
                (offer,) = (offer for offer in (await gateway.tools())[0] if offer.own_name == "pid")
                return int((await offer.carry_out({})).text)

            first = await pid()
            gateway.changed(loaded.definition.model_copy(update={"max_tool_rounds": 2}))
            same = await pid()
            only = loaded.definition.tools[0].model_copy(update={"only": ["pid"]})
            gateway.changed(loaded.definition.model_copy(update={"tools": [only]}))
            return [first, same, await pid()]

    first, same, other = asyncio.run(pids())
    assert first == same != other
    assert not is_running(first)
    assert not is_running(other)


def test_doctor_says_what_tools_lack(model: Upstream, tmp_path: Path) -> None:
    lacking = "  - {mcp: [no-such-command, x], env: [NOT_SET_EITHER]}\n"
    present = f"  - mcp: {json.dumps(raw_server('crash'))}\n"
    gateway_with_tools(tmp_path, model, lacking + present)
    findings = aivax_here("doctor", "--json", cwd=tmp_path).json["findings"]
    told = [(found["status"], found["detail"]) for found in findings if found["check"] == "tools"]
    assert told == [
        ("warning", "the environment variable NOT_SET_EITHER is not set"),
        ("warning", "the command 'no-such-command' is not installed"),
        ("ok", f"the command '{sys.executable}' is installed"),
    ]
