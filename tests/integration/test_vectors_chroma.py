"""Chroma beside the catalogue: derived, replaceable, and never trusted without a look."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.knowledge import open_knowledge, run_ingest, write_files

from aivax_cli.core.errors import KnowledgeError
from aivax_cli.core.types import RetrievalLimits
from aivax_cli.retrieval import indexes, part_building, partition
from aivax_cli.retrieval.catalogue import Catalogue

LIMITS = RetrievalLimits(top=5, min_score=0.0, reranker="none")
COUNT = 40


in_a_folder = pytest.mark.parametrize("vector_store", ["embedded"], indirect=True)


@pytest.fixture
def base(tmp_path: Path, vector_store: str) -> Path:
    write_files(
        tmp_path, {f"docs/{n:02}.md": f"# Number {n}\n\nitem{n} of word{n % 7}\n" for n in range(COUNT)}
    )
    run_ingest(tmp_path)
    return tmp_path


def search(base: Path, index: str, question: str = "item7 of word0") -> list[tuple[str, float]]:
    knowledge = open_knowledge(base, vector_index=index)
    passages = knowledge.search(["kb"], [question], LIMITS).passages
    knowledge.close()
    return [(passage.source.document, round(passage.score, 4)) for passage in passages]


def folder(base: Path) -> Path:
    with Catalogue.open(base / ".aivax").reading() as reader:
        return base / ".aivax" / "chroma" / (reader.collection("kb").snapshot or "none")


def test_a_collection_of_two_letters_is_in_chroma(base):
    assert search(base, "chroma")[0][0] == "docs/07.md"


@pytest.mark.parametrize("name", ["é", "日本語の文書", "x" * 128, "two words"])
def test_names_that_chroma_refuses_are_searched_in_chroma(base, name):
    run_ingest(base, collection=name)
    knowledge = open_knowledge(base)
    assert knowledge.search([name], ["item7 of word0"], LIMITS).passages[0].source.document == "docs/07.md"


def test_chroma_and_the_scan_agree_through_changes(base):
    for number in range(6):
        write_files(base, {f"docs/{number:02}.md": f"# Changed\n\nother{number} item{number}\n"})
        (base / f"docs/{30 + number}.md").unlink()
        run_ingest(base)
        for question in (f"item{number}", "item7 of word0", f"other{number}", f"item{30 + number}"):
            assert search(base, "chroma", question) == search(base, "exact", question)


@in_a_folder
def test_an_unchanged_collection_leaves_its_index_alone(base):
    before = folder(base)
    run_ingest(base)
    assert folder(base) == before


@in_a_folder
def test_a_deleted_index_is_made_again(base):
    shutil.rmtree(base / ".aivax" / "chroma")
    assert search(base, "auto") == search(base, "exact")
    with pytest.raises(KnowledgeError, match="aivax ingest FOLDER --collection kb"):
        search(base, "chroma")
    run_ingest(base)
    assert search(base, "chroma") == search(base, "exact")


@in_a_folder
@pytest.mark.parametrize("size", [0, 10])
def test_an_index_with_files_cut_short_is_not_opened_but_made_again(base, size):
    files = [path for path in folder(base).rglob("*.bin") if path.stat().st_size > size]
    assert files
    for path in files:
        os.truncate(path, size)
    with pytest.raises(KnowledgeError, match="damaged"):
        search(base, "chroma")
    run_ingest(base)
    assert search(base, "chroma") == search(base, "exact")


@in_a_folder
def test_what_killed_writers_left_is_swept_away(base):
    (base / ".aivax/chroma/1-999-dead").mkdir()
    write_files(base, {"docs/new.md": "# New\n\nnew\n"})
    run_ingest(base)
    assert not (base / ".aivax/chroma/1-999-dead").exists()


@in_a_folder
def test_an_index_that_does_not_find_its_vectors_is_not_used(base, monkeypatch):
    monkeypatch.setattr(part_building, "PROBES_FOUND", 2.0)  # more than can be found
    write_files(base, {"docs/new.md": "# New\n\nbrand new\n"})
    assert any("could be found" in warning.reason for warning in run_ingest(base).warnings)
    assert search(base, "auto", "brand new")[0][0] == "docs/new.md"
    assert search(base, "auto")[0][0] == "docs/07.md"


@in_a_folder
def test_what_came_after_a_snapshot_is_found_beside_it(base, monkeypatch):
    monkeypatch.setattr(partition, "LARGE", 10)
    monkeypatch.setattr(partition, "SLACK", 0.2)
    before = folder(base)
    write_files(base, {"docs/new.md": "# New\n\nbrand new item7\n"})
    (base / "docs/03.md").unlink()
    run_ingest(base)
    assert folder(base) == before
    for question in ("brand new", "item7", "item3 of word3"):
        assert search(base, "chroma", question) == search(base, "exact", question)


@in_a_folder
def test_large_collections_go_to_chroma_by_themselves(base, monkeypatch):
    monkeypatch.setattr(indexes, "EXACT_LIMIT", COUNT - 1)
    knowledge = open_knowledge(base, vector_index="auto")
    knowledge.search(["kb"], ["item7"], LIMITS)
    assert knowledge._indexes._open
    monkeypatch.setattr(indexes, "EXACT_LIMIT", COUNT)
    knowledge = open_knowledge(base, vector_index="auto")
    knowledge.search(["kb"], ["item7"], LIMITS)
    assert not knowledge._indexes._open
