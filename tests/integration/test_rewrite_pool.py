"""The rewrite pool over real endpoints: who is asked, in which order, and what is remembered of it.

Most turns run here with a library that finds nothing; the last tests are the program itself.
"""

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.command_line import aivax
from support.gateway_turns import turns_of
from support.in_process import aivax_here
from support.patience import PATIENT_S
from support.upstream import (
    Answer,
    Request,
    Upstream,
    chunk,
    hang_up,
    html,
    json_answer,
    reset,
    says,
    silence,
    sse,
    status,
)
from support.workspaces import write_gateway

from aivax_cli.assets.store import default_cache_dir
from aivax_cli.core.events import Event, FellBack, Rewritten, TurnResult, Warned
from aivax_cli.core.types import Trial
from aivax_cli.gateway.workspace import Workspace
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.price_book import GenaiPriceBook
from aivax_cli.usage.standings import LedgerPool
from aivax_cli.wiring import plan_turn

CACHE = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}
PRICES = {"cheap": 1, "dear": 2}
QUESTION = "What does it cost?"


class Shop:
    """A workspace whose gateway `g` has a pool; a script for each model's name."""

    def __init__(self, root: Path, upstream: Upstream, scripts: dict[str, Answer]) -> None:
        self.root = root
        self.upstream = upstream
        self.scripts = scripts
        self.ledger = root / ".aivax" / "ledger.db"
        self.chance = 1.0
        self.gateway("dear", "cheap")

    def gateway(self, *names: str, timeout_s: float = PATIENT_S) -> None:
        models = [
            f"{{base_url: {self.upstream.url}, name: {name},"
            f" pricing: {{input: {PRICES.get(name, 1)}, output: {PRICES.get(name, 1)}}}}}"
            for name in names
        ]
        search = "knowledge: {collections: [shop], strategy: UserRewrite, min_score: 0}\n"
        pool = f"rewrite: {{timeout_s: {timeout_s}, models: [{', '.join(models)}]}}\n"
        write_gateway(self.root, "g", f"{{base_url: {self.upstream.url}, name: big}}", more=search + pool)

    def turns(self, count: int = 1) -> tuple[list[TurnResult], list[Event]]:
        """The results of so many turns of one process, and everything they told."""
        turns = turns_of(self.root, QUESTION, count=count, chance=lambda: self.chance)
        return turns.results, turns.told

    def remember(self, **seconds: float) -> None:
        """A trial of each model, of that duration."""
        pool = LedgerPool(LedgerFile(self.ledger), GenaiPriceBook())
        workspace = Workspace(self.root)
        for target in plan_turn(workspace.load("g"), workspace).rewriters:
            pool.record(target, Trial(seconds[target.name]))
        pool.close()

    def pool(self) -> dict[str, Any]:
        record = aivax_here("models", "--pool", "g", "--json", cwd=self.root).json
        return {each["model"]: each for each in record["models"]}

    @property
    def asked(self) -> list[str]:
        return [body["model"] for body in self.upstream.bodies if body["model"] != "big"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    scripts: dict[str, Answer] = {}

    def answer(request: Request) -> Answer:
        name = request.body["model"]
        return scripts.get(name, says("Four euros." if name == "big" else f"terms of {name}"))

    with Upstream(answer) as upstream:
        yield Shop(tmp_path, upstream, scripts)


def test_the_cheapest_rewrites_and_how_long_it_took_is_remembered(shop: Shop) -> None:
    shop.turns(2)
    assert shop.asked == ["cheap", "cheap"]
    pool = shop.pool()
    assert list(pool) == ["cheap", "dear"]
    assert (pool["cheap"]["chosen"], pool["cheap"]["samples"]) == (True, 2)
    assert 0 <= pool["cheap"]["median_latency_s"] < PATIENT_S
    assert pool["cheap"]["rewrite_usd"] == 0.00033
    assert (pool["dear"]["chosen"], pool["dear"]["median_latency_s"]) == (False, None)


def test_of_equals_each_is_tried_once(shop: Shop) -> None:
    shop.gateway("one", "two")
    shop.turns(2)
    assert shop.asked == ["one", "two"]


def test_of_equals_the_quicker_one_rewrites_and_now_and_then_the_other(shop: Shop) -> None:
    shop.gateway("slow", "quick")
    shop.remember(slow=60.0, quick=0.1)
    shop.turns()
    assert shop.pool()["quick"]["chosen"]
    shop.chance = 0.0
    shop.turns()
    assert shop.asked == ["quick", "slow"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (status(503), "HTTP 503"),
        (status(429, retry_after=90), "HTTP 429"),
        (status(401), "wants an API key"),
        (status(404), "HTTP 404"),
        (hang_up(), "closed the connection"),
        (sse([chunk("half")], end=None), "without a finish reason"),
    ],
)
def test_a_model_that_fails_is_left_alone_and_the_next_rewrites(
    shop: Shop, failure: Answer, reason: str
) -> None:
    shop.scripts["cheap"] = failure
    (first, second), told = shop.turns(2)
    assert first.search_terms == second.search_terms == ("terms of dear",)
    (fallback,) = first.fallbacks
    assert (fallback.model, fallback.next_model) == ("cheap", "dear")
    assert reason in fallback.reason
    assert [event for event in told if isinstance(event, FellBack)] == [fallback]
    assert second.fallbacks == ()
    pool = shop.pool()
    assert (pool["dear"]["chosen"], pool["cheap"]["chosen"]) == (True, False)
    assert reason in pool["cheap"]["problem"]
    assert pool["cheap"]["benched_until"]


