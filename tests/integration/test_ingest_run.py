"""Ingests of real folders into a real store."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.knowledge import HashEmbedder, open_knowledge, run_ingest, server_address, write_files
from support.patience import PATIENT_S, until

from aivax_cli.core.errors import IngestError, KnowledgeError, NotFoundError
from aivax_cli.core.types import RetrievalLimits
from aivax_cli.ingest.progress import Progress
from aivax_cli.retrieval.chroma_server import ChromaServer
from aivax_cli.retrieval.management import list_collections, remove_collection, show_collection
from aivax_cli.retrieval.served_journal import Journal

pytestmark = pytest.mark.usefixtures("vector_store")

ANY = RetrievalLimits(min_score=0.0)
OLD_NS = 1_500_000_000_000_000_000


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_files(
        tmp_path,
        {
            "docs/a.md": "# Cost\n\nThe cost is counted in tokens.\n",
            "docs/b.md": "# Cats\n\nCats sleep most of the day.\n",
            "docs/sub/c.md": "# Nações\n\nAs nações unidas reúnem-se hoje.\n",
        },
    )


def search(base: Path, question: str, collection: str = "kb", vector_index: str | None = None) -> list[str]:
    knowledge = open_knowledge(base, vector_index=vector_index)
    passages = knowledge.search([collection], [question], ANY).passages
    knowledge.close()
    return [passage.source.document for passage in passages]


def indexes_of(base: Path) -> list[str]:
    """The folders of Chroma's, or what the workspace has on a server."""
    address = server_address()
    if address is None:
        return [folder.name for folder in (base / ".aivax/chroma").iterdir()]
    server = ChromaServer(address, wait_s=10)
    return [name for name in Journal(base / ".aivax", address).made() if server.open(name) is not None]


def texts(embedder: HashEmbedder) -> list[str]:
    """What was embedded of the documents, without the fixed texts that measure the embedder itself."""
    return [text for text in embedder.passages if "#" in text]


def test_a_folder_becomes_searchable(base):
    summary = run_ingest(base)
    assert (summary.added, summary.documents, summary.chunks, summary.chunks_embedded) == (3, 3, 3, 3)
    assert search(base, "how is the cost counted?")[0] == "docs/a.md"
    assert search(base, "NACAO unida")[0] == "docs/sub/c.md"


def test_passages_know_their_place(base):
    run_ingest(base)
    knowledge = open_knowledge(base)
    best = knowledge.search(["kb"], ["cats sleep"], ANY).passages[0]
    assert (best.source.collection, best.source.place, best.rank) == ("kb", "docs/b.md:1-3", 1)
    assert "Cats" in best.source.heading


def test_unchanged_files_are_neither_embedded_nor_rewritten(base):
    run_ingest(base)
    embedder = HashEmbedder()
    summary = run_ingest(base, embedder=embedder)
    assert (summary.unchanged, summary.added, summary.changed, summary.embedding_tokens) == (3, 0, 0, 0)
    assert embedder.passages == []


def test_a_touched_file_of_the_same_content_is_unchanged(base):
    run_ingest(base)
    os.utime(base / "docs/a.md")
    assert run_ingest(base).unchanged == 3


def test_an_edit_of_the_same_size_and_time_is_noticed(base):
    path = base / "docs/b.md"
    os.utime(path, ns=(OLD_NS, OLD_NS))
    run_ingest(base)
    path.write_text(path.read_text().replace("Cats", "Dogs"))
    os.utime(path, ns=(OLD_NS, OLD_NS))
    assert run_ingest(base).changed == 1
    assert search(base, "dogs")[0] == "docs/b.md"


def test_a_changed_file_embeds_its_changed_chunks_alone(base):
    parts = [f"# Part {number}\n\n" + f"word{number} " * 60 for number in range(6)]
    write_files(base, {"docs/long.md": "\n\n".join(parts)})
    run_ingest(base)
    parts[3] = "# Part 3\n\n" + "zebra " * 60
    write_files(base, {"docs/long.md": "\n\n".join(parts)})
    embedder = HashEmbedder()
    summary = run_ingest(base, embedder=embedder)
    assert (summary.changed, len(texts(embedder))) == (1, 1)
    assert search(base, "zebra")[0] == "docs/long.md"
    assert not any("word3" in text for text in stored_texts(base))


def stored_texts(base: Path) -> list[str]:
    with sqlite3.connect(base / ".aivax/catalogue.db") as db:
        return [row[0] for row in db.execute("SELECT text FROM chunks")]


def test_files_that_are_gone_are_removed(base):
    run_ingest(base)
    (base / "docs/b.md").unlink()
    assert run_ingest(base).removed == 1
    assert "docs/b.md" not in search(base, "cats sleep")


