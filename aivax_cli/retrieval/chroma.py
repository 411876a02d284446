"""Embedded Chroma, as far as this project uses it: one folder, one collection, vectors by number.

Errors of every kind that Chroma raises come out as `ChromaFailedError`: the caller has the catalogue to fall
back on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors

BATCH_ROWS = 2_000
"""Rows written at a time; Chroma takes 5,461 at most."""


class ChromaFailedError(Exception):
    """The vector store could not do it. Not for users: it can be made anew from the catalogue."""


@contextmanager
def _failures() -> Iterator[None]:
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, OSError, RuntimeError, ValueError, TypeError, KeyError, sqlite3.Error) as error:
        raise ChromaFailedError(f"{type(error).__name__}: {error}") from error


class ChromaFolder:
    """An open Chroma folder with one collection of vectors, compared by cosine. Threads may share it."""

    def __init__(self, folder: Path, name: str, *, create: bool) -> None:
        """Opens the collection `name`, a name as `names.chroma_name` gives it. Raises ChromaFailedError."""
        with _failures():
            import chromadb
            from chromadb.config import Settings

            self._lock = Lock()
            self._closed = False
            self._client: Any = chromadb.PersistentClient(
                str(folder), settings=Settings(anonymized_telemetry=False)
            )
            try:
                self._collection: Any = (
                    self._client.get_or_create_collection(
                        name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
                    )
                    if create
                    else self._client.get_collection(name, embedding_function=None)
                )
            except BaseException:
                self.close()
                raise

    def upsert(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Stores at most `BATCH_ROWS` vectors, in place of those of the same number."""
        with _failures(), self._lock:
            self._collection.upsert(ids=[str(number) for number in ids], embeddings=vectors)

    def delete(self, ids: Sequence[int]) -> None:
        """Forgets vectors, at most `BATCH_ROWS`."""
        with _failures(), self._lock:
            self._collection.delete(ids=[str(number) for number in ids])

    def ids(self) -> set[int]:
        """The numbers of all vectors."""
        with _failures(), self._lock:
            return {int(number) for number in self._collection.get(include=[])["ids"]}

    def nearest(self, questions: Vectors, count: int) -> list[dict[int, float]]:
        """For each row of `questions`, cosines by vector number, highest first."""
        with _failures(), self._lock:
            if self._closed:
                raise ChromaFailedError("closed")
            found = self._collection.query(query_embeddings=questions, n_results=count, include=["distances"])
        return [
            {int(number): 1.0 - distance for number, distance in zip(ids, distances, strict=True)}
            for ids, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    def close(self) -> None:
        """Writes what is left to write and lets go of the files, after searches under way."""
        with _failures(), self._lock:
            self._closed = True
            self._client.close()
