"""`aivax doctor --collection kb --repair` where an endpoint made the vectors."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.command_line import Done
from support.embedding_server import embeddings
from support.in_process import aivax_here
from support.knowledge import write_files
from support.upstream import Upstream, status
from support.workspaces import write_gateway

from aivax_cli.retrieval.catalogue import CATALOGUE_FILE

COUNT = 12
KEY = "sk-secret-123456"
DAMAGED = (3, 7, 8)


@dataclass
class Door:
    """Whether the endpoint lets anybody in."""

    open: bool = True


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def upstream(door):
    answer = embeddings()
    with Upstream(lambda request: answer(request) if door.open else status(401, "no such key")) as upstream:
        yield upstream


@pytest.fixture
def root(tmp_path, upstream, monkeypatch) -> Path:
    """A collection of twelve chunks, three of whose vectors were lost."""
    monkeypatch.setenv("EMBED_KEY", KEY)
    write_files(tmp_path, {f"docs/{n:02}.md": f"Item{n} lies in the box of word{n}." for n in range(COUNT)})
    write_gateway(tmp_path, "g", '"@ollama/llama3.2"')
    define(tmp_path, upstream.url)
    assert run(tmp_path, "ingest", "docs", "-c", "kb").code == 0
    with sqlite3.connect(tmp_path / ".aivax" / CATALOGUE_FILE) as db:
        db.execute(f"DELETE FROM vectors_1 WHERE id IN {DAMAGED}")
    db.close()
    return tmp_path


def define(root: Path, url: str, model: str = "small-embed") -> None:
    text = f"embedder:\n  model: {{base_url: {url}, name: {model}, api_key_env: EMBED_KEY}}\n  price: 0.02\n"
    write_files(root, {"collections/kb.yaml": text})


def run(root: Path, *arguments: str) -> Done:
    done = aivax_here(*arguments, cwd=root)
    assert KEY not in done.out + done.err
    return done


def repair(root: Path) -> Done:
    return run(root, "doctor", "--collection", "kb", "--repair")


def chunks(bodies: Sequence[dict[str, list[str]]]) -> list[str]:
    """The chunks among the texts that the endpoint was sent."""
    return [text for body in bodies for text in body["input"] if "lies in the box of" in text]


def charged(root: Path) -> list[tuple[str, str, int]]:
    with sqlite3.connect(root / ".aivax" / "ledger.db") as db:
        return db.execute("SELECT sku, model, quantity FROM charges ORDER BY id").fetchall()


def found_first(root: Path, number: int) -> str:
    """What a search finds first for an item."""
    done = run(root, "search", "kb", f"item{number} in the box of word{number}", "--json")
    assert done.code == 0, done.err
    return str(done.json["hits"][0]["source"])


def test_lost_vectors_are_made_again_by_the_collections_own_endpoint_and_charged(root, upstream):
    indexed, before = charged(root), len(upstream.requests)
    done = repair(root)
    assert done.code == 0, done.out + done.err
    sent = upstream.requests[before:]
    assert len(chunks([request.body for request in sent])) == len(DAMAGED)
    assert {request.body["model"] for request in sent} == {"small-embed"}
    assert {request.headers["authorization"] for request in sent} == {f"Bearer {KEY}"}
    assert found_first(root, DAMAGED[0]) == f"docs/{DAMAGED[0]:02}.md"
    new = charged(root)[len(indexed) :]
    assert {row[:2] for row in new} == {("rag.embedding.index", "small-embed")}
    words = sum(len(text.split()) for request in sent for text in request.body["input"])
    assert sum(quantity for _, _, quantity in new) == words


def test_an_endpoint_that_refuses_leaves_the_collection_searchable_and_the_next_repair_mends_it(root, door):
    door.open = False
    refused = repair(root)
    assert refused.code == 1
    assert "401" in refused.out + refused.err
    door.open = True
    assert found_first(root, DAMAGED[0]) == f"docs/{DAMAGED[0]:02}.md"  # by its words
    mended = repair(root)
    assert mended.code == 0
    assert "12 vectors of 32 numbers" in mended.out


@pytest.mark.parametrize(
    ("path", "model", "told"),
    [
        ("", "other-embed", "indexed with small-embed, not with other-embed"),
        ("/elsewhere", "small-embed", "indexed with small-embed at another address"),
    ],
)
def test_another_embedder_than_the_indexs_repairs_nothing(root, upstream, path, model, told):
    define(root, upstream.url + path, model)
    before = len(upstream.requests)
    done = repair(root)
    assert done.code != 0
    assert told in done.err
    assert "--reindex" in done.err
    assert len(upstream.requests) == before
