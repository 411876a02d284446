"""A small, exact embedder and folders of documents, for tests of the knowledge store."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np  # noqa: TID253 - tests of vectors need it in every function

from aivax_cli.core.types import Retrieval
from aivax_cli.ingest.repair import Repair, repair
from aivax_cli.ingest.run import IngestRequest, ingest
from aivax_cli.retrieval.chroma_server import ServerAddress
from aivax_cli.retrieval.embedding.base import Embedded
from aivax_cli.retrieval.search import KnowledgeBase

DIMENSION = 64

# The fixture `vector_store` sets them, also for processes that a test starts.
STORE_VARIABLE = "AIVAX_TEST_STORE"
INDEX_VARIABLE = "AIVAX_TEST_INDEX"


class HashEmbedder:
    """Feature hashing: a text's vector is the normalised sum of its words' fixed vectors.

    Deterministic over processes; texts that share words are near. Counts the texts it was given.
    """

    def __init__(self, fingerprint: str = "hash/1", dimension: int = DIMENSION) -> None:
        self.name = "hashing"
        self.fingerprint = fingerprint
        self.dimension = dimension
        self.max_tokens = 512
        self.passages: list[str] = []

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self._embed(texts)

    def embed_passages(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Embedded:
        self.passages.extend(texts)
        if on_batch is not None:
            on_batch(len(texts))
        return self._embed(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def _embed(self, texts: Sequence[str]) -> Embedded:
        rows = np.array([self._vector(text) for text in texts], dtype=np.float32).reshape(-1, self.dimension)
        return Embedded(rows, sum(self.count_tokens(texts)))

    def _vector(self, text: str) -> np.ndarray:
        total = np.full(self.dimension, 1e-3)
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
            total += np.random.default_rng(seed).standard_normal(self.dimension)
        return total / np.linalg.norm(total)


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """Writes texts below `folder` by relative path, and gives the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def server_address() -> ServerAddress | None:
    """The Chroma server of this test; None when vectors are indexed in folders."""
    url = os.environ.get(STORE_VARIABLE)
    return ServerAddress(url) if url else None


def run_ingest(base: Path, *paths: str, collection: str = "kb", embedder: HashEmbedder | None = None, **more):
    """Ingests paths below `base` into its `.aivax`, and gives the summary."""
    options = {key: more.pop(key) for key in ("on_progress", "on_wait", "wait_s", "server") if key in more}
    options.setdefault("server", server_address())
    request = IngestRequest(tuple(base / path for path in paths or ("docs",)), collection, base, **more)
    return ingest(request, base / ".aivax", embedder or HashEmbedder(), **options)


def run_repair(base: Path, embedder: HashEmbedder | None = None, collection: str = "kb") -> Repair:
    """Repairs a collection in `base`'s `.aivax`."""
    return repair(base / ".aivax", collection, embedder or HashEmbedder(), server=server_address())


class _Strict(KnowledgeBase):
    """Fails where a user would be warned: an index that was passed over does not pass for one that works."""

    def search(self, *arguments, **options) -> Retrieval:
        found = super().search(*arguments, **options)
        assert found.problems == ()
        return found


def open_knowledge(
    base: Path, embedder: HashEmbedder | None = None, vector_index: str | None = None, strict: bool = True
) -> KnowledgeBase:
    """What was ingested into `base`'s `.aivax`, for searching."""
    index = vector_index or os.environ.get(INDEX_VARIABLE, "auto")
    kind = _Strict if strict else KnowledgeBase
    return kind(base / ".aivax", embedder or HashEmbedder(), vector_index=index, server=server_address())
