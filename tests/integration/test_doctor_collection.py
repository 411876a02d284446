"""`aivax doctor --collection`: every kind of damage is done for real, found, and mended."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from pathlib import Path

import pytest
from support.in_process import aivax_here
from support.knowledge import (
    DIMENSION,
    HashEmbedder,
    open_knowledge,
    run_ingest,
    run_repair,
    server_address,
    write_files,
)
from support.workspaces import write_gateway

from aivax_cli.core.errors import KnowledgeError
from aivax_cli.core.types import RetrievalLimits
from aivax_cli.retrieval.catalogue import CATALOGUE_FILE, Catalogue
from aivax_cli.retrieval.verification import verify

COUNT = 40
LIMITS = RetrievalLimits(top=5, min_score=0.0)
QUESTIONS = ("item7 of word0", "item30", "word3")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("sound")
    write_gateway(base, "g", '"@ollama/llama3.2"')
    write_files(base, {f"docs/{n:02}.md": f"# Number {n}\n\nitem{n} of word{n % 7}\n" for n in range(COUNT)})
    run_ingest(base)
    return base


@pytest.fixture
def base(sound, tmp_path, vector_store) -> Path:
    base = Path(shutil.copytree(sound, tmp_path / "base", copy_function=shutil.copy2))
    if (server := server_address()) is not None:
        write_files(base, {"aivax.yaml": f"store: {{url: '{server.url}'}}\n"})
        run_ingest(base)
    return base


def sql(base: Path, *statements: str) -> None:
    with sqlite3.connect(base / ".aivax" / CATALOGUE_FILE) as db:
        db.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            db.execute(statement)
    db.close()


def problems(base: Path) -> list[tuple[str, str, str]]:
    catalogue = Catalogue.open(base / ".aivax")
    with catalogue.reading() as reader:
        collection = reader.collection("kb")
    found = verify(catalogue, collection, base / ".aivax", server_address()).problems
    catalogue.close()
    return [(problem.part, problem.detail, problem.remedy) for problem in found]


def answers(base: Path, index: str) -> list[list[tuple[str, float]]]:
    knowledge = open_knowledge(base, vector_index=index)
    found = [knowledge.search(["kb"], [question], LIMITS).passages for question in QUESTIONS]
    knowledge.close()
    return [[(passage.id, round(passage.score, 4)) for passage in passages] for passages in found]


def snapshot(base: Path) -> Path:
    (folder,) = (base / ".aivax" / "chroma").iterdir()
    return folder


def set_vector(value: bytes, where: str) -> str:
    return f"UPDATE vectors_1 SET vector = x'{value.hex()}' WHERE {where}"


NAN = struct.pack("<f", float("nan")) * DIMENSION
LONG = struct.pack("<f", 2.0) * DIMENSION

DAMAGE = {
    "vectors that are gone": (["DELETE FROM vectors_1 WHERE id = 5"], "vectors", "1 chunks have no vector"),
    "vectors of every unsound kind": (
        [set_vector(b"\0" * 8, "id = 3"), set_vector(NAN, "id = 4"), set_vector(LONG, "id = 6")],
        "vectors",
        "3 vectors are damaged: 1 not of finite numbers, 1 not of length 1, 1 of another dimension",
    ),
    "two vectors that changed places": (
        ["UPDATE chunks SET vector_id = 41 - vector_id"],
        "vectors",
        "40 chunks have the vector of another text",
    ),
    "a chunk that lost its vector": (
        ["UPDATE chunks SET vector_id = NULL WHERE id = 9"],
        "vectors",
        "1 vectors belong to no chunk",
    ),
    "a document that is gone": (
        ["DELETE FROM documents WHERE id = 2", "UPDATE collections SET chunks = 3"],
        "catalogue",
        "1 chunks belong to no document",
    ),
    "another text than was embedded": (
        ["UPDATE chunks SET text = 'zebra' WHERE id = 4"],
        "catalogue",
        "1 chunks have another text than was embedded",
    ),
    "words of a chunk forgotten": (
        [
            "INSERT INTO lexical_1(lexical_1) VALUES ('delete-all')",
            "INSERT INTO lexical_1(rowid, tokens) VALUES (999, 'ghost')",
        ],
        "words",
        "40 chunks are missing",
    ),
    "postings overwritten": (
        ["UPDATE lexical_1_data SET block = zeroblob(length(block)) WHERE id > 10"],
        "words",
        "the lexical index is damaged",
    ),
    "other words for a chunk": (
        [
            "INSERT INTO lexical_1(lexical_1, rowid, tokens) VALUES ('delete', 1, 'eitem0 pitem0')",
            "INSERT INTO lexical_1(rowid, tokens) VALUES (1, 'wrong')",
        ],
        "words",
        "words are not where the text has them",
    ),
}


def test_a_sound_collection_has_no_problems(base):
    assert problems(base) == []


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_and_mended(base, damage):
    statements, part, told = damage
    expected = answers(base, "exact")
    sql(base, *statements)

    done = run_repair(base)

    assert any(problem.part == part and told in problem.detail for problem in done.before)
    assert {problem.remedy for problem in done.before} == {"repair"}
    assert done.after.problems == ()
    if part != "catalogue":
        assert answers(base, "exact") == expected
    assert answers(base, "chroma") == answers(base, "exact")


def test_only_what_lacks_a_vector_is_embedded(base):
    sql(base, "DELETE FROM vectors_1 WHERE id IN (5, 6)")
    embedder = HashEmbedder()
    assert run_repair(base, embedder).chunks_embedded == 2
    sql(base, "INSERT INTO lexical_1(lexical_1) VALUES ('delete-all')")
    assert run_repair(base, embedder).chunks_embedded == 0


def test_an_index_of_sqlite_that_lost_a_row_is_made_anew(base):
    path = base / ".aivax" / CATALOGUE_FILE
    with sqlite3.connect(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks_by_vector'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    data = bytearray(path.read_bytes())
    cells = (page - 1) * size + 3  # of a leaf's header: how many rows the page holds, big-endian
    data[cells : cells + 2] = struct.pack(">H", struct.unpack(">H", data[cells : cells + 2])[0] - 1)
    path.write_bytes(data)
    assert any("missing from index" in detail for _, detail, _ in problems(base))
    assert run_repair(base).after.problems == ()


def test_a_catalogue_that_cannot_be_read_is_to_be_deleted(base):
    path = base / ".aivax" / CATALOGUE_FILE
    with sqlite3.connect(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(data)
    assert "delete" in {remedy for _, _, remedy in problems(base)}
    done = aivax_here("doctor", "--collection", "kb", cwd=base)
    assert done.code == 1
    assert f"delete {path}, then: aivax ingest docs --collection kb" in done.out


# Chroma in a folder

in_a_folder = pytest.mark.parametrize("vector_store", ["embedded"], indirect=True)


@in_a_folder
def test_a_chroma_folder_that_is_gone_is_found_and_made_anew(base):
    shutil.rmtree(base / ".aivax" / "chroma")
    ((part, detail, _),) = problems(base)
    assert part == "Chroma"
    assert "files are missing" in detail
    assert run_repair(base).after.problems == ()
    assert answers(base, "chroma") == answers(base, "exact")


@in_a_folder
def test_vectors_that_chroma_lacks_are_found_and_given_to_it(base):
    with sqlite3.connect(snapshot(base) / "chroma.sqlite3") as db:
        db.execute("DELETE FROM embeddings WHERE embedding_id IN ('3', '4')")
    db.close()
    ((part, detail, _),) = problems(base)
    assert (part, detail.partition("damaged: ")[2]) == ("Chroma", "2 of 40 vectors are missing")
    assert run_repair(base).after.problems == ()


@in_a_folder
def test_vectors_that_chroma_holds_but_does_not_find_are_found_by_asking(base):
    with sqlite3.connect(snapshot(base) / "chroma.sqlite3") as db:
        db.execute("UPDATE embeddings_queue SET vector = zeroblob(length(vector)) WHERE seq_id % 2")
    db.close()
    ((part, detail, _),) = problems(base)
    assert part == "Chroma"
    assert "damaged" in detail
    assert run_repair(base).after.problems == ()


def test_another_embedder_cannot_repair(base):
    sql(base, "DELETE FROM vectors_1 WHERE id = 5")
    with pytest.raises(KnowledgeError, match="indexed with hashing"):
        run_repair(base, HashEmbedder(fingerprint="other/1"))
    assert [detail for _, detail, _ in problems(base)] == ["1 chunks have no vector"]


# The command, and files


def test_the_command_says_that_all_is_well(base):
    done = aivax_here("doctor", "--collection", "kb", cwd=base)
    assert done.code == 0
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["✓", "catalogue"],
        ["✓", "words"],
        ["✓", "vectors"],
        ["✓", "Chroma"],
        ["✓", "files"],
    ]


def test_files_that_are_gone_changed_or_new_are_told_with_the_command(base):
    (base / "docs/03.md").unlink()
    write_files(base, {"docs/04.md": "# Changed\n", "docs/new.md": "# New\n"})
    done = aivax_here("doctor", "--collection", "kb", "--json", cwd=base)
    files = [finding for finding in done.json["findings"] if finding["check"] == "files"]
    assert [finding["detail"] for finding in files] == [
        "1 are gone, their documents are still found: docs/03.md",
        "1 have changed since they were ingested: docs/04.md",
        "1 are in the ingested folders but not in the collection: docs/new.md",
    ]
    assert {finding["fix"] for finding in files} == {"aivax ingest docs --collection kb"}
    assert done.code == 0
    run_ingest(base)
    assert "!" not in aivax_here("doctor", "--collection", "kb", cwd=base).out


def test_documents_that_came_as_jsonl_are_not_looked_for_as_files(base):
    write_files(base, {"docs/more.jsonl": '{"docid": "wiki/one", "text": "A text of its own."}\n'})
    run_ingest(base)
    done = aivax_here("doctor", "--collection", "kb", cwd=base)
    assert done.code == 0
    assert "as they were ingested" in done.out


def test_damage_is_told_with_the_command_that_mends_it(base):
    sql(base, "DELETE FROM vectors_1 WHERE id = 5")
    done = aivax_here("doctor", "--collection", "kb", cwd=base)
    assert done.code == 1
    assert "1 chunks have no vector" in done.out
    assert "aivax doctor --collection kb --repair" in done.out


def test_an_unknown_collection_is_told_with_the_nearest_name(base):
    done = aivax_here("doctor", "--collection", "kbb", cwd=base)
    assert done.code == 2
    assert "'kb'" in done.err


def test_repair_needs_the_name_of_a_collection(base):
    done = aivax_here("doctor", "--repair", cwd=base)
    assert done.code == 2
    assert "--collection NAME" in done.err
