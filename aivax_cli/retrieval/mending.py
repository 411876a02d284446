"""Damage that `verification` finds, undone as far as the catalogue alone can: from the text of its chunks.

What lacks a vector afterwards waits for one, as after an ingest that was stopped.
"""

from __future__ import annotations

from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.reader import batches, marks
from aivax_cli.retrieval.records import Collection
from aivax_cli.retrieval.verification import Inspector, Part, Problem
from aivax_cli.retrieval.writer import Writer


class Mender(Writer):
    """A writer that puts a collection in order."""

    @classmethod
    def over(cls, writer: Writer) -> Mender:
        """The same transaction, for mending."""
        return cls(writer._db, writer._analyzer, writer._now)

    def reindex(self) -> None:
        """Makes SQLite's own indexes anew from the rows."""
        self._db.execute("REINDEX")

    def drop_stray_chunks(self, collection_id: int) -> None:
        """Removes chunks whose document is not there. Their words go when the lexical index is made anew."""
        self._db.execute(
            "DELETE FROM chunks WHERE collection_id = ? AND document_id NOT IN (SELECT id FROM documents)",
            (collection_id,),
        )

    def rename_chunks(self, collection_id: int) -> None:
        """Gives every chunk the hash of its text; those that had another wait for their vector."""
        renamed = Inspector.over(self).renamed_chunks(collection_id)
        self._db.executemany(
            "UPDATE chunks SET hash = ?, vector_id = NULL WHERE id = ?",
            ((digest, number) for number, digest in renamed),
        )

    def drop_bad_vectors(self, collection: Collection) -> None:
        """Removes vectors that cannot be right. Chunks whose vector is gone or another's wait for theirs."""
        bad, _ = Inspector.over(self).bad_vectors(collection)
        for some in batches(bad):
            self._db.execute(f"DELETE FROM vectors_{collection.id} WHERE id IN ({marks(some)})", some)
        self._db.execute(
            "UPDATE chunks SET vector_id = NULL WHERE collection_id = ? AND vector_id IS NOT NULL "
            f"AND NOT EXISTS (SELECT 1 FROM vectors_{collection.id} v "
            "WHERE v.id = chunks.vector_id AND v.hash = chunks.hash)",
            (collection.id,),
        )
        self._db.execute(
            "UPDATE documents SET state = 'lexical' WHERE collection_id = ? AND EXISTS "
            "(SELECT 1 FROM chunks c WHERE c.document_id = documents.id AND c.vector_id IS NULL)",
            (collection.id,),
        )

    def count_anew(self, collection_id: int) -> None:
        """Notes how many chunks there are."""
        self._db.execute(
            "UPDATE collections SET chunks = (SELECT count(*) FROM chunks WHERE collection_id = ?) "
            "WHERE id = ?",
            (collection_id, collection_id),
        )
        self._changed(collection_id)


def mend(
    catalogue: Catalogue, collection: Collection, problems: tuple[Problem, ...], *, index_anew: bool = True
) -> None:
    """Undoes what of these problems the catalogue can by itself, in one transaction.

    A damaged vector index is given up whole, but for `index_anew=False`: its parts that are cut short or gone
    are made anew then, when Chroma is brought up to date.
    The caller holds the write lock, and then embeds what waits for vectors and brings Chroma up to date.
    Raises KnowledgeError when the catalogue is beyond it.
    """
    parts: set[Part] = {problem.part for problem in problems if problem.remedy == "repair"}
    with catalogue.writing() as writer:
        mender = Mender.over(writer)
        if "catalogue" in parts:
            mender.reindex()
            mender.drop_stray_chunks(collection.id)
            mender.rename_chunks(collection.id)
        if parts & {"catalogue", "vectors"}:
            mender.drop_bad_vectors(collection)
            mender.drop_unused_vectors(collection.id)
            mender.count_anew(collection.id)
        if parts & {"catalogue", "words"}:
            mender.rebuild_lexical(collection.id)
        if "Chroma" in parts and index_anew:
            mender.set_snapshot(collection.id, None, 0, 0)
