"""Collections with embedders of their own, through the real program."""

import os
import sqlite3

import pytest
from support.command_line import aivax
from support.embedding_server import embeddings
from support.knowledge import write_files
from support.upstream import Upstream, says, status
from support.workspaces import write_gateway

from aivax_cli.assets.store import default_cache_dir

CACHE = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}
SECRET = "sk-secret-123456"


@pytest.fixture
def root(tmp_path):
    files = {f"docs/{number:03}.md": f"Item{number} lies in the box of word{number}." for number in range(60)}
    write_files(tmp_path, {**files, "other/cats.md": "Cats sleep twelve hours a day."})
    (tmp_path / "gateways").mkdir()
    return tmp_path


def define(root, name, upstream, more=""):
    """`collections/NAME.yaml` with an embedder at that endpoint."""
    model = f"{{base_url: {upstream.url}, name: small-embed, api_key_env: EMBED_KEY}}"
    write_files(root, {f"collections/{name}.yaml": f"embedder:\n  model: {model}\n  batch: 8\n{more}"})


def run(root, *arguments, key=SECRET):
    done = aivax(*arguments, cwd=root, home=root, env={**CACHE, "EMBED_KEY": key}, timeout_s=300)
    assert SECRET not in done.out + done.err
    return done


def hits(root, collection, *terms):
    done = run(root, "search", collection, *terms, "--json")
    assert done.code == 0, done.err
    return [hit["source"] for hit in done.json["hits"]]


def ledger(root):
    with sqlite3.connect(root / ".aivax" / "ledger.db") as db:
        return db.execute("SELECT sku, model, quantity, unit_price_usd FROM charges ORDER BY id").fetchall()


def chunks_sent(bodies):
    """The chunks among the texts that an endpoint was sent; others find the background."""
    texts = (text for body in bodies for text in body["input"])
    return [text for text in texts if text.startswith("passage: ") and "lies in the box" in text]


def test_a_collection_is_filled_searched_and_charged_through_its_endpoint(root):
    with Upstream(embeddings()) as upstream:
        define(root, "kb", upstream, "  price: 0.02\n")
        made = run(root, "ingest", "docs", "-c", "kb", "--json")
        assert made.code == 0, made.err
        indexed = ledger(root)
        assert hits(root, "kb", "item7 in the box of word7")[0] == "docs/007.md"
        write_gateway(
            root, "g", f"{{base_url: {upstream.url}, name: big}}", more="knowledge: {collections: [kb]}\n"
        )
        before = len(upstream.requests)
        again = run(root, "ingest", "docs", "-c", "kb", "--json")
        assert (again.code, len(upstream.requests)) == (0, before)
    assert {row[:2] + row[3:] for row in indexed} == {("rag.embedding.index", "small-embed", "0.00000002")}
    sent = [request.body["input"] for request in upstream.requests[:before]]
    words = sum(len(text.split()) for texts in sent[:-1] for text in texts)
    assert sum(row[2] for row in indexed) == words


def test_a_turn_charges_the_search_at_the_embedders_price(root):
    with Upstream(embeddings()) as upstream, Upstream(says("In word7's.")) as chat:
        define(root, "kb", upstream, "  price: 0.02\n")
        assert run(root, "ingest", "docs", "-c", "kb").code == 0
        write_gateway(
            root, "g", f"{{base_url: {chat.url}, name: big}}", more="knowledge: {collections: [kb]}\n"
        )
        done = run(root, "complete", "g", "Where is item7?", "--json")
    assert done.code == 0, done.err
    (line,) = [line for line in done.json["generated_usage"] if line["sku"] == "rag.embedding.query"]
    assert (line["quantity"], float(line["unit_price"])) == (3, 2e-8)


def test_an_unpriced_embedder_stays_unpriced(root):
    with Upstream(embeddings()) as upstream:
        define(root, "kb", upstream)
        write_files(root, {"aivax.yaml": f"providers:\n  far: {{base_url: '{upstream.url}', free: false}}\n"})
        write_files(root, {"collections/kb.yaml": "embedder: {model: '@far/embed'}\n"})
        assert run(root, "ingest", "other", "-c", "kb").code == 0
    assert {row[3] for row in ledger(root)} == {None}