def test_what_a_broken_rewriting_cost_is_kept(shop: Shop) -> None:
    shop.scripts["cheap"] = sse([chunk("half")], end=None)
    (result,), _ = shop.turns()
    rewriting = [charge for charge in result.charges if ".query_rewrite." in charge.sku]
    assert [(charge.sku.rpartition(".")[2], charge.unit_price_usd) for charge in rewriting] == [
        ("in", Decimal("0.000001")),
        ("out", Decimal("0.000001")),
        ("in", Decimal("0.000002")),
        ("out", Decimal("0.000002")),
    ]


def test_a_refused_content_is_no_reason_to_leave_a_model_alone(shop: Shop) -> None:
    shop.scripts["cheap"] = status(400, "I will not read this")
    shop.turns(2)
    assert shop.asked == ["cheap", "dear", "cheap", "dear"]
    assert shop.pool()["cheap"]["chosen"]


def test_a_missing_key_is_no_reason_to_leave_a_model_alone(shop: Shop) -> None:
    price = "pricing: {input: 1, output: 1}"
    cheap = f"{{base_url: {shop.upstream.url}, name: cheap, api_key_env: NOBODY_SET_THIS, {price}}}"
    dear = f"{{base_url: {shop.upstream.url}, name: dear}}"
    file = shop.root / "gateways" / "g.yaml"
    head = file.read_text().partition("rewrite:")[0]
    file.write_text(f"{head}rewrite: {{price_margin: 0, models: [{cheap}, {dear}]}}\n")
    (result,), _ = shop.turns()
    assert result.search_terms == ("terms of dear",)
    assert shop.pool()["cheap"]["benched_until"] is None


def test_a_timeout_searches_the_plain_term_and_counts_against_the_model(shop: Shop) -> None:
    shop.gateway("dear", "cheap", timeout_s=3)
    shop.scripts["cheap"] = silence()
    (first, second), _ = shop.turns(2)
    assert first.search_terms == (QUESTION,)
    assert second.search_terms == ("terms of dear",)
    cheap = shop.pool()["cheap"]
    assert (cheap["samples"], cheap["chosen"]) == (1, False)
    assert cheap["median_latency_s"] >= 3
    assert cheap["problem"] == "cheap took longer than 3 s to rewrite"


