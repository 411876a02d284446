"""MCP servers as tools: a sound one written with the SDK, over stdio and HTTP, and broken ones."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.patience import PATIENT_S, until
from support.ports import free_port, is_listening
from support.tool_boxes import SDK_SERVER, Tools, is_running, raw_server
from support.upstream import Upstream, hang_up, html, silence, status

from aivax_cli.core.errors import KeyMissingError, ToolError
from aivax_cli.core.types import ToolCall, ToolOutcome
from aivax_cli.gateway.sections import HttpTool, McpTools

SECRET = "a-secret-of-the-test"
STARTED_S = 5.0
"""A wait that a server has to start in, too, however busy the machine."""
ENVIRON = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TOOL_SECRET": SECRET, "OTHER": "unseen"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    """A server written with the SDK, started once."""
    settings = McpTools(mcp=SDK_SERVER, env=["TOOL_SECRET"], max_result_chars=1000)
    with Tools(settings, root=tmp_path_factory.mktemp("root"), environ=ENVIRON) as tools:
        yield tools


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The same server over streamable HTTP; its address."""
    port = free_port()
    process = subprocess.Popen([*SDK_SERVER, "http", str(port)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_listening(port))
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


def test_a_tool_is_called_and_its_text_comes_back(sound: Tools) -> None:
    assert sound.run("add", {"a": 1, "b": 2}) == ToolOutcome("3")


def test_names_are_ones_that_endpoints_take_and_none_is_the_searchs(sound: Tools) -> None:
    assert {"read_page", "mcp_tools_search_knowledge"} <= set(sound.names)
    assert "search_knowledge" not in sound.names
    assert sound.run("read_page") == ToolOutcome("a page")


def test_arguments_are_checked_before_the_call(sound: Tools) -> None:
    outcome = sound.run("add", {"a": "one"})
    assert outcome.failed
    assert outcome.text == (
        "Not run: the arguments do not fit the schema: "
        "a: 'one' is not of type 'integer'; 'b' is a required property"
    )


def test_arguments_that_are_no_json_are_said_to_the_model(sound: Tools) -> None:
    assert sound.run("add", "{") == ToolOutcome("Not run: the arguments are not valid JSON.", failed=True)


def test_a_tool_that_nobody_has_is_an_outcome(sound: Tools) -> None:
    assert sound.run("subtract").failed


def test_a_tool_that_fails_is_a_failed_outcome(sound: Tools) -> None:
    outcome = sound.run("fail")
    assert outcome.failed
    assert "fail" in outcome.text


def test_a_picture_is_noted(sound: Tools) -> None:
    assert sound.run("picture").text == "a cat\n[image, image/png, about 6 bytes: not shown]"


def test_a_huge_result_is_cut(sound: Tools) -> None:
    assert sound.run("large", {"characters": 1_000_000}).text == f"{'x' * 1000}\n[cut after 1,000 characters]"


def test_a_server_sees_the_variables_that_are_named_and_no_others(sound: Tools) -> None:
    assert sound.run("environment", {"name": "OTHER"}).text == "(not set)"
    assert sound.run("environment", {"name": "LANG"}).text == "C.UTF-8"


def test_a_secret_that_a_server_was_given_does_not_come_back(sound: Tools) -> None:
    assert sound.run("environment", {"name": "TOOL_SECRET"}).text == "***"


def test_a_server_runs_in_the_workspace(sound: Tools) -> None:
    assert Path(sound.run("folder").text).name.startswith("root")


def test_what_a_server_writes_on_stderr_is_not_shown(sound: Tools, capfd: pytest.CaptureFixture[str]) -> None:
    sound.run("add", {"a": 1, "b": 2})
    assert capfd.readouterr() == ("", "")


def test_a_server_that_dies_in_a_call_is_told_of_and_started_again() -> None:
    with Tools(McpTools(mcp=raw_server("dies"))) as tools:
        assert tools.run("echo") == ToolOutcome("echo failed: it ended before it answered", failed=True)
        (warning,) = tools.box.warnings()
        assert warning.endswith("ended during a call; its last words: out of paper")
        assert tools.run("echo").failed


def test_a_server_whose_process_is_gone_is_started_again() -> None:
    with Tools(McpTools(mcp=raw_server("sound"))) as tools:
        first = int(tools.run("pid").text)
        subprocess.run(["kill", "-9", str(first)], check=True)
        assert tools.run("pid").failed
        assert int(tools.run("pid").text) != first


def test_closing_ends_the_process() -> None:
    with Tools(McpTools(mcp=raw_server("sound"))) as tools:
        pid = int(tools.run("pid").text)
        assert is_running(pid)
    assert not is_running(pid)


def test_a_process_that_does_not_leave_is_ended_by_force() -> None:
    with Tools(McpTools(mcp=raw_server("stubborn"))) as tools:
        pid = int(tools.run("pid").text)
    assert not is_running(pid)


def test_a_call_that_is_not_answered_fails_in_time() -> None:
    with Tools(McpTools(mcp=raw_server("silent"), timeout_s=STARTED_S)) as tools:
        assert tools.run("echo") == ToolOutcome("echo did not answer within 5 s.", failed=True)


def test_a_call_can_be_cancelled() -> None:
    with Tools(McpTools(mcp=raw_server("silent"))) as tools:

        async def cancelled() -> float:
            await tools.box.specs()
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await tools.box.run(ToolCall("1", "echo", "{}"))
            return time.monotonic() - started

        assert tools.wait(cancelled()) < PATIENT_S / 3  # half of what a call may take


def test_an_answer_that_is_no_result_is_a_failed_outcome() -> None:
    with Tools(McpTools(mcp=raw_server("nonsense"))) as tools:
        outcome = tools.run("echo")
    assert outcome == ToolOutcome("echo failed: it answered what the protocol does not allow", failed=True)


def test_garbage_between_the_messages_is_passed_over(capfd: pytest.CaptureFixture[str]) -> None:
    with Tools(McpTools(mcp=raw_server("garbage"))) as tools:
        assert tools.run("echo", {"a": 1}) == ToolOutcome('{"a": 1}')
    assert capfd.readouterr() == ("", "")


def test_every_page_of_the_list_is_read() -> None:
    with Tools(McpTools(mcp=raw_server("pages"))) as tools:
        assert tools.names == ["t0", "t1", "t2"]


def test_a_schema_that_is_not_valid_is_warned_of_and_the_tool_works() -> None:
    with Tools(McpTools(mcp=raw_server("schema"))) as tools:
        assert tools.run("echo", {"a": 1}) == ToolOutcome('{"a": 1}')
        (warning,) = tools.box.warnings()
        assert "the schema of the tool 'echo' cannot be used" in warning
        assert tools.box.warnings() == ()


def test_only_the_named_tools_are_offered() -> None:
    with Tools(McpTools(mcp=raw_server("sound"), only=["pid"])) as tools:
        assert tools.names == ["pid"]


def test_names_that_several_tools_have_stay_apart() -> None:
    same = HttpTool(name="echo", description="Mine.", url="http://127.0.0.1:9/")
    server = McpTools(mcp=raw_server("sound"))
    with Tools(server, same, server) as tools:
        assert tools.names == ["echo", "raw_mcp_echo", "pid", "raw_mcp_echo_2", "raw_mcp_pid"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (McpTools(mcp=["no-such-command"]), "cannot be started: there is no such command; install it"),
        (McpTools(mcp=["/"]), "cannot be started: Permission denied"),
        (McpTools(mcp=raw_server("crash")), "it ended before it answered; its last words: no licence"),
        (McpTools(mcp=raw_server("mute"), timeout_s=0.5), "did not answer within 0.5 s; give it longer"),
        (McpTools(mcp=raw_server("many")), "offers 1,000 tools, and models take 128; name those"),
        (McpTools(mcp=raw_server("endless")), "lists tools without end"),
        (McpTools(mcp=raw_server("sound"), only=["ecco"]), "no tool named 'ecco'.*did you mean 'echo'?"),
        (McpTools(mcp=raw_server("sound"), env=["NOT_SET"]), "NOT_SET, which is not set; set it"),
        (McpTools(mcp="http://127.0.0.1:9/mcp"), "http://127.0.0.1:9/mcp' cannot be used: no connection"),
        (McpTools(mcp="http://example.org/mcp", api_key_env="LANG"), "not sent over http://"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_server_that_cannot_be_used_is_an_error_of_one_line(settings: McpTools, said: str) -> None:
    with Tools(settings, environ=ENVIRON) as tools, pytest.raises(ToolError, match=said) as error:
        tools.wait(tools.box.specs())
    assert len(str(error.value).splitlines()) == 1
    assert SECRET not in str(error.value)


def test_a_server_that_could_not_be_reached_is_tried_again(tmp_path: Path) -> None:
    late = tmp_path / "server"
    with Tools(McpTools(mcp=[str(late)])) as tools:
        with pytest.raises(ToolError):
            tools.wait(tools.box.specs())
        late.write_text(f"#!/bin/sh\nexec {' '.join(raw_server('sound'))}\n")
        late.chmod(0o755)
        assert tools.names == ["echo", "pid"]


def test_a_server_behind_an_address_is_called(web: str) -> None:
    with Tools(McpTools(mcp=web)) as tools:
        assert tools.run("add", {"a": 1, "b": 2}) == ToolOutcome("3")
        assert tools.run("sleep", {"seconds": 0.1}).text == "awake"


def test_a_call_behind_an_address_fails_in_time(web: str) -> None:
    with Tools(McpTools(mcp=web, timeout_s=STARTED_S)) as tools:
        tools.wait(tools.box.specs())
        assert tools.run("sleep", {"seconds": 9}) == ToolOutcome("sleep did not answer within 5 s.", True)
        assert tools.run("add", {"a": 1, "b": 2}) == ToolOutcome("3")


def test_a_key_goes_to_the_address_as_a_bearer_token() -> None:
    with Upstream(status(401)) as server:
        settings = McpTools(mcp=server.url, api_key_env="TOOL_SECRET")
        with Tools(settings, environ=ENVIRON) as tools, pytest.raises(ToolError) as error:
            tools.wait(tools.box.specs())
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in str(error.value)


def test_a_missing_key_names_its_variable() -> None:
    settings = McpTools(mcp="https://127.0.0.1:9/", api_key_env="NOT_SET")
    with Tools(settings, environ=ENVIRON) as tools, pytest.raises(KeyMissingError, match="NOT_SET"):
        tools.wait(tools.box.specs())


@pytest.mark.parametrize(
    "answer", [html(), hang_up(), status(500), status(404)], ids=["html", "hang_up", "500", "404"]
)
def test_an_address_that_is_no_tool_server_is_an_error(answer: object) -> None:
    with (
        Upstream(answer) as server,  # type: ignore[arg-type]
        Tools(McpTools(mcp=server.url, timeout_s=PATIENT_S)) as tools,
        pytest.raises(ToolError, match="cannot be used"),
    ):
        tools.wait(tools.box.specs())


def test_a_refused_key_says_which_one_to_check() -> None:
    with Upstream(status(401)) as server:
        with Tools(McpTools(mcp=server.url)) as tools, pytest.raises(ToolError) as without:
            tools.wait(tools.box.specs())
        settings = McpTools(mcp=server.url, api_key_env="TOOL_SECRET")
        with Tools(settings, environ=ENVIRON) as tools, pytest.raises(ToolError) as refused:
            tools.wait(tools.box.specs())
    assert str(without.value).endswith("(HTTP 401); name the variable of its key: api_key_env")
    assert str(refused.value).endswith("(HTTP 401); check the key in TOOL_SECRET")


def test_what_a_server_says_is_harmless_for_a_terminal(tmp_path: Path) -> None:
    script = tmp_path / "server"
    script.write_text("#!/bin/sh\nprintf 'bad \\033[2J\\033]0;owned\\007 news\\n' >&2\n")
    script.chmod(0o755)
    with Tools(McpTools(mcp=[str(script)])) as tools, pytest.raises(ToolError) as error:
        tools.wait(tools.box.specs())
    assert "news" in str(error.value)
    assert str(error.value).isprintable()


def test_an_address_that_never_answers_fails_in_time() -> None:
    with Upstream(silence()) as server, Tools(McpTools(mcp=server.url, timeout_s=0.5)) as tools:
        started = time.monotonic()
        with pytest.raises(ToolError, match=r"did not answer within 0.5 s"):
            tools.wait(tools.box.specs())
        assert time.monotonic() - started < PATIENT_S / 3


def test_calls_of_several_turns_do_not_wait_for_each_other(tmp_path: Path) -> None:
    begun, may_end = tmp_path / "begun", tmp_path / "may end"
    with Tools(McpTools(mcp=SDK_SERVER, timeout_s=PATIENT_S)) as tools:

        async def both() -> list[ToolOutcome]:
            await tools.box.specs()
            files = json.dumps({"begun": str(begun), "may_end": str(may_end)})
            slow = asyncio.create_task(tools.box.run(ToolCall("1", "wait_for_file", files)))
            while not begun.exists():
                await asyncio.sleep(0.02)
            quick = await tools.box.run(ToolCall("2", "add", '{"a": 1, "b": 2}'))
            assert not slow.done()
            may_end.touch()
            return [quick, await slow]

        assert [outcome.text for outcome in tools.wait(both())] == ["3", "it is there"]
