"""What a search asks of the catalogue: only documents with the right tags are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aivax_cli.retrieval import lexical
from aivax_cli.retrieval.reader import Reader, batches, marks
from aivax_cli.retrieval.records import Collection, StoredChunk, TagFilter
from aivax_cli.retrieval.vectors import Matrix

FEW_VECTORS = 20_000
"""Vectors that are few enough to be compared one by one: some 60 ms, read from the catalogue."""


class Searcher(Reader):
    """A reader that lets only some documents through, in searches and in what hits bring along.

    A word's weight and the background stay those of the whole collection.
    """

    _only: TagFilter | None = None

    @classmethod
    def over(cls, reader: Reader, tags: Sequence[str], match: Literal["any", "all"]) -> Searcher:
        """The same transaction; without tags everything is let through."""
        searcher = cls(reader._db, reader._analyzer, reader._counts)
        distinct = tuple(dict.fromkeys(tags))
        searcher._only = TagFilter(distinct, match) if distinct else None
        return searcher

    def lexical(
        self, collection: Collection, question: str, limit: int
    ) -> tuple[list[tuple[int, float]], float]:
        """See `Reader.lexical`."""
        if self._only is None:
            return super().lexical(collection, question, limit)
        query = lexical.plan(self._counted(collection, question), collection.chunks)
        return self._words(collection.id, query.match, limit) if query.match else [], query.reach

    def found(self, collection: Collection, question: str) -> float:
        """The part of U (see `lexical`) of those words that some passage of the collection holds."""
        counts = [count for _, count in self._counted(collection, question)]
        every = lexical.reach(collection.chunks, counts)
        held = lexical.reach(collection.chunks, (count for count in counts if count))
        return held / every if every else 0.0

    def _counted(self, collection: Collection, question: str) -> list[tuple[str, int]]:
        tokens = self._analyzer.query(question)
        return self._counts.get(self._db, collection.id, collection.generation, tokens)

    def _words(self, collection_id: int, match: str, limit: int) -> list[tuple[int, float]]:
        table = f"lexical_{collection_id}"
        allowed, values = self._allowed(collection_id, "c.document_id")
        # The plus keeps SQLite from running the search anew for each allowed row.
        rows = self._db.execute(
            f"SELECT rowid, rank FROM {table} WHERE {table} MATCH ? AND +rowid IN "
            f"(SELECT c.id FROM chunks c WHERE c.collection_id = ?{allowed}) ORDER BY rank LIMIT ?",
            (match, collection_id, *values, limit),
        )
        return [(int(rowid), -float(rank)) for rowid, rank in rows]

    def first_chunks_of(self, collection_id: int, vector_ids: Sequence[int]) -> dict[int, int]:
        """For each vector that an allowed document uses, its first chunk that has it."""
        if self._only is None:
            return super().first_chunks_of(collection_id, vector_ids)
        allowed, values = self._allowed(collection_id, "document_id")
        found: dict[int, int] = {}
        for some in batches(vector_ids):
            found.update(
                self._db.execute(
                    "SELECT vector_id, min(id) FROM chunks WHERE collection_id = ? "
                    f"AND vector_id IN ({marks(some)}){allowed} GROUP BY vector_id",
                    (collection_id, *some, *values),
                ).fetchall()
            )
        return found

    def few_vectors(self, collection: Collection) -> Matrix | None:
        """The vectors of allowed documents; None when they are all, or more than `FEW_VECTORS`."""
        import numpy as np

        if self._only is None:
            return None
        allowed, values = self._allowed(collection.id, "c.document_id")
        rows = self._db.execute(
            "SELECT DISTINCT c.vector_id FROM chunks c WHERE c.collection_id = ? "
            f"AND c.vector_id IS NOT NULL{allowed} ORDER BY c.vector_id LIMIT ?",
            (collection.id, *values, FEW_VECTORS + 1),
        ).fetchall()
        if len(rows) > FEW_VECTORS:
            return None
        vectors = self.vectors_by_id(collection.id, [row[0] for row in rows])
        matrix = np.frombuffer(b"".join(vectors.values()), dtype="<f4")
        ids = np.array(list(vectors), dtype=np.int64)
        return Matrix(ids, matrix.reshape(-1, collection.embedder.dimension), 0)

    def neighbours(self, chunk: StoredChunk, reach: int) -> list[int]:
        """The allowed chunks up to `reach` places before and after one in its document, nearest first."""
        allowed, values = self._allowed(chunk.collection_id, "d.id")
        which: tuple[str, tuple[object, ...]]
        if chunk.part_of is None:
            which, place = ("d.id = ?", (chunk.document_id,)), "c.ordinal"
        else:
            names = (chunk.collection_id, chunk.part_of)
            which, place = ("d.collection_id = ? AND d.part_of = ?", names), "d.part + c.ordinal"
        rows = self._db.execute(
            f"SELECT c.id FROM documents d JOIN chunks c ON c.document_id = d.id WHERE {which[0]} "
            f"AND {place} BETWEEN ? AND ? AND c.id <> ?{allowed} ORDER BY abs({place} - ?), {place}",
            (*which[1], chunk.position - reach, chunk.position + reach, chunk.id, *values, chunk.position),
        )
        return [row[0] for row in rows]

    def siblings(self, chunk: StoredChunk, most: int) -> list[int]:
        """Other allowed chunks of the same source, nearest first: of its `__ref`, else of its document."""
        allowed, values = self._allowed(chunk.collection_id, "d.id")
        which: tuple[str, tuple[object, ...]] = ("d.id = ?", (chunk.document_id,))
        if chunk.ref:
            which = ("d.collection_id = ? AND d.ref = ? AND d.ref <> ''", (chunk.collection_id, chunk.ref))
        rows = self._db.execute(
            f"SELECT c.id FROM documents d JOIN chunks c ON c.document_id = d.id WHERE {which[0]} "
            f"AND c.id <> ?{allowed} ORDER BY abs(c.id - ?), c.id LIMIT ?",
            (*which[1], chunk.id, *values, chunk.id, most),
        )
        return [row[0] for row in rows]

    def _allowed(self, collection_id: int, document: str) -> tuple[str, tuple[object, ...]]:
        """A condition on a column that holds a document's id, and its values."""
        if self._only is None:
            return "", ()
        tags = self._only.tags
        holding = len(tags) if self._only.match == "all" else 1
        return (
            f" AND {document} IN (SELECT document_id FROM document_tags WHERE collection_id = ? "
            f"AND tag IN ({marks(tags)}) GROUP BY document_id HAVING count(*) >= ?)",
            (collection_id, *tags, holding),
        )
