"""What can be asked of the catalogue, inside one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from aivax_cli.retrieval import lexical
from aivax_cli.retrieval.analysis import Analyzer
from aivax_cli.retrieval.lexical import TermCounts
from aivax_cli.retrieval.records import (
    Collection,
    CollectionSummary,
    DocumentSummary,
    EmbedderTag,
    ExportRow,
    FileStamp,
    Labels,
    PendingChunk,
    StoredChunk,
    StoredDocument,
    StoredImport,
    embedded_text,
)

SQL_VARIABLES = 500
"""Values in one `IN (…)`; SQLite allows 999 in its oldest builds."""

LAST_ID = 2**63 - 1
"""The highest id that SQLite can give."""

_COLLECTION = """SELECT id, name, embedder, fingerprint, dimension, analyzer, chunks, background,
    background_chunks, generation, snapshot, snapshot_last, snapshot_vectors, created_at, updated_at,
    background_generation FROM collections"""
_DOCUMENT = """SELECT id, name, title, kind, content_hash, size, mtime_ns, ctime_ns, checked_ns, state,
    cutting, source, ref, tags, meta FROM documents"""
_CHUNK = """SELECT c.id, coalesce(d.part_of, d.name), c.ordinal, c.text, c.heading, c.first_line, c.last_line,
    c.page, c.tokens, c.vector_id, d.id, d.name, coalesce(d.part, 0) + c.ordinal, d.part_of, d.ref, d.meta,
    c.collection_id
    FROM chunks c JOIN documents d ON d.id = c.document_id"""


def batches(values: Sequence[int], size: int = SQL_VARIABLES) -> Iterator[Sequence[int]]:
    """`values` in runs of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def marks(values: Sequence[object]) -> str:
    """`?, ?, ?` for as many values."""
    return ", ".join("?" * len(values))


