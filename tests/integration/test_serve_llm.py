"""The `llm` command asks a gateway by an entry in its file of extra models, as docs/serving.md says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version

import pytest
from support.serving import gateway, served
from support.upstream import Upstream, calls_tool, says

MODELS = """
- model_id: docs
  model_name: my-gateway
  api_base: URL/v1
  supports_tools: true
  supports_schema: true
"""

Llm = Callable[..., str]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Llm]:
    """Runs `llm …` and gives what it printed."""
    root = tmp_path_factory.mktemp("llm")
    gateway(root, upstream, "my-gateway")
    own = root / "llm"
    own.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(root), "LLM_USER_PATH": str(own), "NO_PROXY": "*"}
    with served(root) as server:
        (own / "extra-openai-models.yaml").write_text(MODELS.replace("URL", server.url))

        def run(*arguments: str) -> str:
            command = [sys.executable, "-m", "llm", *arguments]
            done = subprocess.run(
                command,
                cwd=root,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        yield run


def test_a_gateway_answers_streamed_and_whole(llm: Llm, upstream: Upstream) -> None:
    for more in ([], ["--no-stream"]):
        upstream.answers(says("Hello there."))
        assert llm("-m", "docs", *more, "Hi") == "Hello there.\n"
        assert upstream.requests[-1].body["messages"][-1] == {"role": "user", "content": "Hi"}


def test_a_conversation_goes_on(llm: Llm, upstream: Upstream) -> None:
    upstream.answers(says("Thirty days."))
    llm("-m", "docs", "How long?")
    upstream.answers(says("Yes."))
    llm("-c", "Really?")
    said = [message["content"] for message in upstream.requests[-1].body["messages"]]
    assert said[-3:] == ["How long?", "Thirty days.", "Really?"]


def test_its_tools_are_called_and_their_answers_sent_back(llm: Llm, upstream: Upstream) -> None:
    upstream.answers(calls_tool("llm_version", {}), says("It is new."))
    assert llm("-m", "docs", "-T", "llm_version", "Which version?") == "It is new.\n"
    result = upstream.requests[-1].body["messages"][-1]
    assert (result["role"], result["content"]) == ("tool", version("llm"))


def test_a_schema_goes_with_the_question(llm: Llm, upstream: Upstream) -> None:
    upstream.answers(says('{"name": "Ana", "age": 9}'))
    assert json.loads(llm("-m", "docs", "--schema", "name, age int", "Who?")) == {"name": "Ana", "age": 9}
    sent = upstream.requests[-1].body["response_format"]
    assert sent["json_schema"]["schema"]["properties"] == {
        "name": {"type": "string"},
        "age": {"type": "integer"},
    }