def test_keep_missing_keeps_them(base):
    run_ingest(base)
    (base / "docs/b.md").unlink()
    assert run_ingest(base, keep_missing=True).removed == 0
    assert search(base, "cats sleep")[0] == "docs/b.md"


def test_another_folder_leaves_the_first_ones_documents(base):
    write_files(base, {"more/d.md": "# Dogs\n\nDogs bark.\n", "docsy/e.md": "# Eels\n\nEels swim.\n"})
    run_ingest(base)
    run_ingest(base, "docsy")
    assert run_ingest(base, "more").removed == 0
    (base / "docs/b.md").unlink()
    assert run_ingest(base, "docs").removed == 1
    assert {document.name for document in show_collection(base / ".aivax", "kb")[1]} == {
        "docs/a.md", "docs/sub/c.md", "docsy/e.md", "more/d.md",
    }  # fmt: skip


def test_ingesting_the_workspace_itself_covers_all_below_it(base):
    run_ingest(base, "docs")
    (base / "docs/b.md").unlink()
    assert run_ingest(base, ".").removed == 1


def test_one_bad_file_is_reported_and_the_rest_goes_on(base):
    (base / "docs/broken.pdf").write_bytes(b"%PDF-1.7\nnot really")
    summary = run_ingest(base)
    assert summary.added == 3
    assert [notice.name for notice in (*summary.failed, *summary.skipped)] == ["docs/broken.pdf"]


def test_a_file_that_cannot_be_read_any_more_keeps_its_last_version(base):
    run_ingest(base)
    (base / "docs/a.md").write_bytes(b"\x00\x01\x02\x00" * 500)
    summary = run_ingest(base)
    assert "docs/a.md" in {notice.name for notice in (*summary.failed, *summary.skipped)}
    assert search(base, "cost tokens")[0] == "docs/a.md"


def test_an_empty_folder_is_an_error_and_removes_nothing(base):
    run_ingest(base)
    for path in (base / "docs").rglob("*.md"):
        path.unlink()
    with pytest.raises(IngestError, match="no documents to read"):
        run_ingest(base)
    assert len(search(base, "cats")) == 3


def test_a_missing_path_makes_no_collection(base):
    with pytest.raises(IngestError, match="nowhere"):
        run_ingest(base, "nowhere")
    assert list_collections(base / ".aivax") == []


def test_equal_files_are_embedded_once_and_found_once(base):
    text = (base / "docs/b.md").read_text()
    write_files(base, {"docs/copy/b.md": text})
    embedder = HashEmbedder()
    run_ingest(base, embedder=embedder)
    assert len(texts(embedder)) == 3
    assert (
        search(base, "cats sleep").count("docs/b.md") + search(base, "cats sleep").count("docs/copy/b.md")
        == 1
    )


def test_a_second_collection_takes_over_vectors(base):
    run_ingest(base)
    embedder = HashEmbedder()
    summary = run_ingest(base, collection="other", embedder=embedder)
    assert (summary.chunks, summary.chunks_embedded) == (3, 0)
    assert texts(embedder) == []
    assert search(base, "cats sleep", "other")[0] == "docs/b.md"


def test_another_embedder_is_refused_with_the_command_that_reindexes(base):
    run_ingest(base)
    with pytest.raises(KnowledgeError, match=r"aivax ingest docs --collection kb --reindex"):
        run_ingest(base, embedder=HashEmbedder("hash/2"))


def test_reindex_takes_another_embedder(base):
    run_ingest(base)
    other = HashEmbedder("hash/2", dimension=32)
    assert run_ingest(base, embedder=other, reindex=True).chunks_embedded == 3
    knowledge = open_knowledge(base, other)
    assert knowledge.search(["kb"], ["cats sleep"], ANY).passages[0].source.document == "docs/b.md"


def test_documents_are_found_by_words_before_they_have_vectors(base):
    class Stopped(HashEmbedder):
        def embed_passages(self, texts, on_batch=None):
            if any("Cats" in text for text in texts):
                raise KeyboardInterrupt
            return super().embed_passages(texts, on_batch)

    with pytest.raises(KeyboardInterrupt):
        run_ingest(base, embedder=Stopped())
    assert search(base, "cats sleep", vector_index="exact")[0] == "docs/b.md"
    summary = run_ingest(base)
    assert (summary.unchanged, summary.chunks_embedded) == (3, 3)


def test_progress_counts_files_and_then_chunks(base):
    seen: list[Progress] = []
    run_ingest(base, on_progress=seen.append)
    reading = [event for event in seen if event.phase == "reading"]
    assert [(event.files_done, event.files_total) for event in reading] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    last = [event for event in seen if event.phase == "embedding"][-1]
    assert (last.chunks_done, last.chunks_total) == (3, 3)


