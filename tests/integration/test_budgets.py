"""Budgets through the program: what is refused before any call, and what several processes share."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.command_line import Done, aivax
from support.embedding_server import embeddings
from support.in_process import aivax_here
from support.knowledge import write_files
from support.patience import PATIENT_S, until
from support.upstream import Answer, Request, Upstream, calls_tool, json_answer, says
from support.workspaces import write_gateway

from aivax_cli.assets.store import default_cache_dir

TABLES = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}
DOLLAR_A_TOKEN = "pricing: {input: 1000000, output: 1000000}\n"
TEN_OUT = "parameters: {max_completion_tokens: 10}\n"
"""Ten dollars of output; "hi" and its message are eight of input."""


class Place:
    """A workspace with one gateway that calls a scripted endpoint."""

    def __init__(self, root: Path, upstream: Upstream) -> None:
        self.root = root
        self.upstream = upstream

    def gateway(self, budget: str, more: str = DOLLAR_A_TOKEN + TEN_OUT) -> None:
        model = f"{{base_url: {self.upstream.url}, name: m}}"
        write_gateway(self.root, "g", model, more=f"budget: {{{budget}}}\n{more}")

    def complete(self, *arguments: str) -> Done:
        return aivax_here("complete", "g", "hi", *arguments, cwd=self.root)

    def complete_apart(self, *arguments: str) -> Done:
        """In a process of its own."""
        return aivax("complete", "g", "hi", *arguments, cwd=self.root, home=self.root, env=TABLES, stdin="")

    def usage(self) -> Done:
        return aivax_here("usage", "--json", cwd=self.root)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Upstream(says("Paris.", prompt=5)) as upstream:
        yield Place(tmp_path, upstream)


def test_a_call_within_the_budget_is_made(place: Place) -> None:
    place.gateway("usd_per_request: 18, usd_per_day: 18")
    done = place.complete()
    assert (done.code, done.out) == (0, "Paris.\n"), done.err


def test_a_call_that_might_cost_more_is_not_made(place: Place) -> None:
    place.gateway("usd_per_request: 17.99")
    done = place.complete()
    assert (done.code, done.out, place.upstream.requests) == (1, "", [])
    assert done.err == (
        "error: this call of m may cost $18.00 (8 tokens in, up to 10 out), and the budget of this request,"
        " $17.99, has $17.99 left; --set parameters.max_completion_tokens=9, or --set"
        " budget.usd_per_request=18.00\n"
    )


def two_models(place: Place, cheap_usd_per_mtok: int) -> None:
    """A gateway with a dollar's budget: a model that costs a dollar a token, then a cheaper one."""
    url, cheap = place.upstream.url, cheap_usd_per_mtok
    models = (
        f"[{{base_url: {url}, name: dear, pricing: {{input: 1000000, output: 1000000}}}},"
        f" {{base_url: {url}, name: cheap, pricing: {{input: {cheap}, output: {cheap}}}}}]"
    )
    write_gateway(place.root, "g", models, more=f"budget: {{usd_per_request: 1}}\n{TEN_OUT}")


def test_a_model_that_the_budget_has_no_room_for_gives_way_to_a_cheaper_one(place: Place) -> None:
    two_models(place, 50_000)
    done = place.complete("--json")
    assert [body["model"] for body in place.upstream.bodies] == ["cheap"]
    (fallback,) = done.json["fallbacks"]
    assert (fallback["model"], fallback["next_model"]) == ("dear", "cheap")
    assert "may cost $18.00" in fallback["reason"]


def test_when_the_budget_has_room_for_none_of_the_models_none_is_called(place: Place) -> None:
    two_models(place, 100_000)
    done = place.complete()
    assert (done.code, done.out, place.upstream.requests) == (1, "", [])
    assert "warning: dear failed: this call of dear may cost $18.00" in done.err
    assert "error: this call of cheap may cost $1.80" in done.err


def test_the_fixes_that_an_error_names_work(place: Place) -> None:
    place.gateway("usd_per_request: 17.99")
    assert place.complete("--set", "parameters.max_completion_tokens=9").code == 0
    assert place.complete("--set", "budget.usd_per_request=18.00").code == 0


