"""Killed at any moment, an ingest is gone on with, and ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.ingest_server import IngestServer
from support.knowledge import (
    STORE_VARIABLE,
    HashEmbedder,
    open_knowledge,
    run_ingest,
    server_address,
    write_files,
)
from support.patience import until

from aivax_cli.core.types import RetrievalLimits
from aivax_cli.retrieval import indexes
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma import ChromaFolder
from aivax_cli.retrieval.names import chroma_name
from aivax_cli.retrieval.served_journal import Journal

KILLS = int(os.environ.get("AIVAX_TEST_KILLS", "20"))
FILES = int(os.environ.get("AIVAX_TEST_KILL_FILES", "40"))
WORDS = [f"word{number}" for number in range(400)]
QUESTIONS = ("word7 word11", "word42", "word200 word3 word90")


@pytest.fixture(scope="module")
def server():
    server = IngestServer()
    yield server
    server.close()


def write_corpus(base: Path, seed: int = 0) -> None:
    chance = random.Random(seed)
    files = {
        f"docs/{number:04d}.md": "\n\n".join(
            f"# Part {part}\n\n" + " ".join(chance.choices(WORDS, k=60)) for part in range(1 + number % 4)
        )
        for number in range(FILES)
    }
    write_files(base, files)


def content(base: Path) -> dict[str, object]:
    """Everything that a search can see, without numbers that are the store's own."""
    with sqlite3.connect(base / ".aivax" / "catalogue.db") as db:
        chunks = db.execute(
            "SELECT d.name, d.state, d.content_hash, c.ordinal, c.heading, c.text, c.first_line, v.vector "
            "FROM chunks c JOIN documents d ON d.id = c.document_id "
            "LEFT JOIN vectors_1 v ON v.id = c.vector_id ORDER BY d.name, c.ordinal"
        ).fetchall()
        vectors = db.execute("SELECT hash, vector FROM vectors_1 ORDER BY hash").fetchall()
        postings = db.execute("SELECT term, doc, cnt FROM terms_1 ORDER BY term").fetchall()
        counted = db.execute("SELECT chunks FROM collections").fetchone()[0]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.execute("INSERT INTO lexical_1(lexical_1) VALUES ('integrity-check')")
    assert counted == len(chunks)
    return {"chunks": chunks, "vectors": vectors, "postings": postings}


def found(base: Path, index: str) -> list[list[tuple[str, float]]]:
    knowledge = open_knowledge(base, vector_index=index, strict=index == "chroma")
    limits = RetrievalLimits(top=10, min_score=0.0)
    results = [knowledge.search(["kb"], [question], limits).passages for question in QUESTIONS]
    knowledge.close()
    return [[(passage.id, round(passage.score, 4)) for passage in passages] for passages in results]


def assert_alike(one: list[list[tuple[str, float]]], other: list[list[tuple[str, float]]]) -> None:
    """The same passages in the same order; Chroma in a folder computes cosines to seven digits of its own."""
    assert [[name for name, _ in hits] for hits in one] == [[name for name, _ in hits] for hits in other]
    scores = [[score for hits in each for _, score in hits] for each in (one, other)]
    assert scores[0] == pytest.approx(scores[1], abs=2e-4)


def ready_chunks(base: Path) -> int:
    """Chunks of finished documents, asked of what a killed ingest has left."""
    catalogue = Catalogue.open(base / ".aivax")
    if catalogue is None:
        return 0
    with catalogue.reading() as reader:
        collection = reader.collection("kb")
        done = (
            0
            if collection is None
            else sum(
                document.chunks
                for document in reader.document_summaries(collection.id)
                if document.state == "ready"
            )
        )
    catalogue.close()
    return done


@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_ends_as_an_undisturbed_run(server, tmp_path):
    calm = tmp_path / "calm"
    write_corpus(calm)
    server.start(calm)
    server.wait()
    start = time.monotonic()  # timed on the second run, with everything warm
    write_corpus(tmp_path / "timed")
    server.start(tmp_path / "timed", 0.01)
    code, total = server.wait()
    duration = time.monotonic() - start
    assert code == 0
    expected, answers = content(calm), found(calm, "exact")
    chance = random.Random(20)
    killed, number = 0, 0
    while number < KILLS or killed <= KILLS // 4:
        number += 1
        assert number < 10 * KILLS
        base = tmp_path / f"killed-{number}"
        write_corpus(base)
        start = time.monotonic()
        pid = server.start(base, 0.01)
        time.sleep(chance.uniform(0, duration))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code, _ = server.wait()
        if code == -signal.SIGKILL:
            killed += 1
        else:  # the machine is less busy than when it was timed
            duration = min(duration, time.monotonic() - start) * 0.8
        done = ready_chunks(base)
        server.start(base)
        code, embedded = server.wait()
        assert code == 0
        assert embedded <= total - done
        assert content(base) == expected
        assert found(base, "exact") == answers
    assert_alike(found(base, "chroma"), answers)


