"""Chroma, as far as this project uses it: a collection of vectors by number, in a folder or on a server.

Errors of every kind that Chroma raises come out as `ChromaFailedError`: the caller has the catalogue to fall
back on. The server's side is in `chroma_server`.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors

BATCH_ROWS = 2_000
"""Rows written at a time; Chroma takes 5,461 at most."""

COSINE: Any = {"hnsw": {"space": "cosine"}}
"""How a collection is configured."""


class ChromaFailedError(Exception):
    """The vector store could not do it. Not for users: it can be made anew from the catalogue."""


class ChromaVectors(ABC):
    """One collection of vectors, compared by cosine. Threads may share it.

    Every method raises ChromaFailedError.
    """

    _collection: Any

    @abstractmethod
    def _call(self) -> AbstractContextManager[None]:
        """What each call is made in: it translates errors."""

    def upsert(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Stores as many vectors as a batch may have, in place of those of the same number."""
        with self._call():
            self._collection.upsert(ids=[str(number) for number in ids], embeddings=vectors)

    def delete(self, ids: Sequence[int]) -> None:
        """Forgets vectors, as many as a batch may have."""
        with self._call():
            self._collection.delete(ids=[str(number) for number in ids])

    def ids(self) -> set[int]:
        """The numbers of all vectors."""
        with self._call():
            return {int(number) for number in self._collection.get(include=[])["ids"]}

    def nearest(self, questions: Vectors, count: int) -> list[dict[int, float]]:
        """For each row of `questions`, cosines by vector number, highest first."""
        with self._call():
            found = self._collection.query(query_embeddings=questions, n_results=count, include=["distances"])
            return [
                {int(number): 1.0 - distance for number, distance in zip(ids, distances, strict=True)}
                for ids, distances in zip(found["ids"], found["distances"], strict=True)
            ]


@contextmanager
def _failures() -> Iterator[None]:
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, OSError, RuntimeError, ValueError, TypeError, KeyError, sqlite3.Error) as error:
        raise ChromaFailedError(f"{type(error).__name__}: {error}") from error


class ChromaFolder(ChromaVectors):
    """An open Chroma folder with one collection. Calls wait for one another."""

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
                self._collection = (
                    self._client.get_or_create_collection(name, configuration=COSINE, embedding_function=None)
                    if create
                    else self._client.get_collection(name, embedding_function=None)
                )
            except BaseException:
                self.close()
                raise

    @contextmanager
    def _call(self) -> Iterator[None]:
        with _failures(), self._lock:
            if self._closed:
                raise ChromaFailedError("closed")
            yield

    def close(self) -> None:
        """Writes what is left to write and lets go of the files, after searches under way."""
        with _failures(), self._lock:
            self._closed = True
            self._client.close()