def test_without_a_limit_of_the_answer_a_long_one_is_assumed(place: Place) -> None:
    place.gateway("usd_per_request: 100", DOLLAR_A_TOKEN)
    done = place.complete()
    assert place.upstream.requests == []
    assert "up to 16,384 out: max_completion_tokens is not set" in done.err


def test_what_the_day_has_cost_counts(place: Place) -> None:
    """An answer costs six dollars, and before each there must be room for eighteen."""
    place.gateway("usd_per_day: 24")
    codes = [place.complete().code for _ in range(3)]
    assert codes == [0, 0, 1]
    assert len(place.upstream.requests) == 2
    done = place.complete()
    assert "the budget of today (UTC), $24.00, has $12.00 left" in done.err
    assert "--set budget.usd_per_day=30.00" in done.err


def test_another_gateways_spending_does_not_count(place: Place) -> None:
    place.gateway("usd_per_day: 18")
    write_gateway(
        place.root, "other", f"{{base_url: {place.upstream.url}, name: m}}", number=2, more=DOLLAR_A_TOKEN
    )
    assert aivax_here("complete", "other", "hi", cwd=place.root).code == 0
    assert place.complete().code == 0


def test_a_free_model_passes_whatever_has_been_spent(place: Place) -> None:
    place.gateway("usd_per_request: 0, usd_per_day: 0", "")
    done = place.complete()
    assert (done.code, done.out) == (0, "Paris.\n"), done.err


def test_an_unpriced_model_is_refused_before_any_call(place: Place) -> None:
    settings = f"providers:\n  shop: {{base_url: {place.upstream.url}, free: false}}\n"
    (place.root / "aivax.yaml").write_text(settings, encoding="utf-8")
    write_gateway(place.root, "g", '"@shop/m"', more="budget: {usd_per_day: 1}\n")
    done = place.complete()
    assert (done.code, place.upstream.requests) == (1, [])
    assert done.err == (
        "error: nobody has said what @shop/m costs, and the gateway has a budget; give its price in USD per"
        ' million tokens: prices: {"@shop/m": {input: …, output: …}} in aivax.yaml\n'
    )
    prices = 'prices: {"@shop/m": {input: 1, output: 1}}\n'
    (place.root / "aivax.yaml").write_text(settings + prices, encoding="utf-8")
    assert place.complete().code == 0


def test_a_ledger_that_cannot_be_read_refuses_with_a_budget_of_the_day(place: Place) -> None:
    (place.root / ".aivax").mkdir()
    (place.root / ".aivax" / "ledger.db").write_bytes(b"no database at all" * 100)
    place.gateway("usd_per_day: 1000")
    done = place.complete()
    assert (done.code, place.upstream.requests) == (1, [])
    assert "the budget of the day cannot be checked: " in done.err
    assert "the ledger is damaged" in done.err
    assert len(done.err.splitlines()) == 1
    place.gateway("usd_per_request: 1000")
    assert place.complete().code == 0


def test_what_is_replayed_takes_nothing_of_the_day(place: Place) -> None:
    place.gateway("usd_per_day: 18")
    write_files(
        place.root, {"checks/t.yaml": "gateway: g\ntests: [{id: a, input: hi, expect: [contains: P]}]\n"}
    )
    recorded = aivax_here("check", "--record", cwd=place.root)
    assert recorded.code == 0, recorded.out
    assert place.complete().code == 1
    assert aivax_here("check", "--replay", cwd=place.root).code == 0


def holding(event: threading.Event) -> Callable[[Request], Answer]:
    """Answers once the event is set."""

    def answer(request: Request) -> Answer:
        event.wait(2 * PATIENT_S)
        return says("Paris.", prompt=5)

    return answer


def wait_for_request(upstream: Upstream, count: int = 1) -> None:
    until(lambda: len(upstream.requests) >= count)


