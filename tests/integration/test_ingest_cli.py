"""`aivax ingest` as a command, with what the collection's file says."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import AS_AN_ORDINARY_USER
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


@pytest.mark.skipif(sys.platform != "linux", reason="root is an ordinary user on Linux alone")
def test_what_may_not_be_read_fails_the_ingest_and_is_not_taken_for_gone(tmp_path: Path):
    write_files(tmp_path, {"docs/a.md": "# A\n", "docs/b.md": "# B\n", "aivax.yaml": ""})
    assert aivax_here("ingest", "docs", "-c", "kb", cwd=tmp_path).code == 0
    (tmp_path / "docs/b.md").chmod(0)
    call = [sys.executable, "-c", AS_AN_ORDINARY_USER, "ingest", "docs", "-c", "kb", "--dry-run", "--json"]
    plan = json.loads(subprocess.run(call, cwd=tmp_path, capture_output=True, check=True).stdout)
    assert plan["failed"] == [{"name": "docs/b.md", "reason": "permission denied; check its permissions"}]
    assert plan["removed"] == 0
    done = subprocess.run(call[:-2], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert "docs/b.md: not read: permission denied" in done.stderr
    assert aivax_here("collections", "show", "kb", "--json", cwd=tmp_path).json["documents"][1:]


@pytest.mark.skipif(sys.platform != "linux", reason="root is an ordinary user on Linux alone")
def test_a_workspace_that_may_not_be_read_is_told_with_what_to_do(tmp_path: Path):
    write_files(tmp_path, {"gateways/a.yaml": "", "aivax.yaml": ""})
    (tmp_path / "gateways").chmod(0)
    call = [sys.executable, "-c", AS_AN_ORDINARY_USER, "gateways", "validate"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, check=False, text=True)
    (tmp_path / "gateways").chmod(0o755)
    assert done.stderr == f"error: {tmp_path}/gateways: Permission denied; check its permissions\n"


def test_a_folder_of_nothing_that_is_read_says_why(tmp_path: Path):
    write_files(tmp_path, {"docs/a.md": "", "aivax.yaml": ""})
    done = aivax_here("ingest", "docs", "-c", "kb", cwd=tmp_path)
    assert done.code == 1
    assert "docs: no documents to read; docs/a.md: empty" in done.err
