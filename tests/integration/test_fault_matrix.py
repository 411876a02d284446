"""Every fault of an endpoint at every stage of a turn, through the real program: how the turn ends, what is
said of it in one line, and what is in the ledger.

Read the tables `STAGES` and `WORDS`; the rest only carries them out.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

import pytest
from msgspec.structs import replace as changed
from support.command_line import Done
from support.embedding_server import embeddings
from support.faults import CLOSED, FAULTS, KEY
from support.in_process import aivax_here
from support.knowledge import write_files
from support.patience import PATIENT_S
from support.upstream import Answer, Request, Script, Upstream, calls_tool, json_answer, says
from support.workspaces import write_gateway

from aivax_cli.model.retry import RetryPolicy

TEXT = "Cats sleep twelve hours."

ROUTING = ("inference.resolving.routing_complexity.in", "inference.resolving.routing_complexity.out")
REWRITING = ("inference.resolving.query_rewrite.in", "inference.resolving.query_rewrite.out")
EMBEDDING = ("rag.embedding.query",)
RERANKING = ("rag.reranking.in", "rag.reranking.out")
ANSWERING = ("inference.chat_completions.in", "inference.chat_completions.out")
STRUCTURING = ("inference.functions.json.in", "inference.functions.json.out")

TOOL = (
    "tools: [{name: look_up, description: Looks up., url: $tool, timeout_s: $tool_wait,"
    " api_key_env: MATRIX_KEY}]\n"
)
SEARCH = "knowledge: {collections: [$collection], min_score: 0"
RERANK = "reranker: smart, rerank: {model: $reranker, kind: KIND, timeout_s: $reranker_wait}}\n"


@dataclass(frozen=True)
class Stage:
    """Where a fault strikes, and what becomes of the turn.

    `fails` is whose answers are spoilt, and `sends` what they are. `line` is how the line begins that says
    so, `half` the same for half an answer. `before` are the charges until then, `own` those of the spoilt
    call, `after` those of what follows. The turn ends there, with 1, unless it `goes_on`. A `timed` stage has
    a time for its whole call; a call that is given up then is out, and charged for what was sent. `model`
    answers, so many `times` if need be.
    """

    gateway: str
    fails: str
    line: str
    half: str = ""
    before: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    sends: str = "a stream"
    goes_on: bool = False
    timed: bool = False
    model: str = "answerer"
    times: int = 1


STAGES = {
    "route": Stage(
        "routing: {router: $router, high: $answerer, timeout_s: $router_wait}\n",
        fails="router",
        goes_on=True,
        timed=True,
        line="warning: routed as medium to answerer: ",
        own=ROUTING,
        after=ANSWERING,
    ),
    "rewrite": Stage(
        SEARCH + ", strategy: UserRewrite}\nrewrite: {models: [$rewriter], timeout_s: $rewriter_wait}\n",
        fails="rewriter",
        goes_on=True,
        timed=True,
        line="warning: searched with the question itself: ",
        own=REWRITING,
        after=EMBEDDING + ANSWERING,
    ),
    "embedding": Stage(
        SEARCH + ", strategy: UserRewrite}\nrewrite: {models: [$rewriter]}\n",
        fails="embedder",
        sends="one piece",
        line="error: the question could not be embedded: ",
        before=REWRITING,
        own=EMBEDDING,
        after=ANSWERING,
    ),
    "embedding in a tool round": Stage(
        SEARCH + ", strategy: QueryFunction}\n",
        fails="embedder",
        sends="one piece",
        line="error: the question could not be embedded: ",
        before=ANSWERING,
        own=EMBEDDING,
        after=ANSWERING,
        model="searcher",
    ),
    "rerank by a chat model": Stage(
        f"{SEARCH}, {RERANK}".replace("KIND", "chat"),
        fails="reranker",
        goes_on=True,
        timed=True,
        line="warning: rerank",
        before=EMBEDDING,
        own=RERANKING,
        after=ANSWERING,
    ),
    "rerank by an endpoint": Stage(
        f"{SEARCH}, {RERANK}".replace("KIND", "endpoint"),
        fails="reranker",
        sends="one piece",
        goes_on=True,
        timed=True,
        line="warning: rerank",
        before=EMBEDDING,
        own=RERANKING[:1],
        after=ANSWERING,
    ),
    "answer": Stage(
        "routing: {router: $router, low: $router}\n",
        fails="answerer",
        line="error: ",
        half="warning: the answer is incomplete: ",
        before=ROUTING,
        own=ANSWERING,
    ),
    "tool": Stage(
        TOOL,
        fails="tool",
        sends="a tool's text",
        goes_on=True,
        line="warning: look_up ",
        before=ANSWERING,
        after=ANSWERING,
        model="caller",
    ),
    "tool round": Stage(
        TOOL,
        fails="caller after a tool",
        line="error: ",
        half="warning: the answer is incomplete: ",
        before=ANSWERING,
        own=ANSWERING,
        model="caller",
    ),
    "structured attempt": Stage(
        "response_schema: 'name'\nmax_attempts: 2\n",
        fails="structurer",
        line="error: ",
        half="error: no answer held to the response schema in 2 attempts: it broke off: ",
        own=STRUCTURING,
        model="structurer",
        times=2,
    ),
}

NOTHING, HALF, ALL = "nothing", "half", "all"
NO_WHOLE = "closed the connection without an answer"
LOST = "could not be reached: the connection was lost"

WORDS = {
    # What has come of a stream, what is then said of the stream, of an answer in one piece, and of a tool:
    # None where the model is simply given what the tool sent.
    "silence": (NOTHING, "sent nothing for 1 s", "sent nothing for 1 s", "did not answer within 1 s"),
    "connection refused": (NOTHING, "connection refused", "connection refused", "no connection"),
    "reset before the answer": (NOTHING, NO_WHOLE, NO_WHOLE, LOST),
    "reset in the middle": (HALF, "the connection was lost in the middle", NO_WHOLE, LOST),
    "silence in the middle": (HALF, "sent nothing for 1 s", "sent nothing for 1 s", "did not answer"),
    "400": (NOTHING, "(HTTP 400): no such parameter", "(HTTP 400): no such parameter", "(HTTP 400)"),
    "401": (NOTHING, "refused the API key of MATRIX_KEY", "refused the API key of MATRIX_KEY", "(HTTP 401)"),
    "404": (NOTHING, "does not know the model", "does not know the model", "(HTTP 404)"),
    "429 with Retry-After": (NOTHING, "wait 120 s", "wait 120 s", "(HTTP 429)"),
    "429": (NOTHING, "(HTTP 429): slow down", "(HTTP 429): slow down", "(HTTP 429)"),
    "500": (NOTHING, "(HTTP 500): boom", "(HTTP 500): boom", "(HTTP 500)"),
    "503": (NOTHING, "(HTTP 503): maintenance", "(HTTP 503): maintenance", "(HTTP 503)"),
    "HTML": (NOTHING, "a web page (HTML)", "a web page (HTML)", None),
    "truncated JSON": (NOTHING, "broken JSON", "broken JSON", None),
    "empty choices": (NOTHING, "JSON without any choices", "answered with", None),
    "error object": (HALF, "reports an error: overloaded", "reports an error: overloaded", None),
    "no end": (HALF, "without a finish reason or an end marker", NO_WHOLE, LOST),
    "no usage": (ALL, None, None, None),
    "10 MB line": (NOTHING, "more than 8 MiB", "broken JSON", None),
}


def _scores(request: Request) -> Answer:
    scores = [{"index": place, "relevance_score": place} for place in range(len(request.body["documents"]))]
    return json_answer({"results": scores, "usage": {"total_tokens": 9}})


def _order(request: Request) -> Answer:
    return _scores(request) if request.path.endswith("/rerank") else says("[2, 1, 3]")


GOOD: dict[str, Script] = {
    "router": says("high"),
    "rewriter": says("cats asleep"),
    "embedder": embeddings(),
    "reranker": _order,
    "answerer": says(TEXT),
    "caller": calls_tool("look_up", {}),
    "searcher": calls_tool("search_knowledge", {"search_terms": ["cats"]}),
    "searcher after a tool": says(TEXT),
    "tool": json_answer({"found": "twelve hours"}),
    "caller after a tool": says(TEXT),
    "structurer": says('{"name": "Ana Maria"}'),
}
"""What everybody says who does not fail."""

LOCATED = tuple(name for name in GOOD if " " not in name)
"""Who has an address."""


def _asked(request: Request) -> str:
    """Who is asked."""
    if request.path.endswith("/tool"):
        return "tool"
    turns = request.body.get("messages", ())
    again = any(turn["role"] == "tool" for turn in turns)
    return request.body["model"] + (" after a tool" if again else "")


@dataclass
class World:
    """A workspace whose models are all behind one server. The server of the collection `gone` is not there
    any more."""

    root: Path
    upstream: Upstream
    stack: ExitStack

    def collection(self, name: str, url: str, wait_s: float = PATIENT_S) -> None:
        model = f"{{base_url: {url}, name: embedder, api_key_env: MATRIX_KEY}}"
        text = f"embedder: {{model: {model}, price: 1, timeout_s: {wait_s}}}\n"
        write_files(self.root, {f"collections/{name}.yaml": text})

    def gateway(self, stage: Stage, fault: str) -> None:
        """Writes the gateway `g` of a stage, and has the server spoil the stage's answers."""
        failing = stage.fails.split(" ")[0]
        refused = fault == "connection refused"
        urls = dict.fromkeys(LOCATED, self.upstream.url)
        if refused:
            urls[failing] = self._leaving() if stage.fails != failing else CLOSED
        # Only who falls silent is not waited for, so that a busy machine is no fault.
        waits = dict.fromkeys(LOCATED, PATIENT_S) | ({failing: 1.0} if fault.startswith("silence") else {})
        given = {name: _model(name, url) for name, url in urls.items()}
        given |= {f"{name}_wait": str(wait_s) for name, wait_s in waits.items()}
        given |= {
            "tool": f"{urls['tool']}/tool",
            "collection": "gone" if refused and failing == "embedder" else "kb",
        }
        more = Template(f"{stage.gateway}timeout_s: ${stage.model}_wait\n").substitute(given)
        write_gateway(self.root, "g", given[stage.model], more=more)
        self.collection("kb", self.upstream.url, waits["embedder"])
        self.upstream.answers(lambda request: _spoilt(request, stage, fault))

    def _leaving(self) -> str:
        """The address of a server that calls a tool and is gone then."""
        server = self.stack.enter_context(Upstream())

        def answer(request: Request) -> Answer:
            server.stop_listening()
            good = calls_tool("look_up", {})
            return replace(good, headers={**good.headers, "connection": "close"})

        server.answers(answer)
        return server.url

    def ask(self) -> Done:
        return aivax_here("complete", "g", "Do cats sleep?", cwd=self.root)

    def charged(self) -> list[str]:
        path = self.root / ".aivax" / "ledger.db"
        if not path.exists():
            return []
        with sqlite3.connect(path) as db:
            return [sku for (sku,) in db.execute("SELECT sku FROM charges ORDER BY id")]


