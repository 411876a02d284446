"""A workspace's collections and embedders behind the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import AivaxError, unknown_name
from aivax_cli.core.types import EMBED_INDEX_SKU, EMBED_QUERY_SKU, RetrievalLimits

if TYPE_CHECKING:
    from aivax_cli.core.types import Charge, Retrieval
    from aivax_cli.retrieval.embedding.base import Embedded, Embedder
    from aivax_cli.server.embeddings import EmbeddedTexts
    from aivax_cli.usage.ledger import SqliteLedger
    from aivax_cli.wiring.gateways import OpenWorkspace

_LOG = logging.getLogger("aivax.server")
_EMBEDDINGS, _SEARCH = "(embeddings)", "(search)"
"""What stands for the gateway of charges that no gateway made; no gateway has such a name."""


def _nothing() -> None:
    """There is no limit."""


class ServedKnowledge(Struct, frozen=True):
    """Implements `server.knowledge.Knowledge`. Whatever is read is charged, with `metadata` noted.

    `only` names the collections that there are for whoever asks, None for all. `check` raises BudgetError
    when nothing more may be spent.
    """

    opened: OpenWorkspace
    ledger: SqliteLedger
    only: frozenset[str] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[], None] = _nothing

    def restricted(
        self, only: frozenset[str] | None, metadata: Mapping[str, str], check: Callable[[], None]
    ) -> ServedKnowledge:
        """The same for somebody with a key."""
        return replace(self, only=only, metadata=metadata, check=check)

    def collections(self) -> Sequence[str]:
        """See `Knowledge.collections`."""
        from aivax_cli.retrieval.management import list_collections

        found = [summary.name for summary in list_collections(self.opened.workspace.state_dir)]
        return sorted(name for name in found if self.only is None or name in self.only)

    async def search(self, collection: str, terms: Sequence[str]) -> Retrieval:
        """See `Knowledge.search`."""
        return await asyncio.to_thread(self._search, collection, terms)

    async def embed(self, model: str, texts: Sequence[str], *, query: bool) -> EmbeddedTexts:
        """See `Knowledge.embed`."""
        return await asyncio.to_thread(self._embed, model, texts, query)

    def _search(self, collection: str, terms: Sequence[str]) -> Retrieval:
        from aivax_cli.usage.pricing import embedding_charge

        known = self.collections()
        if collection not in known:
            raise unknown_name("collection", collection, known, otherwise="nothing is indexed")
        self.check()
        found = self.opened.base.search([collection], terms, RetrievalLimits())
        for use in found.embeddings:
            charge = embedding_charge(EMBED_QUERY_SKU, use.tokens, use.embedder, use.prices)
            self._keep(charge, _SEARCH, use.embedder)
        return found

    def _embed(self, model: str, texts: Sequence[str], query: bool) -> EmbeddedTexts:
        from aivax_cli.server.embeddings import EmbeddedTexts
        from aivax_cli.usage.pricing import embedding_charge

        embedder = self._embedder(model)
        self.check()
        found: Embedded = embedder.embed_queries(texts) if query else embedder.embed_passages(texts)
        sku = EMBED_QUERY_SKU if query else EMBED_INDEX_SKU
        charge = embedding_charge(sku, found.tokens, embedder.name, found.prices)
        self._keep(charge, _EMBEDDINGS, embedder.name)
        vectors = tuple(row.astype("<f4").tobytes() for row in found.vectors)
        return EmbeddedTexts(embedder.name, vectors, found.tokens)

    def _embedder(self, model: str) -> Embedder:
        """The embedder of a collection of that name, or the one that has it itself."""
        from aivax_cli.retrieval.embedding.e5 import E5Embedder

        base, known = self.opened.base, self.collections()
        if model in known or model == E5Embedder.name:
            return base.embedder_of(model)
        by_name = {found.name: found for found in map(base.embedder_of, known)}
        if model not in by_name:
            names = {E5Embedder.name, *known, *by_name}
            raise unknown_name("embedder", model, names, otherwise="")
        return by_name[model]

    def _keep(self, charge: Charge, gateway: str, model: str) -> None:
        from aivax_cli.gateway.ids import new_id

        if not charge.quantity:
            return
        turn_id = new_id()
        try:
            self.ledger.note(turn_id, self.metadata)
            self.ledger.record([charge], turn_id=turn_id, gateway=gateway, model=model)
        except AivaxError as error:
            _LOG.warning("this cost is not in the ledger: %s", error)
