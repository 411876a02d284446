"""What models that only read give back: embedders and rerankers. All frozen; none does I/O."""

from __future__ import annotations

from msgspec import Struct


class EmbeddingAnswer(Struct, frozen=True):
    """An endpoint's vectors of some texts, in their order: float32, little-endian, not normalised.

    `tokens` is what the endpoint says it read, None when it does not say.
    """

    vectors: tuple[bytes, ...]
    tokens: int | None = None


class RerankScores(Struct, frozen=True):
    """How well each text answers a question, in the order of the texts; higher is better, on any scale.

    A text that the endpoint passed over has None. `tokens` is what the endpoint says it read, None when it
    does not say.
    """

    scores: tuple[float | None, ...]
    tokens: int | None = None