def _model(name: str, url: str) -> str:
    price = "pricing: {input: 1, output: 2}"
    return f"{{base_url: {url}, name: {name}, api_key_env: MATRIX_KEY, {price}}}"


def _spoilt(request: Request, stage: Stage, fault: str) -> Answer:
    who = _asked(request)
    script = GOOD[who]
    good = script if isinstance(script, Answer) else script(request)
    spoil = FAULTS[fault].stream if stage.sends == "a stream" else FAULTS[fault].whole
    return spoil(good) if spoil and who == stage.fails else good


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The workspace that every test has a copy of."""
    root = tmp_path_factory.mktemp("matrix")
    (root / "gateways").mkdir()
    write_files(root, {f"docs/{name}.md": f"{name} sleep." for name in ("Cats", "Dogs", "Bats")})
    with pytest.MonkeyPatch.context() as patch, Upstream(embeddings()) as upstream, ExitStack() as stack:
        patch.setenv("MATRIX_KEY", KEY)
        world = World(root, upstream, stack)
        with Upstream(embeddings()) as leaving:
            for name, url in (("kb", upstream.url), ("gone", leaving.url)):
                world.collection(name, url)
                assert aivax_here("ingest", "docs", "-c", name, cwd=root).code == 0
        (root / ".aivax" / "ledger.db").unlink()
        yield world


@pytest.fixture
def world(filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A workspace of its own, in which nobody waits long before trying again."""
    monkeypatch.setenv("MATRIX_KEY", KEY)
    wait_s = RetryPolicy.wait_s

    def quick(policy: RetryPolicy, *args: Any, **more: Any) -> float | None:
        return wait_s(changed(policy, wait_initial_s=0.01, wait_jitter_s=0), *args, **more)

    monkeypatch.setattr(RetryPolicy, "wait_s", quick)
    shutil.copytree(filled.root, tmp_path / "w")
    with ExitStack() as stack:
        yield replace(filled, root=tmp_path / "w", stack=stack)