def test_the_second_writer_waits_and_is_told_for_whom(base):
    inside, go_on = threading.Event(), threading.Event()

    class Waiting(HashEmbedder):
        def embed_passages(self, texts, on_batch=None):
            inside.set()
            assert go_on.wait(2 * PATIENT_S)
            return super().embed_passages(texts, on_batch)

    first = threading.Thread(target=run_ingest, args=(base,), kwargs={"embedder": Waiting()})
    first.start()
    assert inside.wait(PATIENT_S)
    with pytest.raises(IngestError, match=rf"process {os.getpid()} \(ingesting into 'kb'\)"):
        run_ingest(base, collection="other", wait_s=0)
    told: list[str] = []
    second = threading.Thread(
        target=run_ingest, args=(base,), kwargs={"collection": "other", "on_wait": told.append}
    )
    second.start()
    until(lambda: told)
    assert search(base, "cats sleep", vector_index="exact")[0] == "docs/b.md"  # readers wait for nobody
    go_on.set()
    first.join(PATIENT_S)
    second.join(PATIENT_S)
    assert told == [f"waiting for process {os.getpid()} (ingesting into 'kb')"]
    assert {collection.name for collection in list_collections(base / ".aivax")} == {"kb", "other"}


def test_two_processes_at_once_lose_nothing(base):
    write_files(
        base, {f"docs/{number}.md": f"# File {number}\n\nnumber{number} here" for number in range(30)}
    )
    code = "import sys; from pathlib import Path; from support.knowledge import run_ingest\n"
    code += "run_ingest(Path(sys.argv[1]))"
    tests = Path(__file__).parents[1]
    processes = [subprocess.Popen([sys.executable, "-c", code, str(base)], cwd=tests) for _ in range(2)]
    assert [process.wait(PATIENT_S) for process in processes] == [0, 0]
    (summary,) = list_collections(base / ".aivax")
    assert (summary.documents, summary.chunks, summary.pending_documents) == (33, 33, 0)
    knowledge = open_knowledge(base)
    for number in range(30):
        (best, *_) = knowledge.search(["kb"], [f"number{number}"], ANY).passages
        assert best.source.document == f"docs/{number}.md"


def test_the_lock_of_a_dead_process_is_no_lock(base):
    directory = base / ".aivax"
    directory.mkdir()
    (directory / "write.lock").touch()
    (directory / "write.holder.json").write_text(json.dumps({"pid": 1, "purpose": "nothing", "since": 0}))
    assert run_ingest(base, wait_s=0).added == 3


def test_a_full_disk_is_an_error_and_leaves_the_index_usable(base):
    run_ingest(base)
    write_files(base, {f"docs/big{number}.md": f"# Big\n\nzebra{number} " * 200 for number in range(60)})
    code = (
        "import sys, resource, signal; from pathlib import Path; from support.knowledge import run_ingest\n"
        "sys.dont_write_bytecode = True\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, 1_200_000))\n"
        "try: run_ingest(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(base)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=2 * PATIENT_S,
        check=False,
    )
    assert run.stdout.startswith("IngestError"), run.stdout + run.stderr
    assert "\n" not in run.stdout.strip()
    assert search(base, "cats sleep")[0] == "docs/b.md"
    summary = run_ingest(base)
    assert (summary.documents, summary.failed) == (63, ())
    assert search(base, "zebra7")[0] == "docs/big7.md"


def test_a_folder_that_may_not_be_written_is_an_error(base):
    locked = base / ".aivax"
    locked.write_text("a file where the folder should be")
    with pytest.raises(IngestError, match="cannot be written"):
        run_ingest(base)


def test_a_removed_collection_leaves_nothing_behind(base):
    run_ingest(base)
    run_ingest(base, collection="other")
    assert remove_collection(base / ".aivax", "kb", server=server_address()).documents == 3
    assert [collection.name for collection in list_collections(base / ".aivax")] == ["other"]
    assert len(indexes_of(base)) == 1
    with pytest.raises(NotFoundError):
        remove_collection(base / ".aivax", "kb")
    assert search(base, "cats sleep", "other")[0] == "docs/b.md"
    with sqlite3.connect(base / ".aivax/catalogue.db") as db:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        assert not tables & {"vectors_1", "lexical_1", "terms_1"}
        assert db.execute("SELECT count(*), min(collection_id) FROM chunks").fetchone() == (3, 2)


def test_a_collection_shows_its_documents(base):
    run_ingest(base)
    summary, documents = show_collection(base / ".aivax", "kb")
    assert (summary.documents, summary.embedder, summary.sources) == (3, "hashing", ("docs",))
    assert summary.tokens == sum(document.tokens for document in documents) > 0
    assert [(document.name, document.chunks, document.state) for document in documents] == [
        ("docs/a.md", 1, "ready"), ("docs/b.md", 1, "ready"), ("docs/sub/c.md", 1, "ready"),
    ]  # fmt: skip