def test_a_call_under_way_takes_its_room_from_other_processes(place: Place) -> None:
    go_on = threading.Event()
    place.upstream.answers(holding(go_on), says("Paris.", prompt=5))
    place.gateway("usd_per_day: 24")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(place.complete_apart)
        wait_for_request(place.upstream)
        second = place.complete()
        usage = place.usage()
        go_on.set()
        assert first.result().code == 0
    assert second.code == 1
    assert "the budget of today (UTC), $24.00, has $6.00 left" in second.err
    assert usage.json["total"]["tokens"] == 0
    # The six dollars that it came to are spent, the other twelve are free again.
    assert place.complete().code == 0


def test_of_many_processes_at_once_only_as_many_pass_as_there_is_room_for(place: Place) -> None:
    go_on = threading.Event()
    place.upstream.answers(holding(go_on))
    place.gateway("usd_per_day: 36")
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(place.complete_apart) for _ in range(4)]
        until(lambda: sum(each.done() for each in running) >= 2)
        go_on.set()
        codes = sorted(each.result().code for each in running)
    assert codes == [0, 0, 1, 1]
    assert len(place.upstream.requests) == 2


def test_what_a_killed_process_had_reserved_is_free_again(place: Place) -> None:
    place.upstream.answers(holding(threading.Event()), says("Paris.", prompt=5))
    place.gateway("usd_per_day: 18")
    environ = {**os.environ, "HOME": str(place.root), **TABLES}
    asking = [sys.executable, "-m", "aivax_cli", "complete", "g", "hi"]
    process = subprocess.Popen(asking, cwd=place.root, env=environ, stdin=subprocess.DEVNULL)
    wait_for_request(place.upstream)
    assert place.complete().code == 1
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENT_S)
    assert place.complete().code == 0


def test_what_an_interrupted_call_had_reserved_is_free_again(place: Place) -> None:
    """The stopped call is charged by estimate: eight tokens in."""
    place.upstream.answers(holding(threading.Event()), says("Paris.", prompt=5))
    place.gateway("usd_per_day: 26")
    environ = {**os.environ, "HOME": str(place.root), **TABLES}
    asking = [sys.executable, "-m", "aivax_cli", "complete", "g", "hi"]
    process = subprocess.Popen(asking, cwd=place.root, env=environ, stdin=subprocess.DEVNULL)
    wait_for_request(place.upstream)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENT_S) == 130
    done = place.complete()
    assert done.code == 0, done.err


# The other calls of a turn, over a collection whose embedder is an endpoint.


def scripted(request: Request) -> Answer:
    """Embeds, rescores, rewrites and answers, by what is asked."""
    if request.path.endswith("/embeddings"):
        return embeddings()(request)
    if request.path.endswith("/rerank"):
        places = range(len(request.body["documents"]))
        return json_answer({"results": [{"index": place, "relevance_score": 1 - place} for place in places]})
    return says("cats sleeping" if request.body["model"] == "small" else "Twelve.", prompt=5)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Place]:
    """Collection `kb`, whose embedder costs a dollar a token."""
    files = {"docs/cats.md": "Cats sleep twelve hours a day.", "docs/dogs.md": "Dogs sleep ten hours a day."}
    with Upstream(scripted) as upstream:
        collection = (
            f"embedder: {{model: {{base_url: {upstream.url}, name: e}}, price: 1000000, dimensions: 32}}\n"
        )
        write_files(tmp_path, {**files, "collections/kb.yaml": collection})
        (tmp_path / "gateways").mkdir()
        made = aivax_here("ingest", "docs", "-c", "kb", cwd=tmp_path)
        assert made.code == 0, made.err
        upstream.requests.clear()
        yield Place(tmp_path, upstream)


def asked(place: Place) -> list[str]:
    """What was called: a path's last part, or a chat model's name."""
    chats = (request.body["model"] for request in place.upstream.requests)
    last = (request.path.rpartition("/")[2] for request in place.upstream.requests)
    return [model if path == "completions" else path for model, path in zip(chats, last, strict=True)]