def test_when_all_fail_the_plain_term_is_searched(shop: Shop) -> None:
    shop.scripts |= {"cheap": status(404), "dear": status(401)}
    (result,), _ = shop.turns()
    assert (result.search_terms, result.text) == ((QUESTION,), "Four euros.")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (reset(), "closed the connection"),
        (status(400, "no"), "refused the request (HTTP 400)"),
        (status(429), "HTTP 429"),
        (status(429, retry_after=90), "HTTP 429"),
        (status(500), "HTTP 500"),
        (html(), "web page"),
        (json_answer('{"choices": [{'), "broken JSON"),
        (json_answer({"choices": []}), "without any choices"),
        (sse([chunk("half"), {"error": {"message": "overloaded"}}], end=None), "rewriting broke off"),
        (sse([chunk("half")], end=None), "rewriting broke off"),
        (sse([chunk("half")], end=None, ending="reset"), "rewriting broke off"),
        (sse([b"data: " + b"x" * 10_000_000 + b"\n\n"]), "more than 8 MiB"),
        (says(""), "returned no search terms"),
    ],
)
def test_whatever_goes_wrong_the_plain_term_is_searched_and_the_turn_goes_on(
    shop: Shop, fault: Answer, said: str
) -> None:
    shop.gateway("cheap")
    shop.scripts["cheap"] = fault
    (result,), told = shop.turns()
    assert (result.search_terms, result.text) == ((QUESTION,), "Four euros.")
    (rewritten,) = (event for event in told if isinstance(event, Rewritten))
    assert said in (rewritten.search_terms.fallback or "")


def test_a_rewriting_without_usage_is_charged_by_estimate(shop: Shop) -> None:
    shop.scripts["cheap"] = sse([chunk("cost of shipping"), chunk(finish="stop")])
    (result,), _ = shop.turns()
    assert result.search_terms == ("cost of shipping",)
    rewriting = [charge for charge in result.charges if ".query_rewrite." in charge.sku]
    assert [charge.estimated for charge in rewriting] == [True, True]


def test_a_parameter_that_a_rewrite_model_does_not_take_is_left_out_in_silence(shop: Shop) -> None:
    refusal = status(400, "Unsupported value: 'temperature' does not support 0 with this model.")

    def picky(request: Request) -> Answer:
        if request.body["model"] == "big":
            return says("Four euros.")
        return refusal if "temperature" in request.body else says("cost of shipping")

    shop.upstream.answers(picky)
    (result,), told = shop.turns()
    assert result.search_terms == ("cost of shipping",)
    assert not any(isinstance(event, Warned) for event in told)


def test_a_ledger_that_cannot_be_written_costs_no_answer(shop: Shop) -> None:
    shop.ledger.mkdir(parents=True)
    (result,), told = shop.turns()
    assert (result.text, result.search_terms) == ("Four euros.", ("terms of cheap",))
    warnings = [event.message for event in told if isinstance(event, Warned)]
    assert sum("how cheap did is not remembered" in warning for warning in warnings) == 1


def test_the_table_marks_who_comes_first_and_says_who_is_left_alone(shop: Shop) -> None:
    shop.scripts["cheap"] = status(404)
    shop.turns()
    lines = aivax_here("models", "--pool", "g", cwd=shop.root).out.splitlines()
    dear, cheap = (next(line for line in lines if f" {name} " in line) for name in ("dear", "cheap"))
    assert dear.split()[:5] == ["→", "dear", "$2.00", "$2.00", "$0.66"]
    assert "until " in cheap
    assert "does not know the model 'cheap'" in cheap


def test_a_gateway_without_a_pool_is_told_so(tmp_path: Path) -> None:
    write_gateway(tmp_path, "g", '"@ollama/x"')
    done = aivax_here("models", "--pool", "g", cwd=tmp_path)
    assert done.code == 2
    assert "gateway 'g' has no pool: its own model rewrites; name models under rewrite.models" in done.err


def test_the_program_tells_who_failed_and_remembers_it(shop: Shop) -> None:
    (shop.root / "docs").mkdir()
    (shop.root / "docs" / "returns.md").write_text("# Cost\n\nReturn shipping costs four euros.\n")
    made = aivax(
        "ingest", "docs", "-c", "shop", cwd=shop.root, home=shop.root, env=CACHE, timeout_s=5 * PATIENT_S
    )
    assert made.code == 0, made.err
    shop.scripts["cheap"] = status(404)
    lines = f"{QUESTION}\nAnd in Spain?\n"
    done = aivax("chat", "g", "--json", cwd=shop.root, home=shop.root, env=CACHE, stdin=lines)
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert first["search_terms"] == second["search_terms"] == ["terms of dear"]
    (fallback,) = first["fallbacks"]
    assert (fallback["model"], fallback["sku"]) == ("cheap", "inference.resolving.query_rewrite")
    assert second["fallbacks"] == []
    assert done.err.count("cheap failed: 127.0.0.1 does not know the model") == 1
    assert shop.asked == ["cheap", "dear", "dear"]
