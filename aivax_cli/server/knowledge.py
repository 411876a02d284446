"""What the server needs of a workspace's collections and embedders, and what of it who may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aivax_cli.core.types import Retrieval
from aivax_cli.server.backend import Backend
from aivax_cli.server.embeddings import EmbeddedTexts


class Knowledge(Protocol):
    """The collections that may be searched, and the embedders that may be asked."""

    def collections(self) -> Sequence[str]:
        """The names of the collections, sorted."""
        ...

    async def search(self, collection: str, terms: Sequence[str]) -> Retrieval:
        """The passages on these terms. Raises NotFoundError, KnowledgeError, BudgetError."""
        ...

    async def embed(self, model: str, texts: Sequence[str], *, query: bool) -> EmbeddedTexts:
        """Vectors by the embedder of this name, or by that of the collection of this name.

        Raises NotFoundError with the nearest name, ModelError, AssetError, BudgetError.
        """
        ...


class Visible(Protocol):
    """What of a workspace there is for whoever asks."""

    @property
    def backend(self) -> Backend: ...

    @property
    def knowledge(self) -> Knowledge: ...