def knowing(place: Place, more: str = "", strategy: str = "Plain") -> str:
    knowledge = f"knowledge: {{collections: [kb], strategy: {strategy}, min_score: 0{more}}}\n"
    small = f"{{base_url: {place.upstream.url}, name: small, pricing: {{input: 1000000, output: 1000000}}}}"
    return knowledge + f"rewrite: {{models: [{small}]}}\n"


def test_embedding_the_question_is_checked(library: Place) -> None:
    library.gateway("usd_per_request: 0.5", knowing(library))
    done = library.complete()
    assert (done.code, asked(library)) == (1, [])
    assert "this call of e may cost $1.00 (1 tokens in), and the budget of this request" in done.err
    library.gateway("usd_per_request: 1", knowing(library))
    assert library.complete().code == 0
    assert asked(library) == ["embeddings", "m"]


def test_rewriting_is_checked_and_nothing_stands_in_for_it(library: Place) -> None:
    library.gateway("usd_per_request: 100", knowing(library, strategy="FullRewrite"))
    done = library.complete()
    assert (done.code, asked(library)) == (1, [])
    assert "this call of small may cost" in done.err
    assert "max_completion_tokens" not in done.err


@pytest.mark.parametrize("kind", ["chat", "endpoint"])
def test_reranking_is_checked_and_nothing_stands_in_for_it(library: Place, kind: str) -> None:
    price = "pricing: {input: 1000000, output: 1000000}"
    judge = f"{{model: {{base_url: {library.upstream.url}, name: judge}}, kind: {kind}, {price}}}"
    library.gateway("usd_per_request: 5", knowing(library, f", reranker: smart, rerank: {judge}"))
    done = library.complete()
    assert (done.code, asked(library)) == (1, ["embeddings"])
    assert "this call of judge may cost" in done.err


def test_what_a_request_has_cost_so_far_counts(library: Place) -> None:
    """Embedding takes one dollar; there is room for the answer, but not beside it."""
    library.gateway("usd_per_request: 400", knowing(library) + DOLLAR_A_TOKEN + TEN_OUT)
    done = library.complete("--json")
    assert done.code == 0, done.err
    sent = int(library.complete("--set", "budget.usd_per_request=2").err.split("(")[1].split()[0])
    library.gateway(f"usd_per_request: {sent + 10}.5", knowing(library) + DOLLAR_A_TOKEN + TEN_OUT)
    refused = library.complete()
    assert refused.code == 1
    assert f"has ${sent + 9}.50 left" in refused.err


def test_routing_is_checked(place: Place) -> None:
    judge = f"{{base_url: {place.upstream.url}, name: judge, pricing: {{input: 0, output: 1000000}}}}"
    place.gateway("usd_per_request: 20", f"routing: {{router: {judge}, low: '@ollama/x'}}\n")
    done = place.complete()
    assert (done.code, place.upstream.requests) == (1, [])
    assert "this call of judge may cost" in done.err


def looping(request: Request) -> Answer:
    """A tool, and a model that calls it for ever; without tools it answers what no schema allows."""
    if request.path.endswith("/tool"):
        return json_answer({"said": "again"})
    return calls_tool("tool", {}) if "tools" in request.body else says("nothing", prompt=5)


@pytest.mark.parametrize("kind", ["tools", "structured"])
def test_every_further_call_of_a_turn_is_checked(place: Place, kind: str) -> None:
    place.upstream.answers(looping)
    tool = f"tools: [{{name: tool, description: D., url: '{place.upstream.url}/tool'}}]\n"
    more = {"tools": tool, "structured": "response_schema: name\n"}[kind]
    place.gateway("usd_per_request: 0.01", DOLLAR_A_TOKEN + TEN_OUT + more)
    first = place.complete()
    worst = first.err.split("may cost $")[1].split()[0]
    assert (first.code, place.upstream.requests) == (1, [])
    second = place.complete("--set", f"budget.usd_per_request={worst}")
    assert second.code == 1
    assert f"the budget of this request, ${worst}, has $" in second.err
    chats = [request for request in place.upstream.requests if request.path.endswith("/completions")]
    assert len(chats) == 1
    assert place.usage().json["total"]["tokens"] > 0
