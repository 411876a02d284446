"""Whether a collection is what it should be, by looking at all of it rather than at what a search meets.

    chunks ── text ──► lexical index     every word of every chunk, and no other
       │ └─── hash ──► vectors           each of the right text, dimension and length, none unused
       ▼                  └──► Chroma    holds them, and finds them when asked for them
    documents

The text of the chunks is what the rest is made of: `mending` makes the rest anew from it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Literal

from msgspec import Struct

from aivax_cli.core.errors import KnowledgeError
from aivax_cli.retrieval import lexical
from aivax_cli.retrieval.analysis import ANALYZER
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma_server import ServerAddress
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection, FileStamp, StoredDocument, embedded_text
from aivax_cli.retrieval.served_check import served_fault
from aivax_cli.retrieval.snapshot_check import snapshot_fault
from aivax_cli.retrieval.snapshots import SNAPSHOTS
from aivax_cli.retrieval.writer import text_hash

Part = Literal["catalogue", "words", "vectors", "Chroma", "files"]
Remedy = Literal["repair", "ingest", "delete", "server"]
"""`repair`: made anew from the catalogue. `ingest`: from the files. `delete`: the catalogue is beyond it.
`server`: a server has to be mended or named right."""

VECTORS_AT_ONCE = 4_096
LENGTH_ERROR = 1e-2
"""How far a vector's length may be from 1. Rounding moves it by 1e-6, a flipped bit mostly by far more."""

FAULTS_SHOWN = 3
"""Lines of SQLite's own report that are repeated."""


class Problem(Struct, frozen=True):
    """Something that is not as it should be. `waiting` is unfinished or outdated rather than damaged."""

    part: Part
    detail: str
    remedy: Remedy
    waiting: bool = False


class Verified(Struct, frozen=True):
    """What was looked at, for each part, and what was wrong with it."""

    seen: Mapping[Part, str]
    problems: tuple[Problem, ...]


