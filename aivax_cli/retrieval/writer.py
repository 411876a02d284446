"""What can be changed in the catalogue, inside one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from aivax_cli.retrieval import lexical, schema
from aivax_cli.retrieval.analysis import ANALYZER, Analyzer
from aivax_cli.retrieval.reader import Reader, batches, marks
from aivax_cli.retrieval.records import (
    Collection,
    EmbedderTag,
    FileStamp,
    Labels,
    NewChunk,
    NewDocument,
    Part,
    StoredImport,
    embedded_text,
)

HASH_BYTES = 16


def text_hash(text: str) -> bytes:
    """The name of an embedded text: BLAKE2b, 16 bytes."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


class Writer(Reader):
    """Changes that are stored together or not at all. `now` is the time, in seconds since the epoch."""

    def __init__(self, connection: sqlite3.Connection, analyzer: Analyzer, now: float) -> None:
        super().__init__(connection, analyzer)
        self._now = now

    # Collections

    def create_collection(self, name: str, embedder: EmbedderTag) -> Collection:
        """A new, empty collection."""
        cursor = self._db.execute(
            "INSERT INTO collections(name, embedder, fingerprint, dimension, analyzer, created_at, "
            "updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (name, embedder.name, embedder.fingerprint, embedder.dimension, ANALYZER, self._now, self._now),
        )
        for statement in schema.collection_tables(int(cursor.lastrowid or 0)):
            self._db.execute(statement)
        created = self.collection(name)
        assert created is not None
        return created

    def remove_collection(self, collection_id: int) -> None:
        """Everything of a collection."""
        for table in ("chunks", "documents", "sources", "document_tags", "imports"):
            self._db.execute(f"DELETE FROM {table} WHERE collection_id = ?", (collection_id,))
        for statement in schema.drop_collection_tables(collection_id):
            self._db.execute(statement)
        self._db.execute("DELETE FROM collections WHERE id = ?", (collection_id,))

    def bind_embedder(self, collection_id: int, embedder: EmbedderTag) -> None:
        """Forgets every vector: all documents wait for `embedder`'s, and are found by words meanwhile."""
        self._db.execute(f"DELETE FROM vectors_{collection_id}")
        self._db.execute("UPDATE chunks SET vector_id = NULL WHERE collection_id = ?", (collection_id,))
        self._db.execute("UPDATE documents SET state = 'lexical' WHERE collection_id = ?", (collection_id,))
        self._db.execute(
            "UPDATE collections SET embedder = ?, fingerprint = ?, dimension = ?, background = NULL, "
            "background_chunks = 0, snapshot = NULL, snapshot_last = 0, snapshot_vectors = 0 WHERE id = ?",
            (embedder.name, embedder.fingerprint, embedder.dimension, collection_id),
        )
        self._changed(collection_id)

    def rebuild_lexical(self, collection_id: int) -> None:
        """Makes the lexical index anew with this version's analysis."""
        lexical.remake(self._db, collection_id)
        rows = self._db.execute(
            "SELECT id, heading, text FROM chunks WHERE collection_id = ? ORDER BY id", (collection_id,)
        )
        lexical.add(self._db, collection_id, ((row[0], self._analyzer.document(row[1:])) for row in rows))
        self._db.execute("UPDATE collections SET analyzer = ? WHERE id = ?", (ANALYZER, collection_id))
        self._changed(collection_id)

    def add_sources(self, collection_id: int, paths: Iterable[str]) -> None:
        """Remembers what was ingested, for the commands that users are shown."""
        self._db.executemany(
            "INSERT OR IGNORE INTO sources(collection_id, path) VALUES (?, ?)",
            ((collection_id, path) for path in paths),
        )

    def set_background(self, collection_id: int, background: float, chunks: int) -> None:
        """Stores the cosine of unrelated texts, measured at this many chunks."""
        self._db.execute(
            "UPDATE collections SET background = ?, background_chunks = ? WHERE id = ?",
            (background, chunks, collection_id),
        )
        self._changed(collection_id)
        self._db.execute(
            "UPDATE collections SET background_generation = generation WHERE id = ?", (collection_id,)
        )

    def set_prior_background(self, fingerprint: str, background: float) -> None:
        """Stores an embedder's own cosine of unrelated texts."""
        self._db.execute(
            "INSERT INTO embedders(fingerprint, background) VALUES (?, ?) "
            "ON CONFLICT(fingerprint) DO UPDATE SET background = excluded.background",
            (fingerprint, background),
        )

    def set_speed(self, fingerprint: str, tokens_per_s: float) -> None:
        """Remembers how fast an embedder was, for estimates."""
        self._db.execute(
            "UPDATE embedders SET tokens_per_s = ? WHERE fingerprint = ?", (tokens_per_s, fingerprint)
        )

    def set_snapshot(self, collection_id: int, folder: str | None, last: int, vectors: int) -> None:
        """Points at the Chroma index in `folder`, which holds `vectors` vectors, with ids up to `last`."""
        self._db.execute(
            "UPDATE collections SET snapshot = ?, snapshot_last = ?, snapshot_vectors = ? WHERE id = ?",
            (folder, last, vectors, collection_id),
        )

    # Documents

    def put_document(self, collection_id: int, document: NewDocument, chunks: Sequence[NewChunk]) -> bool:
        """Stores a document with its lexical rows, in place of the one of the same name.

        Chunks whose text has a vector already get it; the document is ready when all do. Says whether there
        was one of that name.
        """
        old = self.document(collection_id, document.name)
        if old is not None:
            self.remove_documents(collection_id, [old.id])
            if old.source != document.source:
                self.reopen_import(collection_id, old.source)
        stamp = document.stamp
        cursor = self._db.execute(
            "INSERT INTO documents(collection_id, name, title, kind, content_hash, size, mtime_ns, "
            "ctime_ns, checked_ns, state, cutting, source, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'lexical', ?, ?, ?)",
            (
                collection_id, document.name, document.title, document.kind, document.content_hash,
                stamp.size, stamp.mtime_ns, stamp.ctime_ns, document.checked_ns,
                document.cutting, document.source, document.body,
            ),
        )  # fmt: skip
        document_id = int(cursor.lastrowid or 0)
        if document.labels != Labels() or document.part is not None:
            self._label(collection_id, document_id, document.labels, document.part)
        self._insert_chunks(collection_id, document_id, chunks)
        self._complete(collection_id, document_id)
        self._changed(collection_id, chunks=len(chunks))
        return old is not None

    def _insert_chunks(self, collection_id: int, document_id: int, chunks: Sequence[NewChunk]) -> None:
        postings = []
        for ordinal, chunk in enumerate(chunks):
            digest = text_hash(embedded_text(chunk.heading, chunk.text))
            cursor = self._db.execute(
                "INSERT INTO chunks(collection_id, document_id, ordinal, text, heading, first_line, "
                "last_line, page, tokens, hash, vector_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                f"(SELECT id FROM vectors_{collection_id} WHERE hash = ?))",
                (
                    collection_id, document_id, ordinal, chunk.text, chunk.heading, chunk.first_line,
                    chunk.last_line, chunk.page, chunk.tokens, digest, digest,
                ),
            )  # fmt: skip
            postings.append(
                (int(cursor.lastrowid or 0), self._analyzer.document((chunk.heading, chunk.text)))
            )
        lexical.add(self._db, collection_id, postings)

    def relabel_document(
        self, collection_id: int, document_id: int, source: str, labels: Labels, part: Part | None
    ) -> None:
        """Gives a document other labels; its text, chunks and vectors stay."""
        self._db.execute("UPDATE documents SET source = ? WHERE id = ?", (source, document_id))
        self._db.execute("DELETE FROM document_tags WHERE document_id = ?", (document_id,))
        self._label(collection_id, document_id, labels, part)
        self._changed(collection_id)

    def _label(self, collection_id: int, document_id: int, labels: Labels, part: Part | None) -> None:
        self._db.execute(
            "UPDATE documents SET ref = ?, tags = ?, meta = ?, part_of = ?, part = ? WHERE id = ?",
            (
                labels.ref, json.dumps(labels.tags), labels.meta,
                part.document if part else None, part.number if part else None, document_id,
            ),
        )  # fmt: skip
        self._db.executemany(
            "INSERT OR IGNORE INTO document_tags(document_id, tag, collection_id) VALUES (?, ?, ?)",
            ((document_id, tag, collection_id) for tag in labels.tags),
        )

    def finish_import(self, collection_id: int, name: str, done: StoredImport) -> None:
        """Remembers that every document of a JSONL file is stored as the file says."""
        stamp = done.stamp
        self._db.execute(
            "INSERT OR REPLACE INTO imports VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                collection_id, name, done.content_hash, stamp.size, stamp.mtime_ns, stamp.ctime_ns,
                done.checked_ns, done.cutting,
            ),
        )  # fmt: skip

    def reopen_import(self, collection_id: int, name: str) -> None:
        """Forgets that a JSONL file is finished: the next ingest reads it again."""
        self._db.execute("DELETE FROM imports WHERE collection_id = ? AND name = ?", (collection_id, name))

    def touch_document(self, document_id: int, stamp: FileStamp, checked_ns: int) -> None:
        """Remembers that a file's content is still the same."""
        self._db.execute(
            "UPDATE documents SET size = ?, mtime_ns = ?, ctime_ns = ?, checked_ns = ? WHERE id = ?",
            (stamp.size, stamp.mtime_ns, stamp.ctime_ns, checked_ns, document_id),
        )

    def remove_documents(self, collection_id: int, ids: Sequence[int]) -> None:
        """Removes documents with their chunks and lexical rows. Vectors stay until `drop_unused_vectors`."""
        removed = 0
        for some in batches(ids):
            rows = self._db.execute(
                f"SELECT id, heading, text FROM chunks WHERE document_id IN ({marks(some)})", some
            ).fetchall()
            postings = ((row[0], self._analyzer.document(row[1:])) for row in rows)
            lexical.forget(self._db, collection_id, postings)
            self._db.execute(f"DELETE FROM chunks WHERE document_id IN ({marks(some)})", some)
            self._db.execute(f"DELETE FROM document_tags WHERE document_id IN ({marks(some)})", some)
            self._db.execute(f"DELETE FROM documents WHERE id IN ({marks(some)})", some)
            removed += len(rows)
        self._changed(collection_id, chunks=-removed)

    # Vectors

    def add_vectors(self, collection_id: int, vectors: Iterable[tuple[bytes, bytes]]) -> None:
        """Stores vectors (float32, little-endian) by the hash of their text. Nothing refers to them yet."""
        self._db.executemany(
            f"INSERT OR IGNORE INTO vectors_{collection_id}(hash, vector) VALUES (?, ?)", vectors
        )

    def complete_documents(self, collection_id: int, document_ids: Iterable[int]) -> int:
        """Gives the chunks of documents their vectors, and says how many documents are ready now."""
        ready = sum(self._complete(collection_id, document_id) for document_id in document_ids)
        if ready:
            self._changed(collection_id)
        return ready

    def _complete(self, collection_id: int, document_id: int) -> bool:
        vector_of = f"(SELECT v.id FROM vectors_{collection_id} v WHERE v.hash = chunks.hash)"
        lacking = self._db.execute(
            "SELECT 1 FROM chunks WHERE document_id = ? AND vector_id IS NULL "
            f"AND {vector_of} IS NULL LIMIT 1",
            (document_id,),
        ).fetchone()
        if lacking:
            return False
        self._db.execute(
            f"UPDATE chunks SET vector_id = {vector_of} WHERE document_id = ? AND vector_id IS NULL",
            (document_id,),
        )
        self._db.execute("UPDATE documents SET state = 'ready' WHERE id = ?", (document_id,))
        return True

    def drop_unused_vectors(self, collection_id: int) -> int:
        """Removes vectors that no chunk's text has any more; says how many."""
        cursor = self._db.execute(
            f"DELETE FROM vectors_{collection_id} WHERE id IN (SELECT v.id FROM vectors_{collection_id} v "
            f"INDEXED BY sqlite_autoindex_vectors_{collection_id}_1 WHERE NOT EXISTS "
            "(SELECT 1 FROM chunks c WHERE c.collection_id = ? AND c.vector_id = v.id))",
            (collection_id,),
        )
        return cursor.rowcount

    def _changed(self, collection_id: int, chunks: int = 0) -> None:
        self._db.execute(
            "UPDATE collections SET generation = generation + 1, chunks = chunks + ?, updated_at = ? "
            "WHERE id = ?",
            (chunks, self._now, collection_id),
        )
