"""The second half of an ingest: chunks that wait for vectors get them, a window at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from aivax_cli.retrieval import calibration
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.records import Collection

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedder

WINDOW_CHUNKS = 128
"""Chunks embedded between two commits, across files: some five seconds of work on two cores, which is what a
kill can lose, and enough for the embedder to batch texts of like length."""


MEASURED_FROM_TOKENS = 2_000
"""Tokens from which on the time that embedding them took says how fast an embedder is."""


class EmbeddingPass:
    """Embeds one collection's chunks, counting what it took."""

    def __init__(self, catalogue: Catalogue, embedder: Embedder) -> None:
        self._catalogue = catalogue
        self._embedder = embedder
        self.tokens = 0
        self.chunks = 0
        self.seconds = 0.0

    def run(self, collection: Collection, on_chunks: Callable[[int], None]) -> None:
        """Gives every chunk its vector. `on_chunks` is told how many more chunks are done.

        Each window is one transaction; a document is ready with the window that holds its last chunk. Stopped
        at any point, the next run goes on from there.
        """
        after = 0
        while True:
            with self._catalogue.reading() as reader:
                window = reader.pending_chunks(collection.id, after, WINDOW_CHUNKS)
                known = reader.known_vectors(collection, list({chunk.hash for chunk in window}))
            if not window:
                self._remember_speed(collection)
                return
            texts = {chunk.hash: chunk.text for chunk in window if chunk.hash not in known}
            on_chunks(len(window) - len(texts))
            vectors = [(digest, vector) for digest, vector in known.items() if vector is not None]
            if texts:
                vectors.extend(zip(texts, self._embed(list(texts.values()), on_chunks), strict=True))
            with self._catalogue.writing() as writer:
                writer.add_vectors(collection.id, vectors)
                writer.complete_documents(collection.id, dict.fromkeys(chunk.document_id for chunk in window))
            after = window[-1].id

    def _remember_speed(self, collection: Collection) -> None:
        """For the estimates of later ingests. Little work says little: it is the start that is measured."""
        if self.tokens >= MEASURED_FROM_TOKENS and self.seconds > 0:
            with self._catalogue.writing() as writer:
                writer.set_speed(collection.embedder.fingerprint, self.tokens / self.seconds)

    def _embed(self, texts: list[str], on_chunks: Callable[[int], None]) -> list[bytes]:
        start = time.monotonic()
        embedded = self._embedder.embed_passages(texts, on_chunks)
        self.seconds += time.monotonic() - start
        self.tokens += embedded.tokens
        self.chunks += len(texts)
        return [row.tobytes() for row in embedded.vectors.astype("<f4")]

    def ensure_background(self, collection: Collection) -> None:
        """Gives a new collection the embedder's own background, so that its scores mean something at once."""
        with self._catalogue.reading() as reader:
            prior = reader.prior_background(collection.embedder.fingerprint)
        if prior is not None and collection.background is not None:
            return
        if prior is None:
            prior, tokens = calibration.prior(self._embedder)
            self.tokens += tokens
        with self._catalogue.writing() as writer:
            writer.set_prior_background(collection.embedder.fingerprint, prior)
            if collection.background is None:
                writer.set_background(collection.id, prior, 0)

    def measure_background(self, collection: Collection) -> None:
        """Measures the cosine of unrelated texts when the collection has outgrown the last measurement."""
        import numpy as np

        if not calibration.outgrown(collection.chunks, collection.background_chunks):
            return
        with self._catalogue.reading() as reader:
            chunks = reader.some_chunks(collection.id, calibration.SAMPLE_CHUNKS)
            vectors = reader.vectors_by_id(
                collection.id, [chunk.vector_id for chunk in chunks if chunk.vector_id is not None]
            )
            prior = reader.prior_background(collection.embedder.fingerprint)
        if not chunks or prior is None:
            return
        questions = self._embedder.embed_queries([calibration.opening(chunk.text) for chunk in chunks])
        self.tokens += questions.tokens
        passages = np.stack(
            [np.frombuffer(vectors[chunk.vector_id or 0], dtype="<f4") for chunk in chunks], dtype=np.float32
        )
        found = calibration.measured(questions.vectors, passages, [chunk.document for chunk in chunks])
        background = calibration.blended(found, len(chunks), prior)
        with self._catalogue.writing() as writer:
            writer.set_background(collection.id, background, collection.chunks)