def test_killed_while_changed_files_are_taken_in_it_serves_old_or_new_and_then_new(server, tmp_path):
    write_corpus(tmp_path)
    server.start(tmp_path)
    server.wait()
    write_corpus(tmp_path, seed=1)
    for pause in (0.0, 0.03, 0.1):
        pid = server.start(tmp_path, 0.01)
        time.sleep(pause)
        with suppress(ProcessLookupError):  # on a busy machine it may be through by now
            os.kill(pid, signal.SIGKILL)
        server.wait()
        assert all(found(tmp_path, "exact"))
    server.start(tmp_path)
    assert server.wait()[0] == 0
    fresh = tmp_path / "fresh"
    write_corpus(fresh, seed=1)
    run_ingest(fresh, embedder=HashEmbedder())
    assert content(tmp_path) == content(fresh)
    assert_alike(found(tmp_path, "chroma"), found(tmp_path, "exact"))


def killed_at_chroma(server, base: Path) -> bool:
    """Kills an ingest that has begun to write Chroma's folder; False where it was through before."""
    write_corpus(base)
    pid = server.start(base)
    home = base / ".aivax" / "chroma"
    until(lambda: home.exists() and any(home.iterdir()), look_every_s=0.001)
    time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return server.wait()[0] == -signal.SIGKILL


def test_killed_while_chroma_is_written_the_next_run_writes_it(server, tmp_path):
    base = next(base for n in range(20) if killed_at_chroma(server, base := tmp_path / str(n)))
    server.start(base)
    assert server.wait() == (0, 0)
    (folder,) = (base / ".aivax" / "chroma").iterdir()
    with sqlite3.connect(base / ".aivax" / "catalogue.db") as db:
        numbers = {row[0] for row in db.execute("SELECT id FROM vectors_1")}
    chroma = ChromaFolder(folder, chroma_name("kb"), create=False)
    assert chroma.ids() == numbers
    chroma.close()


@pytest.fixture
def over_a_server(chroma, monkeypatch):
    """Ingests that may be killed and searches, all with the vectors indexed on a server."""
    monkeypatch.setenv(STORE_VARIABLE, chroma.url)
    monkeypatch.setattr(indexes, "EXACT_LIMIT", -1)
    server = IngestServer()
    yield server
    server.close()


@pytest.mark.timeout(600)
def test_killed_at_random_moments_over_a_server_it_ends_as_an_undisturbed_run(
    over_a_server, chroma, tmp_path
):
    calm = tmp_path / "calm"
    for _ in range(2):  # timed on the second run, with everything warm
        shutil.rmtree(calm, ignore_errors=True)
        write_corpus(calm)
        begun = time.monotonic()
        over_a_server.start(calm)
        assert over_a_server.wait()[0] == 0
        duration = time.monotonic() - begun
    expected, answers = content(calm), found(calm, "exact")
    assert found(calm, "chroma") == answers
    chance = random.Random(30)
    killed, number = 0, 0
    bases = max(3, KILLS // 6)
    while number < bases or killed <= bases // 2:
        number += 1
        assert number < 10 * bases
        base = tmp_path / f"killed-{number}"
        write_corpus(base)
        for part in (1.0, 0.6):  # killed, and killed again while it goes on
            begun = time.monotonic()
            pid = over_a_server.start(base)
            time.sleep(chance.uniform(0.2, 1) * duration * part)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if over_a_server.wait()[0] == -signal.SIGKILL:
                killed += 1
            else:  # the machine is less busy than when it was timed
                duration = min(duration, time.monotonic() - begun) * 0.8
            if ready_chunks(base):
                assert found(base, "auto") == found(base, "exact")
        over_a_server.start(base)
        assert over_a_server.wait()[0] == 0
        assert content(base) == expected
        assert found(base, "chroma") == answers
        made = Journal(base / ".aivax", server_address()).made()
        (name,) = made.keys() & chroma.collections().keys()
        assert chroma.ids(name) == vector_ids(base)


def vector_ids(base: Path) -> set[int]:
    with sqlite3.connect(base / ".aivax" / "catalogue.db") as db:
        return {row[0] for row in db.execute("SELECT id FROM vectors_1")}
