"""`aivax ingest` as a command, with what the collection's file says."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from support.in_process import aivax_here
from support.knowledge import write_files


def test_the_collections_file_says_how_large_chunks_are(tmp_path: Path):
    text = "# Long\n\n" + "\n\n".join(f"Paragraph {n} says something plain." for n in range(40))
    definition = "chunk_tokens: 64\nsources: [docs]\n"
    write_files(tmp_path, {"docs/a.md": text, "collections/kb.yaml": definition, "aivax.yaml": ""})
    assert aivax_here("ingest", "--collection", "kb", "--json", cwd=tmp_path).json["added"] == 1
    with sqlite3.connect(tmp_path / ".aivax/catalogue.db") as db:
        (largest,) = db.execute("SELECT max(tokens) FROM chunks").fetchone()
    assert 32 < largest <= 64


def test_a_name_that_no_collection_can_have_is_refused_with_what_it_may_be(tmp_path: Path):
    write_files(tmp_path, {"docs/a.md": "# A\n", "aivax.yaml": ""})
    done = aivax_here("ingest", "docs", "--collection", "../kb", cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith("error: '../kb': cannot name a collection; use 1 to 128 printable characters")
