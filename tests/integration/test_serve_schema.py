"""The OpenAPI document, and the server held against it: by schemathesis, and by what that has found."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest
from support.patience import PATIENT_S
from support.serving import gateway, served
from support.upstream import Upstream, says

HELLO = {
    "/v1/chat/completions": {"model": "g", "prompt": "Hi"},
    "/v1/responses": {"model": "g", "input": "Hi"},
    "/v1/messages": {"model": "g", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    root = tmp_path_factory.mktemp("schema")
    with Upstream(says("Hello there.")) as upstream:
        gateway(root, upstream, "g")
        with served(root) as server:
            yield server


@pytest.fixture(scope="module")
def document(running):
    return running.get("/openapi.json").json()


def narrowed(value):
    """The document with the names of what is there, so that its requests come to something."""
    if isinstance(value, list):
        return [narrowed(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: narrowed(each) for key, each in value.items()}
    properties = found.get("properties")
    asked = {"prompt", "input", "messages"}
    if isinstance(properties, dict) and "model" in properties and properties.keys() & asked:
        properties["model"] = {"const": "g"}
    return found


def test_schemathesis_finds_no_answer_that_the_document_does_not_know(running, document, tmp_path):
    """Among those are 500, and any body of another shape. One path stands for all: the others' requests are
    read into its own."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(narrowed(document)), encoding="utf-8")
    program = "import sys; from schemathesis.cli import schemathesis; schemathesis()"
    checks = "status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [sys.executable, "-c", program, "run", str(file), "--url", running.url, "--no-color"]
    command += ["--phases", "coverage", "--include-path", "/v1/chat/completions"]
    command += ["--seed", "7", "--generation-deterministic", "--checks", checks]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=4 * PATIENT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


# What it has found


@pytest.mark.parametrize("path", HELLO)
@pytest.mark.parametrize("role", [{}, [], 5, None, "nobody"])
def test_a_role_that_is_none_is_refused(running, path, role):
    message = {"role": role, "content": "Hi"}
    body = {"model": "g", "max_tokens": 9, "messages": [message], "input": [message]}
    assert running.post(body, path).status_code == 400


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/chat/completions", "max_completion_tokens"),
        ("/v1/chat/completions", "max_tokens"),
        ("/v1/chat/completions", "temperature"),
        ("/v1/chat/completions", "tools"),
        ("/v1/chat/completions", "dialect"),
        ("/v1/responses", "max_output_tokens"),
        ("/v1/responses", "tools"),
        ("/v1/responses", "text"),
        ("/v1/messages", "max_tokens"),
        ("/v1/messages", "tools"),
        ("/v1/messages", "tool_choice"),
    ],
)
@pytest.mark.parametrize("value", [{}, [{}], "x"], ids=["object", "list", "text"])
def test_a_value_of_the_wrong_kind_is_refused(running, path, field, value):
    if (field, value) == ("text", {}):
        value = 5
    assert running.post({**HELLO[path], field: value}, path).status_code == 400


@pytest.mark.parametrize("field", ["max_tokens", "seed"])
def test_a_whole_number_may_be_written_with_a_point(running, field):
    assert running.post({**HELLO["/v1/chat/completions"], field: 7.0}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS"])
def test_mcp_is_asked_by_post_alone(running, method):
    found = httpx.request(method, f"{running.url}/mcp", timeout=PATIENT_S, trust_env=False)
    assert (found.status_code, found.headers["allow"]) == (405, "POST")


def test_mcp_takes_nothing_but_json(running):
    found = httpx.post(f"{running.url}/mcp", content=b"x", timeout=PATIENT_S, trust_env=False)
    assert (found.status_code, found.json()["error"]["type"]) == (415, "invalid_request_error")


# The document


def test_every_path_of_the_document_is_served_and_every_error_described(running, document):
    paths = document["paths"]
    served_paths = {"/v1/chat/completions", "/api/v1/chat/completions", "/api/v1/chat-completions"}
    served_paths |= {"/v1/models", "/v1/models/{name}", "/v1/responses", "/v1/messages", "/v1/embeddings"}
    served_paths |= {"/healthz", "/readyz", "/metrics", "/mcp", "/openapi.json"}
    assert served_paths <= paths.keys()
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"):
        wanted = {"200", "400", "401", "402", "403", "404", "408", "413", "429", "502", "503"}
        assert wanted <= paths[path]["post"]["responses"].keys()


@pytest.mark.parametrize("path", HELLO)
@pytest.mark.parametrize("wrong", [False, True], ids=["answer", "error"])
def test_an_answer_has_the_shape_that_the_document_gives_it(running, document, path, wrong):
    import jsonschema

    found = running.post({**HELLO[path], **({"model": "nobody"} if wrong else {})}, path)
    assert found.status_code == (404 if wrong else 200)
    described = document["paths"][path]["post"]["responses"][str(found.status_code)]
    shape = described["content"]["application/json"]["schema"]
    jsonschema.validate(found.json(), {**shape, "components": document["components"]})
