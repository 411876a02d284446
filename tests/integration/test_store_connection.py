"""Servers that are not there, do not answer, refuse or are no Chroma: bounded waits, one line, no secret."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.chroma_process import ChromaProcess
from support.knowledge import HashEmbedder, run_ingest, write_files
from support.patience import PATIENT_S

from aivax_cli.cli.diagnosis import Finding, Patient
from aivax_cli.cli.doctor import CHECKS
from aivax_cli.core.errors import DefinitionError
from aivax_cli.core.types import Retrieval, RetrievalLimits
from aivax_cli.gateway.workspace import Workspace
from aivax_cli.retrieval import indexes, served
from aivax_cli.retrieval.chroma_server import ServedVectors, ServerAddress
from aivax_cli.retrieval.search import KnowledgeBase
from aivax_cli.wiring import vector_server

COUNT = 40
KEY = "ck-0123456789abcdefghij"
LIMITS = RetrievalLimits(top=5, min_score=0.0, reranker="none")
QUESTIONS = ["item7 of word0", "item30", "word3"]

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(autouse=True)
def _always_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "EXACT_LIMIT", -1)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "base",
        {f"docs/{n:02}.md": f"# Number {n}\n\nitem{n} of word{n % 7}\n" for n in range(COUNT)},
    )


@pytest.fixture
def own_chroma(tmp_path: Path) -> Iterator[ChromaProcess]:
    """A server of the test's own, which it may kill."""
    process = ChromaProcess(tmp_path / "server")
    process.start()
    yield process
    process.close()


