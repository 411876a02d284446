"""The reranker `smart` against real endpoints: orders, costs, and all ways to fail without failing a turn."""

import asyncio
from decimal import Decimal

import pytest
from support.calling import QUICK, target
from support.patience import PATIENT_S
from support.upstream import Upstream, html, json_answer, says, silence, status

from aivax_cli.core.types import Passage, Prices, Source
from aivax_cli.model.client import HttpChatModel
from aivax_cli.model.posting import Patience
from aivax_cli.model.rerank import HttpRerankEndpoint
from aivax_cli.steps.reranking import RerankPlan, cut, rerank
from aivax_cli.usage.ledger import SqliteLedger
from aivax_cli.usage.meter import Meter
from aivax_cli.usage.price_book import GenaiPriceBook

PRICES = Prices(Decimal("0.000001"), Decimal("0.000002"))
TEXTS = ("cats purr", "dogs bark", "bread rises")


class WordCounter:
    """One token a word."""

    def count_text(self, text, model):
        return len(text.split())

    def count_messages(self, messages, model):
        return sum(self.count_text(message.content, model) for message in messages)


def passages(texts=TEXTS):
    return tuple(
        Passage(f"kb/{n}", text, Source("kb", f"{n}.md"), 0.5, n, tokens=n) for n, text in enumerate(texts, 1)
    )


def run(upstream, tmp_path, *, kind="endpoint", timeout_s=PATIENT_S, candidates=30, environ=None, **fields):
    """Reranks three passages; gives the texts in their order, the problem, the charges as (sku, quantity)."""
    model = target(upstream.url, prices=PRICES, **fields)
    patience = Patience(retry=QUICK)

    async def asked():
        async with HttpChatModel(environ or {}, retry=QUICK) as chat:
            ledger = SqliteLedger(tmp_path / "ledger.db")
            meter = Meter(chat, GenaiPriceBook(), WordCounter(), ledger, turn_id="t", gateway="g")
            plan = RerankPlan(model, kind, timeout_s, candidates)
            endpoint = HttpRerankEndpoint(environ or {}, patience)
            found = await rerank(plan, "what rises?", passages(), meter, endpoint)
            return found, meter.charges

    found, charges = asyncio.run(asked())
    return [passage.text for passage in found.passages], found.problem, charges


def results(*scores, **more):
    return json_answer({"results": [{"index": n, "relevance_score": score} for n, score in scores], **more})


def test_an_endpoints_scores_are_the_order(tmp_path):
    with Upstream(results((2, 0.9), (0, 0.5), (1, 0.1), usage={"total_tokens": 42})) as upstream:
        texts, problem, charges = run(upstream, tmp_path)
    assert (texts, problem) == (["bread rises", "cats purr", "dogs bark"], "")
    (request,) = upstream.requests
    assert request.path == "/v1/rerank"
    assert request.body == {"model": "m", "query": "what rises?", "documents": list(TEXTS), "top_n": 3}
    (charge,) = charges
    assert (charge.sku, charge.quantity, charge.estimated) == ("rag.reranking.in", 42, False)
    assert charge.amount_usd == Decimal("0.000042")


def test_scores_come_in_any_order_and_passages_without_one_come_last(tmp_path):
    with Upstream(results((1, -3), (2, 7), (9, 8), (0, "high"))) as upstream:
        texts, problem, _ = run(upstream, tmp_path)
    assert (texts, problem) == (["bread rises", "dogs bark", "cats purr"], "")


def test_tokens_that_nobody_reported_are_estimated(tmp_path):
    with Upstream(results((0, 1.0), (1, 0.5))) as upstream:
        _, _, (charge,) = run(upstream, tmp_path)
    # Six words of passages are read, and the two of the question with each of the three.
    assert (charge.quantity, charge.estimated) == (4 + 3 * 2, True)


def test_only_the_candidates_are_sent_and_the_others_follow(tmp_path):
    with Upstream(results((1, 0.9), (0, 0.1))) as upstream:
        texts, _, _ = run(upstream, tmp_path, candidates=2)
    assert upstream.bodies[0]["documents"] == list(TEXTS[:2])
    assert texts == ["dogs bark", "cats purr", "bread rises"]


