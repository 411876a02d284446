"""How documents are cut: the collection's own setting, and what is said about what comes out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support.knowledge import HashEmbedder, run_ingest, write_files

from aivax_cli.ingest.progress import IngestSummary
from aivax_cli.retrieval import schema
from aivax_cli.retrieval.catalogue import Catalogue

LONG = "# Long\n\n" + "\n\n".join(f"Paragraph {n} has these eight words in it." for n in range(60))


def chunk_tokens(base: Path) -> list[int]:
    with sqlite3.connect(base / ".aivax/catalogue.db") as db:
        return [row[0] for row in db.execute("SELECT tokens FROM chunks")]


def warnings(summary: IngestSummary) -> list[str]:
    return [notice.reason for notice in summary.warnings]


def test_chunks_hold_at_most_the_tokens_asked_for(tmp_path):
    write_files(tmp_path, {"docs/a.md": LONG})
    run_ingest(tmp_path, chunk_tokens=40)
    assert 30 < max(chunk_tokens(tmp_path)) <= 40


def test_another_number_cuts_unchanged_files_again_and_the_same_number_does_not(tmp_path):
    write_files(tmp_path, {"docs/a.md": LONG, "docs/b.md": "# Short\n\n" + "word " * 20})
    before = run_ingest(tmp_path, chunk_tokens=200)
    embedder = HashEmbedder()
    after = run_ingest(tmp_path, chunk_tokens=40, embedder=embedder)
    assert (after.changed, after.unchanged) == (2, 0)
    assert after.chunks > before.chunks
    assert not any("Short" in text for text in embedder.passages)  # its text is the same: nothing to embed
    assert run_ingest(tmp_path, chunk_tokens=40).unchanged == 2


def test_an_ingest_stopped_while_it_cuts_again_goes_on_with_the_rest(tmp_path):
    write_files(tmp_path, {f"docs/{n}.md": LONG.replace("Long", f"L{n}") for n in range(3)})
    run_ingest(tmp_path, chunk_tokens=200)

    def stop(progress):
        if progress.phase == "reading" and progress.files_done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ingest(tmp_path, chunk_tokens=40, on_progress=stop)
    summary = run_ingest(tmp_path, chunk_tokens=40)
    assert (summary.changed, summary.unchanged) == (2, 1)
    assert max(chunk_tokens(tmp_path)) <= 40


def test_small_chunks_are_counted_and_the_first_is_named(tmp_path):
    write_files(tmp_path, {f"docs/{n}.md": f"# T{n}\n\nTwo words.\n" for n in range(12)})
    summary = run_ingest(tmp_path)
    assert warnings(summary) == ["12 chunks under 10 tokens, first: docs/0.md:1-3"]
    assert warnings(run_ingest(tmp_path)) == []  # nothing was read, nothing to say


def test_documents_of_the_same_content_are_counted(tmp_path):
    text = "# Same\n\n" + "word " * 30
    write_files(tmp_path, {"docs/a.md": text, "docs/b.md": text, "docs/c.md": text})
    assert warnings(run_ingest(tmp_path)) == [
        "2 documents have the same content as another one, first: docs/b.md and docs/a.md"
    ]


def test_a_file_without_text_is_named(tmp_path):
    write_files(tmp_path, {"docs/a.md": "\n \n\n", "docs/b.md": "# B\n\n" + "word " * 30})
    assert warnings(run_ingest(tmp_path)) == ["1 file without any text: docs/a.md"]


def test_a_catalogue_of_the_first_layout_is_upgraded_in_place(tmp_path):
    write_files(tmp_path, {"docs/a.md": LONG})
    directory = tmp_path / ".aivax"
    directory.mkdir()
    with sqlite3.connect(directory / "catalogue.db") as db:
        db.executescript(f"{schema.TABLES} PRAGMA user_version = 1;")
        db.execute(
            "INSERT INTO collections(name, embedder, fingerprint, dimension, analyzer, created_at,"
            " updated_at) VALUES ('old', 'hashing', 'hash/1', 64, 'x', 0, 0)"
        )
        for statement in schema.collection_tables(1):
            db.execute(statement)
        db.execute(
            "INSERT INTO documents(collection_id, name, title, kind, content_hash, size, mtime_ns, ctime_ns,"
            " checked_ns, state) VALUES (1, 'docs/a.md', 'A', 'markdown', x'00', 1, 2, 3, 4, 'ready')"
        )
    catalogue = Catalogue.open(directory)  # a reader that came before any ingest
    with catalogue.reading() as reader:
        document = reader.document(1, "docs/a.md")
    assert (document.cutting, document.source, document.labels.tags) == ("1:256", "", ())
    assert run_ingest(tmp_path, collection="old").changed == 1