class Reader:
    """One consistent view of the catalogue."""

    def __init__(
        self, connection: sqlite3.Connection, analyzer: Analyzer, counts: TermCounts | None = None
    ) -> None:
        """`counts` is shared by the readers of a catalogue; a writer sees what only it has, and has none."""
        self._db = connection
        self._analyzer = analyzer
        self._counts = counts or TermCounts()

    # Collections

    def collections(self) -> list[Collection]:
        """Every collection, by name."""
        return [_collection(row) for row in self._db.execute(f"{_COLLECTION} ORDER BY name")]

    def collection(self, name: str) -> Collection | None:
        row = self._db.execute(f"{_COLLECTION} WHERE name = ?", (name,)).fetchone()
        return None if row is None else _collection(row)

    def summary(self, collection: Collection) -> CollectionSummary:
        """Counts over the whole collection."""
        documents, pending, size = self._db.execute(
            "SELECT count(*), coalesce(sum(state = 'lexical'), 0), coalesce(sum(size), 0) "
            "FROM documents WHERE collection_id = ?",
            (collection.id,),
        ).fetchone()
        (tokens,) = self._db.execute(
            "SELECT coalesce(sum(tokens), 0) FROM chunks WHERE collection_id = ?", (collection.id,)
        ).fetchone()
        return CollectionSummary(
            name=collection.name,
            embedder=collection.embedder.name,
            dimension=collection.embedder.dimension,
            documents=documents,
            pending_documents=pending,
            chunks=collection.chunks,
            tokens=tokens,
            source_bytes=size,
            background=collection.background,
            sources=self.sources(collection.id),
            created_at=collection.created_at,
            updated_at=collection.updated_at,
        )

    def sources(self, collection_id: int) -> tuple[str, ...]:
        """The files and folders that were ingested, as they are named."""
        rows = self._db.execute(
            "SELECT path FROM sources WHERE collection_id = ? ORDER BY path", (collection_id,)
        )
        return tuple(row[0] for row in rows)

    def prior_background(self, fingerprint: str) -> float | None:
        """The cosine of unrelated texts that was measured for an embedder, without any collection."""
        row = self._db.execute(
            "SELECT background FROM embedders WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        return None if row is None else float(row[0])

    def tokens_per_s(self, fingerprint: str) -> float | None:
        """How fast an embedder was when it last had something to do."""
        row = self._db.execute(
            "SELECT tokens_per_s FROM embedders WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        return None if row is None or row[0] is None else float(row[0])

    # Documents

    def document(self, collection_id: int, name: str) -> StoredDocument | None:
        row = self._db.execute(
            f"{_DOCUMENT} WHERE collection_id = ? AND name = ?", (collection_id, name)
        ).fetchone()
        return None if row is None else _document(row)

    def documents(self, collection_id: int, names: Sequence[str]) -> dict[str, StoredDocument]:
        """Those of the named documents that there are; at most `SQL_VARIABLES` less one names."""
        rows = self._db.execute(
            f"{_DOCUMENT} WHERE collection_id = ? AND name IN ({marks(names)})", (collection_id, *names)
        )
        return {document.name: document for document in map(_document, rows)}

    def document_names(self, collection_id: int) -> Iterator[tuple[int, str]]:
        """Ids and names of the documents that are files of their own."""
        return iter(
            self._db.execute(
                "SELECT id, name FROM documents WHERE collection_id = ? AND source = ''", (collection_id,)
            )
        )

    def export_rows(self, collection_id: int) -> Iterator[ExportRow]:
        """What an export writes, in the order in which chunks were stored: each chunk of a file, and each
        imported document once, with its whole text."""
        rows = self._db.execute(
            "SELECT d.name, d.kind, c.ordinal, coalesce(d.body, c.text), c.heading, c.first_line, "
            "c.last_line, c.page, d.ref, d.tags, d.meta, d.part_of, d.part "
            "FROM chunks c JOIN documents d ON d.id = c.document_id "
            "WHERE c.collection_id = ? AND (c.ordinal = 0 OR d.kind <> 'document') ORDER BY c.id",
            (collection_id,),
        )
        for row in rows:
            yield ExportRow(
                row[0],
                row[1],
                row[2],
                row[3],
                row[4],
                row[5],
                row[6],
                row[7],
                row[8],
                tuple(json.loads(row[9])),
                row[10],
                row[11],
                row[12],
            )

    def twin(self, collection_id: int, content_hash: bytes, name: str) -> str | None:
        """A document of the same content and another name."""
        row = self._db.execute(
            "SELECT name FROM documents WHERE collection_id = ? AND content_hash = ? AND name <> ? "
            "ORDER BY id LIMIT 1",
            (collection_id, content_hash, name),
        ).fetchone()
        return None if row is None else str(row[0])

    def imported_from(self, collection_id: int, source: str) -> list[int]:
        """Ids of the documents that came from a JSONL file."""
        rows = self._db.execute(
            "SELECT id FROM documents WHERE collection_id = ? AND source = ? AND source <> ''",
            (collection_id, source),
        )
        return [row[0] for row in rows]

    def import_sources(self, collection_id: int) -> list[str]:
        """The JSONL files that documents came from."""
        rows = self._db.execute(
            "SELECT DISTINCT source FROM documents WHERE collection_id = ? AND source <> ''", (collection_id,)
        )
        return [row[0] for row in rows]

    def finished_import(self, collection_id: int, name: str) -> StoredImport | None:
        """What is known of a JSONL file whose documents are all stored as it says."""
        row = self._db.execute(
            "SELECT content_hash, size, mtime_ns, ctime_ns, checked_ns, cutting FROM imports "
            "WHERE collection_id = ? AND name = ?",
            (collection_id, name),
        ).fetchone()
        if row is None:
            return None
        digest, size, mtime_ns, ctime_ns, checked_ns, cutting = row
        return StoredImport(digest, FileStamp(size, mtime_ns, ctime_ns), checked_ns, cutting)

    def document_summaries(self, collection_id: int) -> list[DocumentSummary]:
        """Every document with its counts, by name."""
        rows = self._db.execute(
            "SELECT d.name, d.title, count(c.id), coalesce(sum(c.tokens), 0), d.size, d.state "
            "FROM documents d LEFT JOIN chunks c ON c.document_id = d.id WHERE d.collection_id = ? "
            "GROUP BY d.id ORDER BY d.name",
            (collection_id,),
        )
        return [DocumentSummary(*row) for row in rows]

    # Chunks that wait for vectors

    def count_pending(self, collection_id: int) -> int:
        """Chunks without a vector."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM chunks WHERE collection_id = ? AND vector_id IS NULL", (collection_id,)
        ).fetchone()
        return int(count)

    def pending_chunks(self, collection_id: int, after_chunk: int, limit: int) -> list[PendingChunk]:
        """Chunks without a vector, in order of id, from the one after `after_chunk`."""
        rows = self._db.execute(
            "SELECT id, document_id, hash, heading, text FROM chunks WHERE collection_id = ? "
            "AND vector_id IS NULL AND id > ? ORDER BY id LIMIT ?",
            (collection_id, after_chunk, limit),
        )
        return [PendingChunk(row[0], row[1], row[2], embedded_text(row[3], row[4])) for row in rows]

    def pending_texts(self, document_id: int) -> list[str]:
        """The texts of a document's chunks without a vector."""
        rows = self._db.execute(
            "SELECT heading, text FROM chunks WHERE document_id = ? AND vector_id IS NULL ORDER BY ordinal",
            (document_id,),
        )
        return [embedded_text(*row) for row in rows]

    def known_vectors(self, collection: Collection, hashes: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """Which of the texts have been embedded: None where this collection has the vector already, else
        the vector that another collection of the same embedder has."""
        others = [
            other.id
            for other in self.collections()
            if other.id != collection.id and other.embedder.fingerprint == collection.embedder.fingerprint
        ]
        known: dict[bytes, bytes | None] = {}
        for digest in hashes:
            if self._db.execute(
                f"SELECT 1 FROM vectors_{collection.id} WHERE hash = ?", (digest,)
            ).fetchone():
                known[digest] = None
                continue
            for other in others:
                row = self._db.execute(
                    f"SELECT vector FROM vectors_{other} WHERE hash = ?", (digest,)
                ).fetchone()
                if row is not None:
                    known[digest] = row[0]
                    break
        return known

    # Searching

    def lexical(
        self, collection: Collection, question: str, limit: int
    ) -> tuple[list[tuple[int, float]], float]:
        """The best chunks by BM25 with its value, highest first; and U, the highest it could be."""
        tokens = self._analyzer.query(question)
        counts = self._counts.get(self._db, collection.id, collection.generation, tokens)
        query = lexical.plan(counts, collection.chunks)
        return lexical.search(self._db, collection.id, query.match, limit), query.reach

    def vector_ids_of(self, chunk_ids: Sequence[int]) -> dict[int, int | None]:
        """The vector of each chunk."""
        found: dict[int, int | None] = {}
        for some in batches(chunk_ids):
            found.update(
                self._db.execute(
                    f"SELECT id, vector_id FROM chunks WHERE id IN ({marks(some)})", some
                ).fetchall()
            )
        return found

    def first_chunks_of(self, collection_id: int, vector_ids: Sequence[int]) -> dict[int, int]:
        """For each vector that is in use, the first chunk that has it."""
        found: dict[int, int] = {}
        for some in batches(vector_ids):
            found.update(
                self._db.execute(
                    "SELECT vector_id, min(id) FROM chunks WHERE collection_id = ? "
                    f"AND vector_id IN ({marks(some)}) GROUP BY vector_id",
                    (collection_id, *some),
                ).fetchall()
            )
        return found

    def chunks(self, ids: Sequence[int]) -> dict[int, StoredChunk]:
        """Chunks by id; ids that are gone are left out."""
        found: dict[int, StoredChunk] = {}
        for some in batches(ids):
            for row in self._db.execute(f"{_CHUNK} WHERE c.id IN ({marks(some)})", some):
                found[row[0]] = StoredChunk(*row)
        return found

    def some_chunks(self, collection_id: int, count: int) -> list[StoredChunk]:
        """About `count` chunks that have vectors, spread evenly, the same for the same content."""
        (total,) = self._db.execute(
            "SELECT count(*) FROM chunks WHERE collection_id = ? AND vector_id IS NOT NULL", (collection_id,)
        ).fetchone()
        rows = self._db.execute(
            "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM chunks "
            "WHERE collection_id = ? AND vector_id IS NOT NULL) WHERE place % ? = 0 LIMIT ?",
            (collection_id, max(1, total // count), count),
        ).fetchall()
        return list(self.chunks([row[0] for row in rows]).values())

    # Vectors

    def vectors(
        self, collection_id: int, after: int = 0, up_to: int = LAST_ID
    ) -> Iterator[tuple[int, bytes]]:
        """Ids and vectors (float32, little-endian) in order of id, from the one after `after` to `up_to`."""
        return iter(
            self._db.execute(
                f"SELECT id, vector FROM vectors_{collection_id} WHERE id > ? AND id <= ? ORDER BY id",
                (after, up_to),
            )
        )

    def spread_vectors(self, collection_id: int, count: int) -> list[bytes]:
        """At most `count` vectors, of the lowest hashes: a fair sample, the same for the same content."""
        rows = self._db.execute(f"SELECT vector FROM vectors_{collection_id} ORDER BY hash LIMIT ?", (count,))
        return [row[0] for row in rows]

    def vectors_by_id(self, collection_id: int, ids: Sequence[int]) -> dict[int, bytes]:
        """The vectors with these ids; ids that are gone are left out."""
        found: dict[int, bytes] = {}
        for some in batches(ids):
            found.update(
                self._db.execute(
                    f"SELECT id, vector FROM vectors_{collection_id} WHERE id IN ({marks(some)})", some
                ).fetchall()
            )
        return found

    def vector_ids(self, collection_id: int, after: int = 0, up_to: int = LAST_ID) -> set[int]:
        """The ids of all vectors, or those above `after` up to `up_to`. Read from the index, so that no
        vector is touched."""
        return {
            row[0]
            for row in self._db.execute(
                f"SELECT id FROM {_ids_of(collection_id)} WHERE +id > ? AND +id <= ?", (after, up_to)
            )
        }

    def count_vectors_up_to(self, collection_id: int, bounds: Sequence[int]) -> list[int]:
        """For each of `bounds`, how many vectors have an id up to it; and last, how many there are."""
        sums = "".join("coalesce(sum(id <= ?), 0), " for _ in bounds)
        row = self._db.execute(f"SELECT {sums}count(*) FROM {_ids_of(collection_id)}", bounds).fetchone()
        return list(row)

    def last_vector(self, collection_id: int) -> int:
        """The highest id of a vector; 0 when there is none."""
        (last,) = self._db.execute(f"SELECT coalesce(max(id), 0) FROM vectors_{collection_id}").fetchone()
        return int(last)

    def count_vectors(self, collection_id: int, up_to: int = LAST_ID) -> int:
        """How many vectors there are, or how many with ids up to `up_to`."""
        return self.count_vectors_up_to(collection_id, [up_to])[0]


def _ids_of(collection_id: int) -> str:
    """The table of vectors, read through the index that holds its ids without the vectors."""
    return f"vectors_{collection_id} INDEXED BY sqlite_autoindex_vectors_{collection_id}_1"


def _collection(row: tuple[Any, ...]) -> Collection:
    (number, name, embedder, fingerprint, dimension, *rest) = row
    return Collection(number, name, EmbedderTag(embedder, fingerprint, dimension), *rest)


def _document(row: tuple[Any, ...]) -> StoredDocument:
    (number, name, title, kind, digest, size, mtime_ns, ctime_ns, checked_ns, state, *rest) = row
    (cutting, source, ref, tags, meta) = rest
    stamp = FileStamp(size, mtime_ns, ctime_ns)
    labels = Labels(ref, tuple(json.loads(tags)), meta)
    return StoredDocument(
        number, name, title, kind, digest, stamp, checked_ns, state, cutting, source, labels
    )
