"""Gateways with `reranker: smart` through the real program."""

import os

import pytest
from support.command_line import aivax
from support.knowledge import write_files
from support.upstream import Upstream, json_answer, says, status
from support.workspaces import write_gateway

from aivax_cli.assets.store import default_cache_dir

CACHE = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}
FILES = {
    "docs/cats.md": "Cats sleep twelve hours a day.",
    "docs/dogs.md": "Dogs sleep ten hours a day.",
    "docs/bees.md": "Bees sleep five hours a day.",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_files(tmp_path_factory.mktemp("animals"), FILES)
    (root / "gateways").mkdir()
    made = aivax("ingest", "docs", "-c", "kb", cwd=root, home=root, env=CACHE, timeout_s=300)
    assert made.code == 0, made.err
    return root


def ask(root, upstream, rerank="", strategy="Plain", more=""):
    """Asks how long cats sleep, with two passages at most."""
    model = f"{{base_url: {upstream.url}, name: big}}"
    knowledge = (
        f"knowledge:\n  collections: [kb]\n  strategy: {strategy}\n  top: 2\n  min_score: 0\n"
        f"  reranker: smart\n{rerank}"
    )
    write_gateway(root, "g", model, more=knowledge + more)
    return aivax("complete", "g", "How long do cats sleep?", "--json", cwd=root, home=root, env=CACHE)


def documents(done):
    return [source["source"] for source in done.json["sources"]]


def backwards(request):
    """Scores that put the last candidate first."""
    count = len(request.body["documents"])
    results = [{"index": place, "relevance_score": place / count} for place in range(count)]
    return json_answer({"results": results, "usage": {"total_tokens": 33}})


def test_an_endpoint_chooses_among_all_candidates(root):
    with Upstream(backwards, says("Twelve.")) as upstream:
        endpoint = f"  rerank:\n    kind: endpoint\n    model: {{base_url: {upstream.url}, name: judge}}\n"
        done = ask(root, upstream, endpoint)
    assert done.code == 0, done.err
    scored = upstream.bodies[0]["documents"]
    assert len(scored) == 3
    assert "Cats" in scored[0]
    shown = upstream.bodies[1]["messages"][0]["content"]
    assert shown.index(scored[2].splitlines()[-1]) < shown.index(scored[1].splitlines()[-1])
    assert scored[0] not in shown
    lines = {line["sku"]: line for line in done.json["generated_usage"]}
    assert lines["rag.reranking.in"]["quantity"] == 33
    assert lines["rag.reranking.in"]["description"] == "Reranking of passages with 'judge'"


def test_without_a_model_of_its_own_the_gateways_model_is_asked(root):
    with Upstream(says("[3]"), says("Five.")) as upstream:
        done = ask(root, upstream)
    assert done.code == 0, done.err
    assert [body["model"] for body in upstream.bodies] == ["big", "big"]
    assert "rag.reranking.out" in {line["sku"] for line in done.json["generated_usage"]}


def test_the_rewrite_model_is_asked_where_there_is_one(root):
    with Upstream(says("[3]"), says("Five.")) as upstream:
        done = ask(root, upstream, more=f"rewrite: {{models: [{{base_url: {upstream.url}, name: small}}]}}\n")
    assert done.code == 0, done.err
    assert [body["model"] for body in upstream.bodies] == ["small", "big"]


def test_a_reranker_that_fails_is_a_warning_and_the_answer_comes(root):
    with Upstream(status(400, "no such task"), says("Twelve.")) as upstream:
        done = ask(root, upstream)
    assert (done.code, done.json["text"]) == (0, "Twelve.")
    assert "reranking failed" in done.err
    assert "no such task" in done.err
    assert documents(done)[0] == "docs/cats.md"


def test_an_endpoint_needs_a_model(root):
    write_gateway(
        root,
        "g",
        "'@openai/gpt-5-mini'",
        more="knowledge:\n  collections: [kb]\n  reranker: smart\n  rerank:\n    kind: endpoint\n",
    )
    done = aivax("gateways", "validate", cwd=root, home=root, env=CACHE)
    assert done.code != 0
    assert "knowledge.rerank: kind: endpoint needs a model, which serves /rerank" in done.out + done.err


def test_the_reranking_model_of_an_unknown_provider_is_a_fault(root):
    write_gateway(
        root,
        "g",
        "'@openai/gpt-5-mini'",
        more="knowledge:\n  collections: [kb]\n  rerank:\n    model: '@openia/rank'\n",
    )
    done = aivax("gateways", "validate", cwd=root, home=root, env=CACHE)
    assert "knowledge.rerank.model: no provider named 'openia'; did you mean 'openai'?" in done.out + done.err
