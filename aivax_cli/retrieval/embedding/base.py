"""What an embedder is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from aivax_cli.core.types import FREE, Prices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Embedded(Struct, frozen=True, eq=False):
    """Vectors of some texts, one row each in the order given, and the tokens that the model read.

    `vectors` is float32 of shape (texts, dimension); every row has length 1, so that a dot product
    is a cosine. `tokens` counts prefixes and special tokens too: it is what a service would bill. `prices`
    of None means that nobody has said what they cost.
    """

    vectors: NDArray[np.float32]
    tokens: int
    prices: Prices | None = FREE


class Embedder(Protocol):
    """Turns texts into vectors whose cosine says how near their meanings are."""

    @property
    def name(self) -> str:
        """What users see, e.g. `multilingual-e5-small-int8`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same text would get another vector. Indexes of different ones never mix."""
        ...

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read; what comes after them is cut."""
        ...

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Vectors for questions. Blocks.

        Raises AssetError when the model's files cannot be had, ModelError when its endpoint cannot be asked.
        """
        ...

    def embed_passages(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Embedded:
        """Vectors for documents' passages. Blocks.

        `on_batch` is called in the caller's thread with the number of texts finished since its last call.
        Raises as `embed_queries` does.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as this model reads it, nothing cut, prefix and special tokens left out."""
        ...
