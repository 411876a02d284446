"""Functions that an HTTP endpoint carries out, over real connections on loopback."""

import re
import subprocess
import sys
import time
from typing import Any

import pytest
from support.patience import PATIENT_S
from support.tool_boxes import Tools
from support.upstream import Answer, Upstream, hang_up, html, reset, silence, status

from aivax_cli.core.errors import ToolError
from aivax_cli.core.types import ToolOutcome
from aivax_cli.gateway.sections import HttpTool

KEY = "key-of-the-test-0123456789"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def weather(server: Upstream, **fields: Any) -> HttpTool:
    return HttpTool(name="weather", description="The weather.", url=server.url, schema=SCHEMA, **fields)


def plain(text: str | bytes, kind: str = "text/plain; charset=utf-8") -> Answer:
    return Answer((text.encode() if isinstance(text, str) else text,), headers={"content-type": kind})


def outcome(answer: Answer, **fields: Any) -> ToolOutcome:
    """What a call comes to when the endpoint answers so."""
    with Upstream(answer) as server, Tools(weather(server, **fields), environ={"TOOL_KEY": KEY}) as tools:
        return tools.run("weather", {"city": "Lisboa"})


def test_the_arguments_are_posted_and_the_text_comes_back() -> None:
    with Upstream(plain("Sunny, 24 °C.")) as server, Tools(weather(server)) as tools:
        assert tools.run("weather", {"city": "São Paulo"}) == ToolOutcome("Sunny, 24 °C.")
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1")
    assert request.body["type"] == "tool_call"
    assert request.body["function"] == {"name": "weather", "content": {"city": "São Paulo"}}
    assert "authorization" not in request.headers


def test_a_key_is_sent_as_a_bearer_token() -> None:
    settings = {"api_key_env": "TOOL_KEY"}
    with (
        Upstream(plain("ok")) as server,
        Tools(weather(server, **settings), environ={"TOOL_KEY": KEY}) as tools,
    ):
        tools.run("weather", {"city": "x"})
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_arguments_are_checked_before_anything_is_sent() -> None:
    with Upstream(plain("ok")) as server, Tools(weather(server)) as tools:
        assert tools.run("weather", {"town": "x"}).failed
    assert server.requests == []


def test_json_comes_back_as_it_was_sent() -> None:
    assert outcome(plain('{ "t": 24 }', "application/json")) == ToolOutcome('{ "t": 24 }')


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(400, "no such city"), r"^weather failed \(HTTP 400\): .*no such city"),
        (status(503), r"weather failed \(HTTP 503\)"),
        (Answer(status=302, headers={"location": "http://127.0.0.1:9/"}), "not followed"),
        (hang_up(), "could not be reached: the connection was lost"),
        (reset(), "could not be reached: the connection was lost"),
        (Answer((b"half",), ending="reset"), "could not be reached: the connection was lost"),
    ],
    ids=["400", "503", "302", "hang_up", "reset", "reset in the middle"],
)
def test_a_call_that_fails_is_a_failed_outcome(answer: Answer, said: str) -> None:
    found = outcome(answer)
    assert found.failed
    assert re.search(said, found.text)


def test_the_model_never_sees_the_address() -> None:
    for answer in (status(500), hang_up(), html(status=404)):
        assert "127.0.0.1" not in outcome(answer).text


def test_a_silent_endpoint_fails_in_time() -> None:
    started = time.monotonic()
    assert outcome(silence(), timeout_s=0.3) == ToolOutcome("weather did not answer within 0.3 s.", True)
    assert time.monotonic() - started < PATIENT_S / 3  # the usual wait is half of it


def test_an_endpoint_that_drips_fails_in_time() -> None:
    drips = Answer((b"x",) * 100, pause_s=0.1)
    assert outcome(drips, timeout_s=0.5).failed


def test_a_huge_answer_is_cut_while_it_comes() -> None:
    endless = Answer((b"x" * 10_000,) * 10_000, headers={"content-type": "text/plain"})
    found = outcome(endless, max_result_chars=500)
    assert found == ToolOutcome(f"{'x' * 500}\n[cut after 500 characters]")


def test_what_is_no_text_is_noted() -> None:
    assert outcome(plain(b"\x89PNG\x00", "image/png")).text == "[image/png: not text, not shown]"


def test_an_empty_answer_says_so() -> None:
    assert outcome(plain("")).text == "(no output)"


def test_other_encodings_are_read() -> None:
    assert outcome(plain("é".encode("latin-1"), "text/plain; charset=latin-1")).text == "é"
    assert outcome(plain("é", "text/plain; charset=no-such")).text == "é"


def test_a_key_that_the_endpoint_repeats_does_not_come_back() -> None:
    for answer in (status(401, f"bad key {KEY}"), plain(f"your key is {KEY}")):
        assert KEY not in outcome(answer, api_key_env="TOOL_KEY").text


def test_nobody_listening_is_a_failed_outcome() -> None:
    tool = HttpTool(name="weather", description="The weather.", url="http://127.0.0.1:9/x")
    with Tools(tool) as tools:
        assert tools.run("weather") == ToolOutcome("weather could not be reached: no connection.", True)


@pytest.mark.parametrize(
    ("names", "said"), [(("a", "a"), "'a' is used twice"), (("search_knowledge",), "own")]
)
def test_a_name_that_is_taken_is_an_error(names: tuple[str, ...], said: str) -> None:
    given = [HttpTool(name=name, description="x", url="http://127.0.0.1:9/") for name in names]
    with Tools(*given) as tools, pytest.raises(ToolError, match=said):
        tools.wait(tools.box.specs())


def test_the_mcp_sdk_is_not_loaded_for_them() -> None:
    program = """
import asyncio, pathlib, sys
from aivax_cli.core.types import ToolCall
from aivax_cli.gateway.sections import HttpTool
from aivax_cli.tools.box import GatewayTools

async def run():
    tool = HttpTool(name="x", description="x", url="http://127.0.0.1:9/")
    box = GatewayTools([tool], environ={}, root=pathlib.Path("/"))
    assert (await box.run(ToolCall("1", "x", "{}"))).failed
    await box.aclose()

asyncio.run(run())
assert not {"mcp", "httpx2", "starlette", "chromadb"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=2 * PATIENT_S)
