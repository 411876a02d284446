"""The catalogue as a file."""

from __future__ import annotations

import shutil
import sqlite3
from math import log
from pathlib import Path

import pytest
from support.knowledge import HashEmbedder, run_ingest, write_files

from aivax_cli.core.errors import IngestError, KnowledgeError
from aivax_cli.core.types import RetrievalLimits
from aivax_cli.retrieval.catalogue import CATALOGUE_FILE, Catalogue
from aivax_cli.retrieval.lexical import TermCounts
from aivax_cli.retrieval.records import EmbedderTag, FileStamp, NewChunk, NewDocument
from aivax_cli.retrieval.search import KnowledgeBase

TAG = EmbedderTag("hashing", "hash/1", 64)


def document(name: str) -> NewDocument:
    return NewDocument(name, name, "text", name.encode(), FileStamp(1, 2, 3), 4)


def chunk(text: str) -> NewChunk:
    return NewChunk(text, "", 1, 1, None, len(text.split()))


def filled(directory: Path, texts: dict[str, str]) -> Catalogue:
    directory.mkdir(exist_ok=True)
    catalogue = Catalogue.create(directory)
    with catalogue.writing() as writer:
        collection = writer.create_collection("kb", TAG)
        for name, text in texts.items():
            writer.put_document(collection.id, document(name), [chunk(text)])
    return catalogue


def test_a_newer_layout_is_refused_with_the_way_out(tmp_path):
    filled(tmp_path, {}).close()
    with sqlite3.connect(tmp_path / CATALOGUE_FILE) as db:
        db.execute("PRAGMA user_version = 99")
    for opened in (Catalogue.open, Catalogue.create):
        with pytest.raises(KnowledgeError, match="upgrade aivax"):
            opened(tmp_path)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path):
    (tmp_path / CATALOGUE_FILE).write_bytes(b"this is not a database, and long enough to be looked at" * 20)
    with pytest.raises(KnowledgeError, match="is damaged; delete it and ingest again"):
        Catalogue.open(tmp_path)


def test_a_catalogue_cut_short_is_a_clear_error(tmp_path):
    write_files(tmp_path, {f"docs/{n}.md": f"# {n}\n\nword{n} " * 40 for n in range(50)})
    run_ingest(tmp_path)
    path = tmp_path / ".aivax" / CATALOGUE_FILE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(KnowledgeError, match="damaged"):
        KnowledgeBase(tmp_path / ".aivax", HashEmbedder()).search(["kb"], ["word3"], RetrievalLimits())


def test_a_transaction_that_a_kill_cut_short_in_a_rollback_journal_is_undone_by_a_reader(tmp_path):
    catalogue = filled(tmp_path / "alive", {"a": "apple"})
    catalogue.close()
    path = tmp_path / "alive" / CATALOGUE_FILE
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the commit
        db.execute("BEGIN")
        db.execute(
            "CREATE TABLE half AS WITH RECURSIVE n(i) AS "
            "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90) SELECT zeroblob(9000) FROM n"
        )
        shutil.copytree(tmp_path / "alive", tmp_path / "killed")
        db.execute("ROLLBACK")
    db.close()
    assert (tmp_path / "killed" / f"{CATALOGUE_FILE}-journal").stat().st_size
    with Catalogue.open(tmp_path / "killed").reading() as reader:
        assert reader.collection("kb").chunks == 1


def test_an_absent_catalogue_is_none(tmp_path):
    assert Catalogue.open(tmp_path) is None
    (tmp_path / CATALOGUE_FILE).touch()
    assert Catalogue.open(tmp_path) is None


def test_words_are_counted_once_for_as_long_as_nothing_changes(tmp_path):
    filled(tmp_path, {"a": "apple", "b": "apple pear"}).close()
    counts = TermCounts()
    with sqlite3.connect(tmp_path / CATALOGUE_FILE) as db:
        assert counts.get(db, 1, 5, ["eappl", "epear"]) == [("eappl", 2), ("epear", 1)]
        db.execute("INSERT INTO lexical_1(rowid, tokens) VALUES (9, 'eappl')")
        assert counts.get(db, 1, 5, ["eappl"]) == [("eappl", 2)]
        assert counts.get(db, 1, 6, ["eappl"]) == [("eappl", 3)]
        db.execute("INSERT INTO lexical_1(rowid, tokens) VALUES (10, 'eappl')")
        assert counts.get(db, 1, 5, ["eappl"]) == [("eappl", 4)]  # an older view does not ask the newer's
        assert counts.get(db, 1, 6, ["eappl"]) == [("eappl", 3)]
    db.close()


def test_an_open_catalogue_counts_what_was_added_since(tmp_path):
    writing = filled(tmp_path, {"a": "apple", "b": "pear", "c": "plum"})
    catalogue = Catalogue.open(tmp_path)
    with catalogue.reading() as reader:
        reader.lexical(reader.collection("kb"), "apple", 10)
    with writing.writing() as writer:
        writer.put_document(1, document("d"), [chunk("apple")])
    with catalogue.reading() as reader:
        _, reach = reader.lexical(reader.collection("kb"), "apple", 10)
    assert reach == pytest.approx(2 * 2.2 * 1e-6)  # now that half of the passages hold it