def test_collections_of_different_embedders_are_searched_together(root):
    with Upstream(embeddings()) as upstream, Upstream(says("Twelve.")) as chat:
        define(root, "kb", upstream)
        assert run(root, "ingest", "docs", "-c", "kb").code == 0
        assert run(root, "ingest", "other", "-c", "cats").code == 0
        more = "knowledge: {collections: [kb, cats], top: 2, min_score: 0}\n"
        write_gateway(root, "g", f"{{base_url: {chat.url}, name: big}}", more=more)
        found = [
            run(root, "complete", "g", question, "--json").json
            for question in ("How long do cats sleep?", "item7 in the box of word7")
        ]
    assert found[0]["sources"][0]["source"] == "other/cats.md"
    assert found[1]["sources"][0]["source"] == "docs/007.md"
    models = [line["description"] for line in found[0]["generated_usage"] if "embedding" in line["sku"]]
    assert len(models) == 2


def test_another_embedder_than_the_indexs_is_an_error_with_the_command_that_mends(root):
    assert run(root, "ingest", "other", "-c", "kb").code == 0
    with Upstream(embeddings()) as upstream:
        define(root, "kb", upstream)
        for arguments in (("search", "kb", "cats"), ("ingest", "other", "-c", "kb"), ("doctor",)):
            done = run(root, *arguments)
            assert done.code == 1
            told = " ".join((done.out + done.err).split())
            assert "'kb' was indexed with multilingual-e5-small-int8, not with small-embed" in told
            assert "aivax ingest other --collection kb --reindex" in told
        assert run(root, "ingest", "other", "-c", "kb", "--reindex").code == 0
        assert hits(root, "kb", "cats") == ["other/cats.md"]


def test_an_interrupted_ingest_goes_on_without_paying_twice(root):
    files = {
        f"docs/{number:03}.md": f"Item{number} lies in the box of word{number}." for number in range(300)
    }
    write_files(root, files)
    answer = embeddings()
    asked = []

    def breaks_down(request):
        asked.append(request)
        # Four requests find the background; the first window of 128 chunks takes sixteen.
        return answer(request) if len(asked) <= 25 else status(400, "out of money")

    with Upstream(breaks_down) as upstream:
        define(root, "kb", upstream, "  passage_prefix: 'passage: '\n")
        broken = run(root, "ingest", "docs", "-c", "kb")
        assert broken.code == 1
        assert "out of money" in broken.err
        first = len(asked)
        upstream.answers(answer)
        resumed = run(root, "ingest", "docs", "-c", "kb")
        assert resumed.code == 0, resumed.err
        assert hits(root, "kb", "item299 in the box of word299")[0] == "docs/299.md"
    # What was stored is not sent again, only what failed.
    before, after = chunks_sent(upstream.bodies[:first]), chunks_sent(upstream.bodies[first:])
    assert len(after) == len(set(after)) == 300 - 128
    assert set(before[:128]).isdisjoint(after)
    assert len(ledger(root)) >= 3


def test_a_missing_key_is_an_error_before_anything_is_sent(root):
    with Upstream(embeddings()) as upstream:
        define(root, "kb", upstream)
        done = run(root, "ingest", "docs", "-c", "kb", key="")
    assert done.code == 2
    assert "EMBED_KEY is not set" in done.err
    assert upstream.requests == []


def test_doctor_tells_of_an_embedders_missing_key(root):
    with Upstream(status(401)) as upstream:
        define(root, "kb", upstream)
        done = run(root, "doctor", key="")
    assert "no API key for small-embed: the environment variable EMBED_KEY is not set" in done.out
    assert f"127.0.0.1:{upstream.port} answers, for small-embed" in done.out


@pytest.mark.parametrize(
    ("embedder", "told"),
    [
        ("bge-m3", "embedder: must be one of multilingual-e5-small, not 'bge-m3'"),
        ("{model: '@openia/embed'}", "embedder.model: no provider named 'openia'; did you mean 'openai'?"),
        ("{model: 'text-embedding-3-small'}", "embedder.model: 'text-embedding-3-small' names no provider"),
        ("{dimensions: 256}", "embedder.model: required, but missing"),
        ("{model: '@openai/m', dimensions: 0}", "embedder.dimensions: must be between 1 and 65536"),
        ("[a]", "embedder: must be multilingual-e5-small, or a mapping with model"),
    ],
)
def test_faults_of_an_embedder_name_their_field(root, embedder, told):
    write_files(root, {"collections/kb.yaml": f"embedder: {embedder}\n"})
    done = run(root, "gateways", "validate")
    assert done.code != 0
    assert told in done.out + done.err
