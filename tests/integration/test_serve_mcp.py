"""Gateways and collections as MCP tools, asked by the official SDK's client: over HTTP and over stdio."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from contextlib import asynccontextmanager

import pytest
from support.embedding_server import embeddings
from support.in_process import aivax_here
from support.patience import PATIENT_S, until
from support.served_shelf import fill
from support.serving import gateway, served
from support.upstream import Upstream, says, silence, status

ANSWER = "Four."


@pytest.fixture(scope="module")
def upstream():
    with Upstream(says(ANSWER)) as server:
        yield server


@pytest.fixture(scope="module")
def root(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("mcp")
    with Upstream(embeddings()) as embedder:
        fill(root, embedder)
        gateway(root, upstream, "maths", number=1, more="description: Knows numbers.\n")
        gateway(root, upstream, "with.dots", number=2, more="knowledge: {collections: [kb]}\n")
        yield root


@pytest.fixture(scope="module")
def running(root):
    with served(root) as server:
        yield server


@pytest.fixture(autouse=True)
def answering(upstream):
    upstream.answers(says(ANSWER))


@asynccontextmanager
async def http(url, key=None):
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENT_S, trust_env=False) as carrier:
        transport = streamable_http_client(f"{url}/mcp", http_client=carrier)
        async with Client(transport) as client:
            yield client


def asked(client, *calls):
    """The tools' names, then what each call gave: whether it failed, and its texts."""

    async def run():
        async with client as session:
            names = sorted(tool.name for tool in (await session.list_tools()).tools)
            results = [await session.call_tool(name, arguments) for name, arguments in calls]
        return names, [(each.is_error, [part.text for part in each.content]) for each in results]

    return asyncio.run(run())


def test_gateways_and_collections_are_tools(running):
    names, _ = asked(http(running.url))
    assert names == ["invoke_maths", "invoke_with_dots", "kb_search"]


def test_a_gateway_is_invoked(running, upstream):
    _, [(failed, texts)] = asked(http(running.url), ("invoke_maths", {"prompt": "Two and two?"}))
    assert (failed, texts) == (False, [ANSWER])
    assert upstream.bodies[-1]["messages"][-1]["content"] == "Two and two?"


def test_an_answer_comes_with_its_sources(running):
    _, [(failed, texts)] = asked(
        http(running.url), ("invoke_with_dots", {"prompt": "How long do cats sleep?"})
    )
    assert (failed, texts[0]) == (False, ANSWER)
    assert texts[1].startswith("Sources:\n[1] docs/cats.md")


def test_a_collection_is_searched(running):
    _, [(failed, texts)] = asked(http(running.url), ("kb_search", {"search_terms": ["the tide at the pier"]}))
    assert not failed
    assert texts[0].startswith("[1] docs/tides.md") and "turns every six hours" in texts[0]


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("kb_search", {"search_terms": [str(number) for number in range(11)]}, "at most 10"),
        ("kb_search", {"search_terms": ["x" * 251, "y" * 250]}, "500 characters"),
        ("kb_search", {"search_terms": [" "]}, "at least one"),
        ("kb_search", {"search_terms": "tide"}, "list of texts"),
        ("invoke_maths", {}, "give a prompt"),
        ("invoke_maths", {"prompt": "Hi", "temperature": 2}, "nothing else"),
        ("invoke_nobody", {"prompt": "Hi"}, "no tool 'invoke_nobody'"),
        ("../secret_search", {"search_terms": ["x"]}, "no tool"),
    ],
)
def test_a_wrong_call_is_a_tools_error(running, tool, arguments, told):
    _, [(failed, texts)] = asked(http(running.url), (tool, arguments))
    assert (failed, told in texts[0]) == (True, True)


def test_a_failed_turn_is_a_tools_error_that_tells_no_secret(running, upstream):
    upstream.answers(status(401, "wrong key sk-upstream-secret"))
    _, [(failed, texts)] = asked(http(running.url), ("invoke_maths", {"prompt": "Hi"}))
    assert (failed, "secret" in texts[0]) == (True, False)


def test_a_client_that_leaves_ends_its_call(running, upstream):
    upstream.disconnected.clear()
    upstream.answers(silence())
    before = len(upstream.requests)

    async def leave():
        async with http(running.url) as session:
            call = asyncio.create_task(session.call_tool("invoke_maths", {"prompt": "Hi"}))
            await asyncio.to_thread(until, lambda: len(upstream.requests) > before)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call

    asyncio.run(leave())
    assert upstream.disconnected.wait(PATIENT_S)


def test_over_stdio_there_are_the_same_tools(root, tmp_path):
    from mcp import Client, StdioServerParameters

    environ = {"HOME": str(tmp_path), "AIVAX_CACHE_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "aivax_cli", "mcp"], cwd=str(root), env=environ
    )
    names, [(failed, texts)] = asked(Client(command), ("invoke_maths", {"prompt": "Hi"}))
    assert names == ["invoke_maths", "invoke_with_dots", "kb_search"]
    assert (failed, texts) == (False, [ANSWER])


def test_a_key_sees_the_tools_of_its_gateways(root, upstream):
    key = aivax_here("keys", "new", "maths only", "--gateway", "maths", cwd=root).out.strip()
    try:
        with served(root) as server:
            names, results = asked(
                http(server.url, key),
                ("invoke_maths", {"prompt": "Hi"}),
                ("invoke_with_dots", {"prompt": "Hi"}),
                ("kb_search", {"search_terms": ["tide"]}),
            )
            without = server.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, "/mcp")
    finally:
        for file in (root / ".aivax").glob("keys.db*"):
            file.unlink()
    assert names == ["invoke_maths"]
    assert [failed for failed, _ in results] == [False, True, True]
    assert without.status_code == 401