def test_reach_is_what_fts5_itself_counts(tmp_path):
    texts = {"a": "apple apple", "b": "apple pear", "c": "plum", "d": "cherry", "e": "grape", "f": "melon"}
    catalogue = filled(tmp_path, texts)
    with catalogue.reading() as reader:
        hits, reach = reader.lexical(reader.collection("kb"), "apple and bananas", 10)
    held, absent = log((6 - 2 + 0.5) / 2.5), log(6.5 / 0.5)
    assert reach == pytest.approx(2 * 2.2 * (held + absent))  # an English and a Portuguese stem each
    assert len(hits) == 2
    # One passage of nothing but the word comes near to what the word can reach, and never above it.
    assert hits[0][1] < 2 * 2.2 * held
    assert hits[0][1] > 2 * 1.1 * held


def test_counts_follow_documents_that_are_replaced_and_removed(tmp_path):
    catalogue = filled(tmp_path, {"a": "apple", "b": "apple", "c": "pear", "d": "plum", "e": "fig"})
    with catalogue.writing() as writer:
        collection = writer.collection("kb")
        writer.put_document(collection.id, document("a"), [chunk("pear"), chunk("grape")])
        writer.remove_documents(collection.id, [writer.document(collection.id, "b").id])
    with catalogue.reading() as reader:
        collection = reader.collection("kb")
        assert collection.chunks == 5
        assert reader.lexical(collection, "apple", 10)[0] == []
        assert len(reader.lexical(collection, "pears", 10)[0]) == 2


def test_a_transaction_that_fails_stores_nothing(tmp_path):
    catalogue = filled(tmp_path, {"a": "apple"})
    with pytest.raises(RuntimeError), catalogue.writing() as writer:
        collection = writer.collection("kb")
        writer.put_document(collection.id, document("a"), [chunk("pear")])
        raise RuntimeError
    with catalogue.reading() as reader:
        collection = reader.collection("kb")
        assert len(reader.lexical(collection, "apple", 10)[0]) == 1
        assert reader.lexical(collection, "pear", 10)[0] == []


def test_a_reader_sees_one_state_while_a_writer_commits(tmp_path):
    catalogue = filled(tmp_path, {"a": "apple"})
    with catalogue.reading() as reader:
        before = reader.collection("kb")
        with catalogue.writing() as writer:
            writer.put_document(before.id, document("b"), [chunk("apple")])
        assert reader.collection("kb") == before
        assert len(reader.lexical(before, "apple", 10)[0]) == 1
    with catalogue.reading() as reader:
        after = reader.collection("kb")
        assert after.generation > before.generation
        assert len(reader.lexical(after, "apple", 10)[0]) == 2


def test_collections_do_not_count_each_others_words(tmp_path):
    catalogue = filled(tmp_path, {"a": "apple", "b": "pear", "c": "plum"})
    with catalogue.reading() as reader:
        alone = reader.lexical(reader.collection("kb"), "apple", 10)
    with catalogue.writing() as writer:
        other = writer.create_collection("other", TAG)
        writer.put_document(other.id, document("x"), [chunk("apple")] * 20)
    with catalogue.reading() as reader:
        assert reader.lexical(reader.collection("kb"), "apple", 10) == alone


def test_an_index_of_another_analysis_is_made_anew(tmp_path):
    write_files(
        tmp_path,
        {"docs/a.md": "# A\n\napples\n", "docs/b.md": "# B\n\npears\n", "docs/c.md": "# C\n\nfigs\n"},
    )
    run_ingest(tmp_path)
    with sqlite3.connect(tmp_path / ".aivax" / CATALOGUE_FILE) as db:
        db.execute("UPDATE collections SET analyzer = 'older'")
        db.execute("INSERT INTO lexical_1(lexical_1) VALUES ('delete-all')")
    embedder = HashEmbedder()
    run_ingest(tmp_path, embedder=embedder)
    assert embedder.passages == []
    with Catalogue.open(tmp_path / ".aivax").reading() as reader:
        assert len(reader.lexical(reader.collection("kb"), "apple", 10)[0]) == 1


def test_a_full_database_is_an_error_with_the_way_out(tmp_path):
    catalogue = filled(tmp_path, {"a": "apple"})
    with pytest.raises(IngestError, match="disk is full"), catalogue.writing() as writer:
        writer._db.execute("PRAGMA max_page_count = 1")
        for number in range(200):
            writer.put_document(1, document(str(number)), [chunk(f"word{number} " * 500)])
    with catalogue.reading() as reader:
        assert len(reader.lexical(reader.collection("kb"), "apple", 10)[0]) == 1
