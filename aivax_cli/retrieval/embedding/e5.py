"""multilingual-e5-small (MIT, intfloat), the built-in embedder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from aivax_cli.retrieval.embedding.base import Embedded
from aivax_cli.retrieval.embedding.graph import E5_SMALL, Network, load_network, pipeline_fingerprint
from aivax_cli.retrieval.embedding.weights import E5Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aivax_cli.assets.store import AssetStore

ASSET_NAME: Final = "e5-small"
# The model was trained with them: https://huggingface.co/intfloat/multilingual-e5-small#faq
QUERY_PREFIX: Final = "query: "
PASSAGE_PREFIX: Final = "passage: "
_MOST_THREADS: Final = 32

TOKENS_A_TEXT: Final = 5
"""Tokens that are read beside a passage's own: its prefix, its beginning and its end."""

TOKENS_PER_S: Final = 4_000
"""For estimates before anything was embedded: what two cores of a common machine manage."""


class _Model(Struct, frozen=True, eq=False):
    """Everything that is loaded at the first text."""

    weights: E5Weights
    positions: NDArray[np.float32]
    network: Network

    @staticmethod
    def load(weights_file: Path, converted_file: Path) -> _Model:
        weights = E5Weights.open(weights_file)
        hidden = weights.shape.hidden
        token_type = weights.matrix("emb.type", hidden)[0]
        positions = weights.matrix("emb.pos", hidden) + token_type
        return _Model(weights, positions, load_network(weights, converted_file))

    def tokens(self, text: str) -> list[int]:
        """The ids as the model reads them, at most as many as it has positions."""
        weights = self.weights
        inner = weights.tokenizer.encode(text, weights.shape.positions - 2)
        return [weights.bos_id, *inner, weights.eos_id]

    def vector(self, text: str) -> tuple[NDArray[np.float32], int]:
        """The mean of the text's token vectors, scaled to length 1; and how many tokens there were."""
        import numpy as np

        ids = np.array(self.tokens(text))
        embeddings = self.weights.word_rows(ids) + self.positions[: len(ids)]
        mean: NDArray[np.float32] = self.network.run(embeddings).mean(axis=0)
        return mean / np.linalg.norm(mean), len(ids)


class E5Embedder:
    """multilingual-e5-small in 8 bits. Loads itself at the first text; may be shared by threads.

    Every text runs by itself, on one thread, several at once: padding costs nothing, a text's vector is
    the same whatever it is embedded with, and on two cores this is faster than batches of eight.
    `threads` is the most to use, all processors that the process may use by default.
    """

    name = "multilingual-e5-small-int8"
    dimension = E5_SMALL.hidden
    max_tokens = E5_SMALL.positions

    def __init__(
        self,
        weights_file: Callable[[], Path],
        *,
        weights_sha256: str,
        cache_dir: Path,
        threads: int | None = None,
    ) -> None:
        self._weights_file = weights_file
        self._weights_sha256 = weights_sha256
        self._cache_dir = cache_dir
        self._threads = threads or min(_usable_processors(), _MOST_THREADS)
        self._lock = Lock()
        self._model: _Model | None = None

    @classmethod
    def from_store(cls, store: AssetStore, threads: int | None = None) -> E5Embedder:
        """An embedder whose weights the store fetches when they are first needed."""
        return cls(
            lambda: store.path(ASSET_NAME),
            weights_sha256=store.asset(ASSET_NAME).sha256,
            cache_dir=store.cache_dir,
            threads=threads,
        )

    @property
    def fingerprint(self) -> str:
        return pipeline_fingerprint(self._weights_sha256)

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self._embed([QUERY_PREFIX + text for text in texts], None)

    def embed_passages(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Embedded:
        return self._embed([PASSAGE_PREFIX + text for text in texts], on_batch)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        tokenizer = self._loaded().weights.tokenizer
        return [tokenizer.count(text) for text in texts]

    def _embed(self, texts: Sequence[str], on_batch: Callable[[int], None] | None) -> Embedded:
        import numpy as np

        model = self._loaded()
        vectors = np.empty((len(texts), self.dimension), np.float32)
        tokens = 0
        for row, (vector, count) in enumerate(self._run(model.vector, texts)):
            vectors[row] = vector
            tokens += count
            if on_batch:
                on_batch(1)
        return Embedded(vectors, tokens)

    def _run(
        self, work: Callable[[str], tuple[NDArray[np.float32], int]], texts: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.float32], int]]:
        if len(texts) < 2 or self._threads < 2:
            yield from map(work, texts)
            return
        pool = ThreadPoolExecutor(min(self._threads, len(texts)), thread_name_prefix="embed")
        try:
            yield from pool.map(work, texts)
        finally:
            pool.shutdown(cancel_futures=True)

    def _loaded(self) -> _Model:
        with self._lock:
            if self._model is None:
                file = self._cache_dir / "converted" / f"{self.name}-{self.fingerprint}.bin"
                self._model = _Model.load(self._weights_file(), file)
            return self._model


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
