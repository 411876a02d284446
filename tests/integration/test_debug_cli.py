"""`--debug` through the program: every exchange on stderr, and never a key."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import Done, aivax
from support.embedding_server import embeddings
from support.knowledge import write_files
from support.upstream import Answer, Request, Upstream, calls_tool, json_answer, says, status
from support.workspaces import write_gateway

KEY = "sk-test-4f9Qz77Lm0"
PASSWORD = "open-sesame"
"""A secret that does not look like one: files with an address that holds a key are refused."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(says("Paris.")) as server:
        yield server


def ask(root: Path, upstream: Upstream, *arguments: str, more: str = "", base_url: str = "") -> Done:
    model = f'{{base_url: "{base_url or upstream.url}", name: m, api_key_env: MY_KEY}}'
    write_gateway(root, "g", model, more=more)
    command = ("complete", "g", "hi there", *arguments)
    return aivax(*command, cwd=root, home=root, env={"MY_KEY": KEY}, stdin="")


def test_the_exact_request_and_the_head_of_the_answer_are_shown(tmp_path: Path, upstream: Upstream) -> None:
    done = ask(tmp_path, upstream, "--debug", more="parameters: {temperature: 0.25}\n")
    assert (done.code, done.out) == (0, "Paris.\n")
    assert f"> POST {upstream.url}/chat/completions" in done.err
    assert "> authorization: Bearer ***" in done.err
    assert '"content": "hi there"' in done.err
    assert '"temperature": 0.25' in done.err
    assert f" s from {upstream.url}/chat/completions" in done.err
    assert "< content-type: text/event-stream" in done.err
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in done.err


def test_without_it_no_exchange_is_shown(tmp_path: Path, upstream: Upstream) -> None:
    assert "POST" not in ask(tmp_path, upstream).err


def test_every_attempt_is_shown_with_its_request_id(tmp_path: Path, upstream: Upstream) -> None:
    refusal = status(503, f"key {KEY} is busy", headers={"x-request-id": "req_77", "retry-after": "0"})
    upstream.answers(refusal, says("Paris."))
    done = ask(tmp_path, upstream, "--debug")
    assert done.err.count("> POST") == 2
    assert "< 503 Service Unavailable in" in done.err
    assert "< x-request-id: req_77" in done.err
    assert KEY not in done.err


def test_a_failure_shows_the_traceback_and_still_no_key(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(status(401, f"Incorrect API key provided: {KEY}"))
    done = ask(tmp_path, upstream, "--debug")
    assert done.code == 1
    assert "Traceback" in done.err
    assert KEY not in done.err


def test_the_user_of_an_address_are_hidden(tmp_path: Path, upstream: Upstream) -> None:
    base_url = upstream.url.replace("http://", f"http://{PASSWORD}@")
    done = ask(tmp_path, upstream, "--debug", base_url=base_url)
    assert done.code == 0, done.err
    assert f"> POST http://***@127.0.0.1:{upstream.port}/v1/chat/completions" in done.err
    assert PASSWORD not in done.err
    assert base64.b64encode(f"{PASSWORD}:".encode()).decode() not in done.err


def test_keys_in_the_query_of_an_address_are_hidden(tmp_path: Path, upstream: Upstream) -> None:
    done = ask(tmp_path, upstream, "--debug", base_url=f"{upstream.url}/x?sig={PASSWORD}&n=")
    assert "?sig=***&n=" in done.err
    assert PASSWORD not in done.err


def test_embeddings_rescoring_and_tools_are_shown(tmp_path: Path, upstream: Upstream) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Answer:
        asked.append(request.path)
        if request.path.endswith("/embeddings"):
            return embeddings()(request)
        if request.path.endswith("/rerank"):
            results = [{"index": n, "relevance_score": n} for n in range(len(request.body["documents"]))]
            return json_answer({"results": results})
        if request.path.endswith("/weather"):
            return json_answer({"weather": "sunny"})
        called = any(message["role"] == "tool" for message in request.body["messages"])
        return says("Sunny.") if called else calls_tool("weather", {"city": "Paris"})

    upstream.answers(answer)
    remote = f"{{base_url: {upstream.url}, name: e, api_key_env: MY_KEY}}"
    collection = f"embedder: {{model: {remote}, dimensions: 32}}\n"
    files = {"docs/a.md": "It is sunny.", "docs/b.md": "It rains.", "collections/kb.yaml": collection}
    write_files(tmp_path, files)
    (tmp_path / "gateways").mkdir()
    variables = {"MY_KEY": KEY}
    made = aivax("ingest", "docs", "-c", "kb", "--debug", cwd=tmp_path, home=tmp_path, env=variables)
    assert f"> POST {upstream.url}/embeddings" in made.err
    assert KEY not in made.err
    rerank = f"reranker: smart, rerank: {{kind: endpoint, model: {remote}}}"
    tool = f"{{name: weather, description: Tells it., url: '{upstream.url}/weather', api_key_env: MY_KEY}}"
    more = f"knowledge: {{collections: [kb], min_score: 0, {rerank}}}\ntools: [{tool}]\n"
    done = ask(tmp_path, upstream, "--debug", more=more)
    assert done.out == "Sunny.\n", done.err
    for path in ("embeddings", "rerank", "chat/completions", "weather"):
        assert f"> POST {upstream.url}/{path}" in done.err
    assert KEY not in done.err


def test_a_tool_server_over_http_is_shown_without_its_key(tmp_path: Path, upstream: Upstream) -> None:
    """It answers nothing that is a tool server's: what it was sent is what counts."""
    server = f"{{mcp: '{upstream.url}/mcp', api_key_env: MY_KEY}}"
    write_gateway(tmp_path, "g", f"{{base_url: {upstream.url}, name: m}}", more=f"tools: [{server}]\n")
    done = aivax("tools", "g", "--debug", cwd=tmp_path, home=tmp_path, env={"MY_KEY": KEY}, stdin="")
    assert f"> POST {upstream.url}/mcp" in done.err
    assert '"method": "initialize"' in done.err
    assert "> authorization: Bearer ***" in done.err
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in done.err
