"""Accounts for what an ingest embeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aivax_cli.core.errors import LedgerError
from aivax_cli.core.ports import Ledger
from aivax_cli.core.types import EMBED_INDEX_SKU
from aivax_cli.usage.pricing import embedding_charge

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedded, Embedder


class ChargedEmbedder:
    """An embedder whose calls are in the ledger when they return, so that a killed ingest is accounted for.

    A ledger that cannot be written never stops it: `on_problem` is told once.
    """

    def __init__(
        self, embedder: Embedder, ledger: Ledger, *, turn_id: str, on_problem: Callable[[str], None]
    ) -> None:
        self._embedder = embedder
        self._ledger = ledger
        self._turn_id = turn_id
        self._on_problem = on_problem
        self._told = False

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def fingerprint(self) -> str:
        return self._embedder.fingerprint

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self._charged(self._embedder.embed_queries(texts))

    def embed_passages(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Embedded:
        return self._charged(self._embedder.embed_passages(texts, on_batch))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._embedder.count_tokens(texts)

    def _charged(self, embedded: Embedded) -> Embedded:
        if embedded.tokens:
            charge = embedding_charge(EMBED_INDEX_SKU, embedded.tokens, self.name, embedded.prices)
            try:
                self._ledger.record([charge], turn_id=self._turn_id, gateway="", model=self.name)
            except LedgerError as error:
                if not self._told:
                    self._on_problem(f"this cost is not in the ledger: {error}")
                self._told = True
        return embedded