class Inspector(Reader):
    """A reader that looks at a whole collection."""

    @classmethod
    def over(cls, reader: Reader) -> Inspector:
        """The same transaction, for inspection."""
        return cls(reader._db, reader._analyzer)

    def stored_documents(self, collection_id: int) -> Iterator[StoredDocument]:
        """Every document, by name."""
        rows = self._db.execute(
            "SELECT id, name, title, kind, content_hash, size, mtime_ns, ctime_ns, checked_ns, state "
            "FROM documents WHERE collection_id = ? ORDER BY name",
            (collection_id,),
        )
        for number, name, title, kind, digest, size, mtime_ns, ctime_ns, checked_ns, state in rows:
            stamp = FileStamp(size, mtime_ns, ctime_ns)
            yield StoredDocument(number, name, title, kind, digest, stamp, checked_ns, state)

    def file_faults(self) -> list[str]:
        """SQLite's own check of its file, but for the lexical indexes, which `word_faults` looks at."""
        rows = self._db.execute("PRAGMA integrity_check").fetchall()
        return [row[0] for row in rows if row[0] != "ok" and "FTS5" not in row[0]]

    def stray_chunks(self, collection_id: int) -> int:
        """Chunks whose document is not there."""
        return self._count(
            "chunks c WHERE c.collection_id = ? "
            "AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.id = c.document_id)",
            collection_id,
        )

    def count_chunks(self, collection_id: int) -> int:
        return self._count("chunks WHERE collection_id = ?", collection_id)

    def unfinished(self, collection_id: int) -> int:
        """Documents that wait for vectors, as after an ingest that was stopped."""
        return self._count("documents WHERE collection_id = ? AND state = 'lexical'", collection_id)

    def bare_chunks(self, collection_id: int) -> int:
        """Chunks of finished documents that have no vector, or one that is gone."""
        return self._count(
            "chunks c JOIN documents d ON d.id = c.document_id WHERE c.collection_id = ? "
            f"AND d.state = 'ready' AND NOT EXISTS (SELECT 1 FROM vectors_{collection_id} v "
            "WHERE v.id = c.vector_id)",
            collection_id,
        )

    def mistaken_chunks(self, collection_id: int) -> int:
        """Chunks with the vector of another text."""
        return self._count(
            f"chunks c JOIN vectors_{collection_id} v ON v.id = c.vector_id "
            "WHERE c.collection_id = ? AND v.hash <> c.hash",
            collection_id,
        )

    def unused_vectors(self, collection_id: int) -> int:
        """Vectors that no chunk's text has."""
        return self._count(
            f"vectors_{collection_id} v WHERE NOT EXISTS "
            "(SELECT 1 FROM chunks c WHERE c.collection_id = ? AND c.vector_id = v.id)",
            collection_id,
        )

    def bad_vectors(self, collection: Collection) -> tuple[list[int], str]:
        """Ids of vectors of a wrong dimension, or not of finite numbers of length 1; and which of these."""
        bad: list[int] = []
        kinds: Counter[str] = Counter()
        rows = self.vectors(collection.id)
        while some := list(islice(rows, VECTORS_AT_ONCE)):
            for number, kind in _unsound(some, collection.embedder.dimension):
                bad.append(number)
                kinds[kind] += 1
        return bad, ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))

    def renamed_chunks(self, collection_id: int) -> list[tuple[int, bytes]]:
        """Chunks whose hash is not that of their text, with what it should be."""
        rows = self._db.execute(
            "SELECT id, heading, text, hash FROM chunks WHERE collection_id = ?", (collection_id,)
        )
        return [
            (number, right)
            for number, heading, text, digest in rows
            if (right := text_hash(embedded_text(heading, text))) != digest
        ]

    def word_faults(self, collection: Collection) -> list[str]:
        """Where the lexical index differs from the chunks' text, if it can be read at all."""
        if collection.analyzer != ANALYZER:
            return [f"made by the analysis {collection.analyzer}, this version's is {ANALYZER}"]
        try:
            return self._word_faults(collection.id)
        except sqlite3.DatabaseError as error:
            return [f"cannot be read ({error})"]

    def _word_faults(self, collection_id: int) -> list[str]:
        holding: Counter[str] = Counter()
        occurring: Counter[str] = Counter()
        chunks: set[int] = set()
        rows = self._db.execute(
            "SELECT id, heading, text FROM chunks WHERE collection_id = ?", (collection_id,)
        )
        for number, *parts in rows:
            chunks.add(number)
            tokens = Counter(token for part in parts for token in self._analyzer.tokens(part))
            occurring.update(tokens)
            holding.update(tokens.keys())
        indexed = lexical.indexed_passages(self._db, collection_id)
        faults = []
        if missing := len(chunks - indexed):
            faults.append(f"{missing:,} chunks are missing")
        if extra := len(indexed - chunks):
            faults.append(f"{extra:,} chunks are in it that there are not")
        counts = {term: (doc, cnt) for term, doc, cnt in lexical.all_terms(self._db, collection_id)}
        wrong = sum(
            counts.get(term) != (holding[term], occurring[term]) for term in holding.keys() | counts.keys()
        )
        if wrong and not faults:
            faults.append(f"{wrong:,} words are not where the text has them")
        return faults

    def _count(self, rest: str, collection_id: int) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM {rest}", (collection_id,)).fetchone()[0])


def verify(
    catalogue: Catalogue, collection: Collection, directory: Path, server: ServerAddress | None = None
) -> Verified:
    """Everything about a collection but its files, in one view of the catalogue.

    `directory` is the workspace's `.aivax`, `server` where vectors are indexed when it is not here. Takes
    some ten seconds for 100,000 chunks. Never raises for damage: that is what it looks for.
    """
    seen: dict[Part, str] = {}
    problems: list[Problem] = []
    parts: tuple[tuple[Part, Callable[[Inspector, Collection], Iterator[Problem]]], ...] = (
        ("catalogue", _catalogue),
        ("words", _words),
        ("vectors", _vectors),
    )
    for part, look in parts:
        try:
            with catalogue.reading() as reader:
                problems.extend(look(Inspector.over(reader), collection))
        except KnowledgeError as error:
            problems.append(Problem(part, error.message, "delete"))
    if not any(problem.remedy == "delete" for problem in problems):
        with catalogue.reading() as reader:
            vectors = reader.count_vectors(collection.id)
            problems.extend(
                _chroma(collection, vectors, directory)
                if server is None
                else _server(reader, collection, vectors, server)
            )
            seen["catalogue"] = f"{sum(1 for _ in reader.document_names(collection.id)):,} documents"
            seen["words"] = f"{collection.chunks:,} chunks, every word of them"
            seen["vectors"] = f"{vectors:,} vectors of {collection.embedder.dimension} numbers"
            where = f" on {server.url}" if server is not None else ""
            seen["Chroma"] = f"{collection.snapshot_vectors:,} vectors{where}"
    return Verified(seen, tuple(problems))


