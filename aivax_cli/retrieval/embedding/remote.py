"""An embedder that is a model behind an endpoint."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from hashlib import sha256
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from aivax_cli.core.errors import ModelError
from aivax_cli.core.readings import EmbeddingAnswer
from aivax_cli.core.types import Prices
from aivax_cli.retrieval.embedding.base import Embedded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aivax_cli.core.ports import EmbeddingEndpoint

BATCH: Final = 32
PARALLEL: Final = 4
"""Requests under way at once. The time of one is mostly the way to the endpoint and back."""

MAX_TOKENS: Final = 8192
_PROBE: Final = "dimension"


class EmbeddingModel(Struct, frozen=True):
    """What decides which vector a text gets. `dimensions` is what is asked for, None: the model's own.

    `label` is what users see (`@openai/text-embedding-3-small`).
    """

    label: str
    base_url: str
    name: str
    dimensions: int | None = None
    query_prefix: str = ""
    passage_prefix: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes a vector. Holds no key."""
        parts = (
            self.base_url.rstrip("/"),
            self.name,
            str(self.dimensions or ""),
            self.query_prefix,
            self.passage_prefix,
        )
        return "remote/1:" + sha256("\0".join(parts).encode()).hexdigest()[:32]


class RemoteEmbedder:
    """Embeds through an endpoint, in batches, several at once. May be shared by threads.

    Requests run in threads that keep no process from ending; `close` ends every wait for them at once.

    `count_tokens` counts where the endpoint does not say what it read; `prices` is asked once a text has
    been embedded. `dimension` is the one known from an index; without it, and without `dimensions` in the
    model, the first answer tells, and asking for the dimension earlier embeds a word to find it.
    """

    max_tokens = MAX_TOKENS

    def __init__(
        self,
        model: EmbeddingModel,
        endpoint: EmbeddingEndpoint,
        *,
        count_tokens: Callable[[Sequence[str]], list[int]],
        prices: Callable[[], Prices | None],
        batch: int = BATCH,
        dimension: int | None = None,
    ) -> None:
        self._model = model
        self._endpoint = endpoint
        self._count_tokens = count_tokens
        self._prices = prices
        self._batch = batch
        self._dimension = dimension or model.dimensions
        self._owed = 0
        self._lock = Lock()
        self._awaited: set[Future[EmbeddingAnswer]] = set()

    @property
    def name(self) -> str:
        return self._model.label

    @property
    def fingerprint(self) -> str:
        return self._model.fingerprint

    @property
    def dimension(self) -> int:
        """Raises ModelError when it has to be found and cannot be."""
        if self._dimension is None:
            self._owed += self.embed_passages([_PROBE]).tokens  # accounted for with the next texts
        assert self._dimension is not None
        return self._dimension

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self._embed([self._model.query_prefix + text for text in texts], None)

    def embed_passages(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Embedded:
        return self._embed([self._model.passage_prefix + text for text in texts], on_batch)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._count_tokens(texts)

    def close(self) -> None:
        """Those who wait for vectors get a ModelError. The embedder can be used again."""
        with self._lock:
            waiting, self._awaited = self._awaited, set()
        for future in waiting:
            with suppress(InvalidStateError):
                future.set_exception(ModelError(f"embedding with {self.name} was given up"))

    def _embed(self, texts: Sequence[str], on_batch: Callable[[int], None] | None) -> Embedded:
        import numpy as np

        batches = [texts[start : start + self._batch] for start in range(0, len(texts), self._batch)]
        parts: list[NDArray[np.float32]] = []
        tokens, self._owed = self._owed, 0
        for batch, answer in self._run(batches):
            parts.append(self._normalised(answer))
            tokens += sum(self._count_tokens(batch)) if answer.tokens is None else answer.tokens
            if on_batch:
                on_batch(len(batch))
        vectors = np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)
        return Embedded(vectors, tokens, self._prices() if parts else None)

    def _run(self, batches: Sequence[Sequence[str]]) -> Iterator[tuple[Sequence[str], EmbeddingAnswer]]:
        """The answers in the order of the batches. Batches that were not sent when one fails never are."""
        futures: list[Future[EmbeddingAnswer]] = [Future() for _ in batches]
        waiting = deque(zip(batches, futures, strict=True))
        with self._lock:
            self._awaited.update(futures)
        for _ in range(min(PARALLEL, len(batches))):
            Thread(target=self._work, args=(waiting,), name="embed", daemon=True).start()
        try:
            for batch, future in zip(batches, futures, strict=True):
                yield batch, future.result()
        finally:
            waiting.clear()
            with self._lock:
                self._awaited.difference_update(futures)

    def _work(self, waiting: deque[tuple[Sequence[str], Future[EmbeddingAnswer]]]) -> None:
        """Sends batches until none waits."""
        while True:
            try:
                batch, future = waiting.popleft()
            except IndexError:
                return
            with suppress(InvalidStateError):  # given up meanwhile
                try:
                    future.set_result(self._endpoint.embed(batch))
                except InvalidStateError:
                    raise
                except Exception as error:  # noqa: BLE001  # raised where the answer is waited for
                    future.set_exception(error)

    def _normalised(self, answer: EmbeddingAnswer) -> NDArray[np.float32]:
        """The vectors at length 1. Raises ModelError for one that is no direction or of another dimension."""
        import numpy as np

        for vector in answer.vectors:
            found = len(vector) // 4
            if self._dimension is None:
                self._dimension = found
            if found != self._dimension:
                raise ModelError(
                    f"{self.name} gave a vector of {found} components, not of {self._dimension}",
                    fix="check `dimensions` in the collection's file; some models have one size alone",
                )
        rows = np.frombuffer(b"".join(answer.vectors), dtype="<f4").reshape(len(answer.vectors), -1)
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise ModelError(
                f"{self.name} gave a vector that is not a number or has no length",
                fix="ask its server why; nothing of this batch was stored",
            )
        normalised: NDArray[np.float32] = (rows / lengths).astype(np.float32)
        return normalised
