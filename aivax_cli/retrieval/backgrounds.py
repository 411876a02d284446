"""What counts as unrelated: the background cosine of each question in each collection."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from aivax_cli.retrieval.calibration import ASKED_CHUNKS, asked
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors


class Backgrounds:
    """Keeps a sample of each collection's vectors between the searches of a process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._samples: dict[int, tuple[int, Vectors]] = {}

    def of(self, reader: Reader, collection: Collection, questions: Vectors) -> list[float | None]:
        """The background of each row of `questions`; None while nothing is known about the collection."""
        if collection.background is None:
            return [None] * len(questions)
        cosines = questions @ self._sample(reader, collection).T
        return [asked(row, collection.background) for row in cosines]

    def _sample(self, reader: Reader, collection: Collection) -> Vectors:
        import numpy as np

        with self._lock:
            generation, sample = self._samples.get(collection.id, (-1, None))
            if sample is None or generation != collection.generation:
                blobs = reader.spread_vectors(collection.id, ASKED_CHUNKS)
                rows = np.frombuffer(b"".join(blobs), dtype="<f4")
                sample = rows.reshape(-1, collection.embedder.dimension)
                self._samples[collection.id] = (collection.generation, sample)
            return sample