def _catalogue(inspector: Inspector, collection: Collection) -> Iterator[Problem]:
    if faults := inspector.file_faults():
        told = "; ".join(faults[:FAULTS_SHOWN])
        yield Problem("catalogue", f"SQLite finds {len(faults):,} faults: {told}", "repair")
    if stray := inspector.stray_chunks(collection.id):
        yield Problem("catalogue", f"{stray:,} chunks belong to no document", "repair")
    if (count := inspector.count_chunks(collection.id)) != collection.chunks:
        yield Problem("catalogue", f"{collection.chunks:,} chunks are noted, {count:,} are there", "repair")
    if renamed := inspector.renamed_chunks(collection.id):
        yield Problem("catalogue", f"{len(renamed):,} chunks have another text than was embedded", "repair")


def _words(inspector: Inspector, collection: Collection) -> Iterator[Problem]:
    for fault in inspector.word_faults(collection):
        yield Problem("words", f"the lexical index is damaged: {fault}", "repair")


def _vectors(inspector: Inspector, collection: Collection) -> Iterator[Problem]:
    if waiting := inspector.unfinished(collection.id):
        yield Problem("vectors", f"{waiting:,} documents still wait for vectors", "repair", waiting=True)
    if bare := inspector.bare_chunks(collection.id):
        yield Problem("vectors", f"{bare:,} chunks have no vector", "repair")
    if mistaken := inspector.mistaken_chunks(collection.id):
        yield Problem("vectors", f"{mistaken:,} chunks have the vector of another text", "repair")
    bad, kinds = inspector.bad_vectors(collection)
    if bad:
        yield Problem("vectors", f"{len(bad):,} vectors are damaged: {kinds}", "repair")
    if unused := inspector.unused_vectors(collection.id):
        yield Problem("vectors", f"{unused:,} vectors belong to no chunk", "repair", waiting=True)


def _chroma(collection: Collection, vectors: int, directory: Path) -> Iterator[Problem]:
    if not vectors and collection.snapshot is None:
        return
    if collection.snapshot is None:
        yield Problem("Chroma", "not built; searches scan instead", "repair", waiting=True)
        return
    fault = snapshot_fault(directory, collection.name)
    if fault is not None:
        where = directory / SNAPSHOTS / collection.snapshot
        yield Problem("Chroma", f"the index in {where} is damaged: {fault}", "repair")


def _server(reader: Reader, collection: Collection, vectors: int, server: ServerAddress) -> Iterator[Problem]:
    if not vectors and collection.snapshot is None:
        return
    fault = served_fault(reader, collection, server)
    if fault is not None:
        detail, is_connection = fault
        told = f"the index on {server.url}: {detail}"
        unbuilt = is_connection or collection.snapshot is None
        yield Problem("Chroma", told, "server" if is_connection else "repair", waiting=unbuilt)


def _unsound(rows: list[tuple[int, bytes]], dimension: int) -> Iterator[tuple[int, str]]:
    """Ids of unsound vectors with what is wrong."""
    import numpy as np

    sized = [row for row in rows if len(row[1]) == 4 * dimension]
    yield from ((number, "of another dimension") for number, blob in rows if len(blob) != 4 * dimension)
    matrix = np.frombuffer(b"".join(blob for _, blob in sized), dtype="<f4").reshape(-1, dimension)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths: list[float] = np.sqrt(np.square(matrix, dtype=np.float64).sum(axis=1)).tolist()
    for (number, _), length in zip(sized, lengths, strict=True):
        if not isfinite(length):
            yield number, "not of finite numbers"
        elif abs(length - 1) > LENGTH_ERROR:
            yield number, "not of length 1"