def test_a_chat_model_is_asked_for_numbers(tmp_path):
    with Upstream(says("[3, 1]", prompt=90)) as upstream:
        texts, problem, charges = run(upstream, tmp_path, kind="chat")
    assert (texts, problem) == (["bread rises", "cats purr", "dogs bark"], "")
    assert "[3] 3.md\n> bread rises" in upstream.bodies[0]["messages"][1]["content"]
    assert [(charge.sku, charge.quantity) for charge in charges] == [
        ("rag.reranking.in", 90),
        ("rag.reranking.out", 2),
    ]


def test_a_failure_that_passes_is_tried_again(tmp_path):
    with Upstream(status(503), results((2, 1.0), (0, 0.5), (1, 0.2))) as upstream:
        texts, problem, _ = run(upstream, tmp_path)
    assert (len(upstream.requests), texts[0], problem) == (2, "bread rises", "")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (status(500, "boom"), "test failed (HTTP 500): boom"),
        (status(404), "does not know the model 'm' or the path"),
        (html(), "answered with a web page (HTML), not with scores of passages"),
        (json_answer("[1]"), "JSON that is no object"),
        (json_answer('{"results": '), "broken JSON"),
        (json_answer({"results": []}), "no scores"),
        (json_answer({"results": [{"index": 0, "relevance_score": float("nan")}]}), "no scores"),
        (json_answer({"scores": [1, 2, 3]}), "JSON without results"),
        (json_answer({"error": {"message": "overloaded"}}), "test reports an error: overloaded"),
    ],
)
def test_an_endpoint_that_fails_leaves_the_order_and_says_why(tmp_path, answer, told):
    with Upstream(answer) as upstream:
        texts, problem, charges = run(upstream, tmp_path)
    assert texts == list(TEXTS)
    assert told in problem
    assert problem.endswith("; the passages keep the order of the search")
    assert charges == ()


@pytest.mark.parametrize("kind", ["endpoint", "chat"])
def test_an_endpoint_that_is_silent_is_not_waited_for_and_is_charged_by_estimate(tmp_path, kind):
    with Upstream(silence()) as upstream:
        texts, problem, charges = run(upstream, tmp_path, kind=kind, timeout_s=0.3)
        assert upstream.disconnected.wait(PATIENT_S)
    assert (texts, problem.split(";")[0]) == (list(TEXTS), "@test/m took longer than 0.3 s to rerank")
    assert [(charge.sku, charge.estimated) for charge in charges] == [("rag.reranking.in", True)]


def test_a_chat_model_that_answers_no_numbers_leaves_the_order_and_is_charged(tmp_path):
    with Upstream(says("All of them are fine.")) as upstream:
        texts, problem, charges = run(upstream, tmp_path, kind="chat")
    assert texts == list(TEXTS)
    assert problem.startswith("@test/m returned no order of the passages")
    assert len(charges) == 2


def test_a_missing_key_and_the_key_itself_stay_out_of_the_problem(tmp_path):
    with Upstream(status(401, "bad key sk-secret-123456")) as upstream:
        _, missing, _ = run(upstream, tmp_path, api_key_env="RERANK_KEY")
        assert upstream.requests == []
        _, refused, _ = run(
            upstream, tmp_path, api_key_env="RERANK_KEY", environ={"RERANK_KEY": "sk-secret-123456"}
        )
    assert "the environment variable RERANK_KEY is not set" in missing
    assert upstream.requests[0].headers["authorization"] == "Bearer sk-secret-123456"
    assert "refused the API key of RERANK_KEY" in refused
    assert "secret" not in refused


def test_the_cut_keeps_what_fits_and_ranks_anew():
    chosen = cut(passages()[::-1], top=2, max_tokens=4)
    assert [(passage.text, passage.rank) for passage in chosen] == [("bread rises", 1), ("cats purr", 2)]