def _expected_words(stage: Stage, fault: str) -> str | None:
    _, stream, piece, tool = WORDS[fault]
    if fault.startswith("silence") and stage.timed:
        return "took longer than 1 s"
    return {"a stream": stream, "one piece": piece, "a tool's text": tool}[stage.sends]


def _came(stage: Stage, fault: str) -> str:
    """How much of the spoilt answer is of use: of one in one piece all or nothing."""
    came = WORDS[fault][0]
    return came if stage.sends == "a stream" or came == ALL else NOTHING


def _expected_charges(stage: Stage, fault: str) -> list[str]:
    came, goes_on = _came(stage, fault), stage.goes_on or _came(stage, fault) == ALL
    own: tuple[str, ...] = ()
    if came == ALL:
        own = stage.own
    elif came == HALF:
        own = stage.own * stage.times
    elif stage.timed and fault.startswith("silence"):
        own = stage.own[:1]  # it was sent, and nothing came of it
    return [*stage.before, *own, *(stage.after if goes_on else ())]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", STAGES)
def test_a_fault_ends_in_one_line_and_costs_what_was_spent(world: World, place: str, fault: str) -> None:
    stage = STAGES[place]
    world.gateway(stage, fault)
    began = time.monotonic()
    done = world.ask()
    assert time.monotonic() - began < 100  # nothing has its default wait of 120 seconds

    words, came = _expected_words(stage, fault), _came(stage, fault)
    told = [line for line in done.err.splitlines() if line.startswith(("warning: ", "error: "))]
    told = [line for line in told if "; attempt " not in line and not line.startswith("warning: answer ")]
    if words is None:
        assert told == []
    else:
        (line,) = told
        assert line.startswith(stage.half if came == HALF and stage.half else stage.line)
        assert words in line
    well = stage.goes_on or came == ALL
    assert done.code == (0 if well else 1)
    if place != "structured attempt":
        assert done.out == f"{TEXT}\n" if well else done.out in ("", "Cats \n")
    assert world.charged() == _expected_charges(stage, fault)
    assert KEY not in done.out + done.err
    assert "Traceback" not in done.err


def test_the_tables_name_every_fault() -> None:
    assert list(WORDS) == list(FAULTS)
