"""Searching a collection's index on a server, with the catalogue at hand to check it.

The server names candidates; their cosines are computed from the catalogue's vectors. When it cannot be asked,
or does not hold what this view of the catalogue needs, the catalogue is scanned: exact, but slower in a large
collection, and all its vectors come into memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from aivax_cli.retrieval.chroma import ChromaFailedError
from aivax_cli.retrieval.chroma_server import (
    ChromaServer,
    ServedVectors,
    ServerAddress,
    ServerDownError,
    UnsoundError,
)
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection
from aivax_cli.retrieval.served import OTHER_STATE, Held, check_sound
from aivax_cli.retrieval.vectors import Matrix, MatrixCache

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors

OPENING_PROBES = 8
"""Vectors that a server is asked for before a process first searches it."""

AGAIN_AFTER_S = 30.0
"""A server that was down is left alone for so long: not every search waits for it."""

COSINE_ERROR = 1e-2
"""How far a server's cosine may be from that of the catalogue's vectors."""

MOST_RESULTS = 300
"""Hits for a question that every server gives; Chroma Cloud refuses more."""

FEWEST_FOUND = 0.5
"""The part of the vectors asked for that a server finds at least. An approximate index may miss some."""


class ServedIndexes:
    """The collections on a server that a process has open. Safe to share between threads.

    `newest` gives a collection's row as it is now, whatever a search's own view of the catalogue is.
    """

    def __init__(self, address: ServerAddress, newest: Callable[[str], Collection | None]) -> None:
        self._address = address
        self._newest = newest
        self._lock = Lock()
        self._server: ChromaServer | None = None
        self._open: dict[str, ServedVectors] = {}
        self._down: tuple[float, str] | None = None

    def get(self, reader: Reader, collection: Collection) -> ServedVectors:
        """The collection's index, asked once whether it is sound. Raises ChromaFailedError."""
        with self._lock:
            if self._down is not None and time.monotonic() < self._down[0]:
                raise ServerDownError(self._down[1])
            try:
                return self._opened(reader, collection)
            except ChromaFailedError as error:
                self.note(error)
                raise

    def _opened(self, reader: Reader, collection: Collection) -> ServedVectors:
        held = Held.of(collection)
        if held is None:
            raise ChromaFailedError(f"nothing there yet: aivax ingest FOLDER --collection {collection.name}")
        if held.name in self._open:
            return self._open[held.name]
        if self._server is None:
            self._server = ChromaServer(self._address, wait_s=self._address.search_wait_s)
        served = self._server.open(held.name)
        if served is None:
            raise UnsoundError("the collection is gone from it")
        if not held.knows(served.opened_at):
            raise UnsoundError(OTHER_STATE)
        if held.coming is None and (count := served.count()) != collection.snapshot_vectors:
            raise UnsoundError(f"holds {count:,} vectors, not {collection.snapshot_vectors:,}")
        check_sound(reader, collection, served, OPENING_PROBES)
        self._open[held.name] = served
        return served

    def note(self, error: ChromaFailedError) -> None:
        """Remembers that the server is down, if that is what the error says."""
        if isinstance(error, ServerDownError):
            self._down = (time.monotonic() + AGAIN_AFTER_S, str(error))
        self._open.clear()

    def problem(self, error: ChromaFailedError, collection: Collection) -> str | None:
        """What a user is told of it; None when a writer has just moved on, and the next search will too."""
        newest = self._newest(collection.name)
        if newest is not None and newest.snapshot != collection.snapshot:
            return None
        return (
            f"collection '{collection.name}': the vector index on {self._address.url} was not used: {error}; "
            "the catalogue was searched instead"
        )

    def close(self) -> None:
        """Lets go of connections."""
        with self._lock:
            if self._server is not None:
                self._server.close()
            self._server, self._open = None, {}


class ServedSearch:
    """A collection's vectors on a server together with those that came after, as `NearestVectors`."""

    def __init__(
        self,
        indexes: ServedIndexes,
        served: ServedVectors,
        reader: Reader,
        collection: Collection,
        matrices: MatrixCache,
        on_problem: Callable[[str], None],
    ) -> None:
        self._indexes = indexes
        self._served = served
        self._reader = reader
        self._collection = collection
        self._matrices = matrices
        self._on_problem = on_problem
        self._newer: Matrix = matrices.get(reader, collection, collection.snapshot_last)

    @property
    def size(self) -> int:
        return self._collection.snapshot_vectors + self._newer.size

    def nearest(self, questions: Vectors, count: int) -> list[dict[int, float]]:
        """See `NearestVectors`. Scans when the server fails, or holds another state."""
        try:
            served = self._asked(questions, count)
        except ChromaFailedError as error:
            if count <= MOST_RESULTS or isinstance(error, (ServerDownError, UnsoundError)):
                self._indexes.note(error)
                if problem := self._indexes.problem(error, self._collection):
                    self._on_problem(problem)
            return self._matrices.get(self._reader, self._collection).nearest(questions, count)
        newer = self._newer.nearest(questions, count)
        return [
            dict(sorted((a | b).items(), key=lambda hit: (-hit[1], hit[0]))[:count])
            for a, b in zip(served, newer, strict=True)
        ]

    def _asked(self, questions: Vectors, count: int) -> list[dict[int, float]]:
        held = Held.of(self._collection)
        vectors = self._collection.snapshot_vectors
        if held is None or not vectors:
            return [{} for _ in questions]
        wanted = min(count, vectors)
        found = self._served.nearest(questions, wanted)
        if not held.knows(self._served.revision()):  # after the question: see `served`
            raise UnsoundError(OTHER_STATE)
        if held.coming is None and any(len(hits) < FEWEST_FOUND * wanted for hits in found):
            raise UnsoundError(f"finds only {min(map(len, found))} of {wanted} vectors")
        if len(found) != len(questions):
            raise UnsoundError(f"answers {len(found)} of {len(questions)} questions")
        return self._checked(questions, found)

    def _checked(self, questions: Vectors, found: list[dict[int, float]]) -> list[dict[int, float]]:
        """The hits that the catalogue has, with the cosines of its own vectors."""
        import numpy as np

        dimension = self._collection.embedder.dimension
        numbers = sorted({number for hits in found for number in hits})
        rows = self._reader.vectors_by_id(self._collection.id, numbers)
        rows = {number: blob for number, blob in rows.items() if len(blob) == 4 * dimension}
        matrix = np.frombuffer(b"".join(rows.values()), dtype="<f4").reshape(-1, dimension)
        exact = []
        for question, hits in zip(questions, found, strict=True):
            # As a scan computes them, so that the same passages get the same score to the last digit.
            cosines = dict(zip(rows, np.einsum("ij,j->i", matrix, question).tolist(), strict=True))
            if any(
                abs(cosine - hits[number]) > COSINE_ERROR
                for number, cosine in cosines.items()
                if number in hits
            ):
                raise UnsoundError("it holds other vectors than the catalogue")
            exact.append({number: cosine for number, cosine in cosines.items() if number in hits})
        return exact
