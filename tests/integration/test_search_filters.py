"""Searches among documents with tags, and what hits bring along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.in_process import aivax_here
from support.knowledge import open_knowledge, run_ingest, write_files

from aivax_cli.core.types import Passage, RetrievalLimits
from aivax_cli.retrieval import filtering
from aivax_cli.retrieval.arranging import in_document_order
from aivax_cli.retrieval.exporting import export_collection
from aivax_cli.retrieval.search import KnowledgeBase

RECORDS = [
    {"docid": "a", "text": "Cats sleep most of the day.", "__tags": ["public", "en"], "__meta": {"n": 1}},
    {"docid": "b", "text": "Cats hunt at night.", "__tags": ["secret", "en"], "__ref": "book"},
    {"docid": "c", "text": "Os gatos dormem muito, cats too.", "__tags": ["public", "pt"], "__ref": "book"},
    {"docid": "d", "text": "Cats without any tag.", "__ref": "book"},
    {"docid": "e", "text": "Cats sleep most of the day.", "__tags": ["secret"]},
    {"docid": "f", "text": "Bread rises slowly.", "__tags": ["public"], "__ref": "other"},
]


pytestmark = pytest.mark.usefixtures("vector_store")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS)
    sections = "\n\n".join(f"## S{n}\n\n" + f"section{n} speaks of matter{n}. " * 5 for n in range(6))
    write_files(tmp_path, {"data.jsonl": lines, "docs/long.md": f"# Long\n\n{sections}\n"})
    run_ingest(tmp_path, "data.jsonl", "docs")
    return tmp_path


@pytest.fixture
def knowledge(base: Path):
    knowledge = open_knowledge(base)
    yield knowledge
    knowledge.close()


def find(knowledge: KnowledgeBase, question: str, collection: str = "kb", **more) -> list[Passage]:
    limits = RetrievalLimits(**{"min_score": 0.0, "top": 20, **more})
    found = knowledge.search([collection], [question], limits).passages
    return list(in_document_order(knowledge.expanded(found, limits)) if limits.expands else found)


def names(passages: list[Passage]) -> list[str]:
    return [passage.source.document for passage in passages]


@pytest.mark.parametrize("reranker", ["fused", "rrf", "none", "lexical"])
@pytest.mark.parametrize("question", ["cats", "bread", "nothing of that kind"])
@pytest.mark.parametrize("few", [0, 20_000])
def test_only_documents_with_the_tag_are_found(knowledge, monkeypatch, reranker, question, few):
    monkeypatch.setattr(filtering, "FEW_VECTORS", few)  # 0: by widening the search
    assert set(names(find(knowledge, question, tags=("public",), reranker=reranker))) <= {"a", "c", "f"}


@pytest.mark.parametrize("few", [0, 20_000])
def test_every_document_with_the_tag_is_found(knowledge, monkeypatch, few):
    monkeypatch.setattr(filtering, "FEW_VECTORS", few)
    assert set(names(find(knowledge, "cats", tags=("public",), reranker="none"))) == {"a", "c", "f"}


def test_any_and_all_of_several_tags(knowledge):
    assert set(names(find(knowledge, "cats", tags=("secret", "pt")))) == {"b", "c", "e"}
    assert set(names(find(knowledge, "cats", tags=("public", "pt"), match="all"))) == {"c"}
    assert set(names(find(knowledge, "cats", tags=("public", "public"), match="all"))) == {"a", "c", "f"}


def test_a_tag_that_nothing_has_finds_nothing(knowledge):
    assert find(knowledge, "cats", tags=("none' OR 1=1 --",)) == []


def test_of_equal_texts_the_one_with_the_tag_is_shown(knowledge):
    assert names(find(knowledge, "cats sleep most of the day", tags=("secret",)))[0] == "e"


def test_scores_are_those_of_the_whole_collection(knowledge):
    every = {p.source.document: p.score for p in find(knowledge, "cats hunt")}
    some = {p.source.document: p.score for p in find(knowledge, "cats hunt", tags=("secret",))}
    assert some["b"] == pytest.approx(every["b"])


def test_a_changed_tag_holds_at_once(base, knowledge):
    records = [{**record, "__tags": ["public"]} if record["docid"] == "b" else record for record in RECORDS]
    (base / "data.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    run_ingest(base, "data.jsonl")
    assert "b" in names(find(knowledge, "cats", tags=("public",)))


def test_meta_comes_with_hits_and_is_never_searched(knowledge):
    assert find(knowledge, "cats sleep")[0].meta == {"n": 1}


def test_a_hit_brings_its_siblings(knowledge):
    found = find(knowledge, "cats hunt at night", top=1, siblings=True)
    assert [(p.source.document, p.brought) for p in found] == [("b", False), ("c", True)]
    found = find(knowledge, "cats hunt at night", top=2, siblings=True)
    assert {"b", "c", "d"} <= set(names(found))


def test_siblings_without_the_tag_are_not_brought(knowledge):
    found = find(knowledge, "os gatos dormem", top=1, siblings=True, tags=("public",))
    assert names(found) == ["c"]


def test_a_file_without_ref_brings_chunks_of_its_own(knowledge):
    found = find(knowledge, "matter3", top=1, siblings=True)
    assert {p.source.document for p in found} == {"docs/long.md"}
    assert len(found) == 2


def test_a_hit_brings_the_chunks_beside_it_in_document_order(knowledge):
    found = find(knowledge, "matter3", top=1, neighbours=1)
    assert [p.source.heading for p in found] == ["Long > S2", "Long > S3", "Long > S4"]
    assert [p.brought for p in found] == [True, False, True]
    assert [p.rank for p in found] == [1, 2, 3]


def test_the_ends_of_a_file_bring_what_there_is(knowledge):
    found = find(knowledge, "matter5", top=1, neighbours=2)
    assert [p.source.heading for p in found] == ["Long > S3", "Long > S4", "Long > S5"]


def test_what_is_brought_fits_into_max_tokens(knowledge):
    everything = find(knowledge, "matter3", top=1, neighbours=2)
    room = sum(p.tokens for p in everything) - 1
    assert len(find(knowledge, "matter3", top=1, neighbours=2, max_tokens=room)) == len(everything) - 1
    alone = find(knowledge, "matter3", top=1)[0].tokens
    assert len(find(knowledge, "matter3", top=1, neighbours=2, max_tokens=alone)) == 1


def test_what_two_hits_bring_is_there_once(knowledge):
    found = find(knowledge, "matter2 matter3", top=2, neighbours=1)
    assert len({p.id for p in found}) == len(found) == 4


def test_parts_of_an_export_know_their_neighbours_and_siblings(base, knowledge):
    (base / "out.jsonl").write_text("\n".join(export_collection(base / ".aivax", "kb")) + "\n")
    run_ingest(base, "out.jsonl", collection="copy")

    def seen(collection, **more):
        return [(p.text, p.source.place, p.brought) for p in find(knowledge, "matter3", collection, **more)]

    for more in ({"neighbours": 1}, {"neighbours": 3}, {"siblings": True}):
        assert seen("copy", top=2, **more) == seen("kb", top=2, **more)


def test_the_command_filters_and_brings_along(base):
    (base / "aivax.yaml").touch()
    aivax_here("ingest", "data.jsonl", "docs", "--collection", "real", cwd=base)
    done = aivax_here(
        "search", "real", "cats", "--tag", "pt", "--tag", "public", "--match", "all", "--json", cwd=base
    )
    assert [hit["source"] for hit in done.json["hits"]] == ["c"]
    done = aivax_here("search", "real", "cats sleep", "--top", "1", "--json", cwd=base)
    assert done.json["hits"][0]["meta"] == {"n": 1}
    done = aivax_here("search", "real", "matter3", "--top", "1", "--references", "1", "--json", cwd=base)
    assert [hit.get("brought_along") for hit in done.json["hits"]] == [True, None, True]
    refused = aivax_here("search", "real", "cats", "--references", "9", cwd=base)
    assert (refused.code, "from 0 to 8" in refused.err) == (2, True)
