"""Which vector index answers: an exact scan for small collections, Chroma from a measured size on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from aivax_cli.core.errors import KnowledgeError
from aivax_cli.retrieval.chroma import ChromaFailedError
from aivax_cli.retrieval.names import chroma_name
from aivax_cli.retrieval.parts import ChromaParts
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection
from aivax_cli.retrieval.served_search import ServedIndexes, ServedSearch
from aivax_cli.retrieval.snapshots import SNAPSHOTS, sound_snapshot
from aivax_cli.retrieval.vectors import Matrix, MatrixCache, NearestVectors

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors

VectorIndex = Literal["auto", "exact", "chroma"]

EXACT_LIMIT = 50_000
"""Chunks up to which `auto` scans.

The first search of a new process took 0.07 s by scan and 0.64 s with Chroma at 20,000 chunks, 0.35 s and
1.2 s at 100,000; later ones at 100,000 took 64 ms and 42 ms. A scan keeps the vectors in memory, 1.5 kB each.
"""


class VectorIndexes:
    """The vector indexes that a process has open, each collection's newest. Safe to share between threads."""

    def __init__(self, directory: Path, choice: VectorIndex, served: ServedIndexes | None = None) -> None:
        """With `served`, Chroma is a server's; else folders below `directory`."""
        self._served = served
        self._home = directory / SNAPSHOTS
        self._choice = choice
        self._matrices = MatrixCache()
        self._lock = Lock()
        self._open: dict[int, tuple[str, ChromaParts]] = {}

    def get(
        self, reader: Reader, collection: Collection, on_problem: Callable[[str], None] = lambda _: None
    ) -> NearestVectors:
        """The collection's vectors as `reader` sees them, or newer.

        Raises KnowledgeError when Chroma was asked for by name and cannot be used; `auto` scans then, and
        `on_problem` is told when it is a server's, which is somebody's to mend.
        """
        small = self._choice == "auto" and collection.chunks <= EXACT_LIMIT
        if self._choice == "exact" or small:
            return self._matrices.get(reader, collection)
        try:
            if self._served is not None:
                served = self._served.get(reader, collection)
                return ServedSearch(self._served, served, reader, collection, self._matrices, on_problem)
            chroma = self._chroma(collection)
        except ChromaFailedError as error:
            if self._choice == "chroma":
                raise KnowledgeError(
                    f"collection '{collection.name}': its vector index cannot be used ({error})",
                    fix=f"ingest it again: aivax ingest FOLDER --collection {collection.name}",
                ) from error
            if self._served is not None and (problem := self._served.problem(error, collection)):
                on_problem(problem)
            return self._matrices.get(reader, collection)
        newer = self._matrices.get(reader, collection, collection.snapshot_last)
        return _Snapshot(chroma, collection.snapshot_vectors, newer, reader, collection, self._matrices)

    def close(self) -> None:
        """Closes what is open."""
        with self._lock:
            for _, chroma in self._open.values():
                chroma.close()
            self._open = {}
        if self._served is not None:
            self._served.close()

    def _chroma(self, collection: Collection) -> ChromaParts:
        with self._lock:
            name, chroma = self._open.get(collection.id, ("", None))
            if chroma is not None and name == collection.snapshot:
                return chroma
            parts = sound_snapshot(collection, self._home)
            if parts is None:
                raise ChromaFailedError("not there, or damaged")
            newer = ChromaParts(self._home, chroma_name(collection.name), parts, chroma)
            self._open[collection.id] = (collection.snapshot or "", newer)
            return newer


class _Snapshot:
    """A Chroma snapshot together with the vectors that came after it."""

    def __init__(
        self,
        chroma: ChromaParts,
        vectors: int,
        newer: Matrix,
        reader: Reader,
        collection: Collection,
        matrices: MatrixCache,
    ) -> None:
        self._chroma = chroma
        self._vectors = vectors
        self._newer = newer
        self._reader = reader
        self._collection = collection
        self._matrices = matrices

    @property
    def size(self) -> int:
        return self._vectors + self._newer.size

    def nearest(self, questions: Vectors, count: int) -> list[dict[int, float]]:
        """See `NearestVectors`. Scans when Chroma fails, or has been closed for a newer snapshot."""
        try:
            old = self._chroma.nearest(questions, min(count, self._vectors))
        except ChromaFailedError:
            return self._matrices.get(self._reader, self._collection).nearest(questions, count)
        new = self._newer.nearest(questions, count)
        return [
            dict(sorted((a | b).items(), key=lambda hit: -hit[1])[:count])
            for a, b in zip(old, new, strict=True)
        ]