@pytest.fixture
def fake(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a server that answers everything as the test wants, and the headers it was sent."""
    answer: Answer = request.param
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            seen.append(dict(self.headers))
            answer(self)

        do_GET = do_POST = do_PUT = do_DELETE = _any

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def answering(status: int, body: str, kind: str = "application/json", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = body.encode()
        handler.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def quick(url: str, **more: object) -> ServerAddress:
    return ServerAddress(url, search_wait_s=1.0, write_wait_s=1.0, **more)


def ask(base: Path, server: ServerAddress, index: str = "auto") -> Retrieval:
    knowledge = KnowledgeBase(base / ".aivax", HashEmbedder(), vector_index=index, server=server)
    found = knowledge.search(["kb"], QUESTIONS, LIMITS)
    knowledge.close()
    return found


def warning(base: Path, server: ServerAddress) -> str:
    """The line that a search is told, having found what a scan finds."""
    found = ask(base, server)
    assert found.passages == ask(base, server, "exact").passages
    assert len(found.passages) == LIMITS.top
    (problem,) = found.problems
    assert "\n" not in problem
    assert len(problem) < 300
    return problem


def index_warning(base: Path, server: ServerAddress) -> str:
    """The line that an ingest is told, having stored everything else."""
    summary = run_ingest(base, server=server)
    assert (summary.documents, summary.failed) == (COUNT, ())
    (told,) = [notice.reason for notice in summary.warnings if "vector index" in notice.reason]
    assert "everything is in the catalogue, and the next ingest goes on" in told
    assert "\n" not in told
    return told


WRONG = {
    "html": (answering(200, "<html><b>Welcome</b></html>", "text/html"), "is it a Chroma server?"),
    "other json": (answering(200, '["no", "collection"]'), "is it a Chroma server?"),
    "not found in html": (answering(404, "<html>", "text/html"), "answers HTTP 404: is it a Chroma server?"),
    "redirect": (answering(302, "", Location="http://127.0.0.1:9/"), "answers HTTP 302"),
    "server error": (answering(500, "Traceback:\n  line 1\n" * 50, "text/plain"), "answers HTTP 500"),
    "refused": (answering(403, json.dumps({"error": "AuthError", "message": f"no {KEY}"})), "access refused"),
    "quota": (
        answering(422, json.dumps({"error": "InvalidArgumentError", "message": f"Quota\nof {KEY} exceeded"})),
        "Quota of *** exceeded",
    ),
}


@pytest.mark.parametrize(("fake", "told"), WRONG.values(), ids=WRONG.keys(), indirect=["fake"])
def test_what_is_no_chroma_or_refuses_is_told_in_a_line_without_the_key(base, chroma, fake, told):
    url, seen = fake
    run_ingest(base, server=ServerAddress(chroma.url))
    wrong = ServerAddress(url, token=KEY, token_source="CHROMA_API_KEY")
    problem = warning(base, wrong)
    assert told in problem
    assert url in problem
    assert KEY not in problem
    assert KEY not in (at_ingest := index_warning(base, wrong))
    assert told in at_ingest
    assert {headers["x-chroma-token"] for headers in seen} == {KEY}
    assert KEY not in repr(wrong)


@pytest.mark.parametrize("fake", [answering(401, "Unauthorized", "text/plain")], indirect=True)
def test_a_refusal_names_the_variable_or_that_no_key_was_sent(base, chroma, fake):
    run_ingest(base, server=ServerAddress(chroma.url))
    told = warning(base, ServerAddress(fake[0], token=KEY, token_source="CHROMA_API_KEY"))
    assert "access refused (HTTP 401; the key in CHROMA_API_KEY)" in told
    assert "no key is sent: set api_key_env" in warning(base, ServerAddress(fake[0]))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"tenant": "no-such-tenant"}, "Tenant [no-such-tenant] not found"),
        ({"database": "no-such-database"}, "Database [no-such-database] not found"),
    ],
)
def test_a_wrong_tenant_or_database_is_named(base, chroma, place, told):
    run_ingest(base, server=ServerAddress(chroma.url))
    wrong = ServerAddress(chroma.url, **place)
    assert told in warning(base, wrong)
    assert told in index_warning(base, wrong)


def test_a_database_of_ones_own_is_used(base, chroma):
    import httpx

    httpx.post(f"{chroma.url}/api/v2/tenants", json={"name": "acme"}, timeout=PATIENT_S, trust_env=False)
    databases = f"{chroma.url}/api/v2/tenants/acme/databases"
    httpx.post(databases, json={"name": "handbook"}, timeout=PATIENT_S, trust_env=False)
    address = ServerAddress(chroma.url, "acme", "handbook")
    run_ingest(base, server=address)
    assert ask(base, address).problems == ()
    listed = httpx.get(f"{databases}/handbook/collections", timeout=PATIENT_S, trust_env=False).json()
    assert [each["name"].rpartition("-")[0] for each in listed] == ["aivax-kb"]


def test_an_address_that_nobody_listens_at_is_told_and_the_next_ingest_sends_everything(base, chroma):
    nobody = ServerAddress("http://127.0.0.1:9")
    assert "cannot be reached" in index_warning(base, nobody)
    assert "nothing there yet: aivax ingest FOLDER --collection kb" in warning(base, nobody)
    assert run_ingest(base, server=ServerAddress(chroma.url)).chunks_embedded == 0
    assert ask(base, ServerAddress(chroma.url)).problems == ()
    assert "cannot be reached" in warning(base, nobody)


def test_a_key_that_is_not_set_is_named_by_its_variable(base, chroma, monkeypatch):
    store = f"store: {{url: '{chroma.url}', api_key_env: CHROMA_TEST_KEY}}\n"
    workspace = Workspace(write_files(base, {"aivax.yaml": store}))
    run_ingest(base, server=ServerAddress(chroma.url))
    for environ, told in (
        ({}, "the environment variable CHROMA_TEST_KEY is not set"),
        ({"CHROMA_TEST_KEY": f"{KEY} {KEY}"}, "CHROMA_TEST_KEY holds what cannot be a key"),
    ):
        found = warning(base, vector_server(workspace, environ))
        assert told in found
        assert KEY not in found
    assert ask(base, vector_server(workspace, {"CHROMA_TEST_KEY": KEY})).problems == ()


@pytest.mark.parametrize("field", ["api_key_env", "api_key"])
def test_a_key_in_the_file_is_refused_and_not_repeated(base, field):
    workspace = Workspace(
        write_files(base, {"aivax.yaml": f"store:\n  url: http://host\n  {field}: {KEY}\n"})
    )
    with pytest.raises(DefinitionError, match=r"aivax\.yaml:3: store\.api_key") as refused:
        vector_server(workspace, {})
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("fake", [answering(200, '{"nanosecond heartbeat": 1}')], indirect=True)
def test_doctor_asks_the_server_and_sends_no_key(base, fake):
    url, seen = fake
    write_files(base, {"aivax.yaml": f"store: {{url: '{url}', api_key_env: CHROMA_TEST_KEY}}\n"})
    (finding,) = store_findings(base, {"CHROMA_TEST_KEY": KEY})
    assert (finding.status, url in finding.detail) == ("ok", True)
    assert not [headers for headers in seen if KEY in str(headers)]
    write_files(base, {"aivax.yaml": "store: {url: 'http://127.0.0.1:9', api_key_env: CHROMA_TEST_KEY}\n"})
    unset, down = store_findings(base, {})
    assert "CHROMA_TEST_KEY is not set" in unset.detail
    assert "cannot be reached" in down.detail
    assert {unset.status, down.status} == {"warning"}
    (unasked,) = store_findings(base, {"CHROMA_TEST_KEY": KEY}, offline=True)
    assert "not asked, because AIVAX_OFFLINE is set" in unasked.detail


def store_findings(base: Path, environ: dict[str, str], *, offline: bool = False) -> list[Finding]:
    patient = Patient(base, environ, base, offline, verify=False, workspace=Workspace(base), targets=())
    return list(CHECKS["store"](patient))


def test_a_server_that_does_not_answer_is_waited_for_once_and_not_for_long(base, own_chroma):
    run_ingest(base, server=ServerAddress(own_chroma.url))
    wait_s = 4.0  # while the server is well, it has to answer in this time however busy the machine is
    address = ServerAddress(own_chroma.url, search_wait_s=wait_s)
    knowledge = KnowledgeBase(base / ".aivax", HashEmbedder(), server=address)
    assert knowledge.search(["kb"], QUESTIONS, LIMITS).problems == ()
    own_chroma.pause()
    took = []
    for _ in range(5):
        begun = time.monotonic()
        (problem,) = knowledge.search(["kb"], QUESTIONS, LIMITS).problems
        took.append(time.monotonic() - begun)
        assert "no answer within 4 s" in problem
    assert min(took[1:]) < wait_s
    assert "no answer within 1 s" in index_warning(base, quick(own_chroma.url))
    own_chroma.resume()
    knowledge.close()
    assert run_ingest(base, server=ServerAddress(own_chroma.url)).chunks_embedded == 0
    assert ask(base, ServerAddress(own_chroma.url)).problems == ()


# Killed


def assert_served(base: Path, server: ServerAddress) -> None:
    found = ask(base, server)
    assert found == ask(base, server, "exact")


def test_a_server_that_dies_while_it_is_written_is_gone_on_with(base, own_chroma, monkeypatch):
    monkeypatch.setattr(served, "SERVER_BATCH_ROWS", 4)
    monkeypatch.setattr(served, "NOTED_ROWS", 8)
    address = ServerAddress(own_chroma.url)
    upsert, batches = ServedVectors.upsert, []

    def dying(self: ServedVectors, ids: object, vectors: object) -> None:
        batches.append(ids)
        if len(batches) == 5:
            own_chroma.kill()
        upsert(self, ids, vectors)

    with monkeypatch.context() as patched:
        patched.setattr(ServedVectors, "upsert", dying)
        index_warning(base, address)
    assert "cannot be reached" in warning(base, address)
    own_chroma.start()
    assert_served(base, address)  # half of it from the server, the rest by scan
    assert [notice for notice in run_ingest(base, server=address).warnings if "index" in notice.reason] == []
    assert_served(base, address)
