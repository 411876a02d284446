"""What a turn needs of the world. Adapters are chosen in `wiring` alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from aivax_cli.core.readings import EmbeddingAnswer, RerankScores
from aivax_cli.core.types import (
    Charge,
    Message,
    ModelCall,
    ModelItem,
    ModelTarget,
    Passage,
    Prices,
    Retrieval,
    RetrievalLimits,
    ToolCall,
    ToolOutcome,
    ToolSpec,
    Trial,
)


class ChatModel(Protocol):
    """A way to call models."""

    def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        """Yields retries, then text, then exactly one ModelEnd.

        Raises ModelError or KeyMissingError before the first text; never after it.
        Closing the generator ends the upstream request.
        """
        ...


class EmbeddingEndpoint(Protocol):
    """A way to call a model that turns texts into vectors. May be shared by threads."""

    def embed(self, texts: Sequence[str]) -> EmbeddingAnswer:
        """The texts' vectors, from one request. Blocks. Raises ModelError or KeyMissingError."""
        ...


class RerankEndpoint(Protocol):
    """A way to call models that score texts against a question."""

    async def scores(self, target: ModelTarget, question: str, texts: Sequence[str]) -> RerankScores:
        """The score of every text. Raises ModelError or KeyMissingError."""
        ...


class Retriever(Protocol):
    """A gateway's collections, opened."""

    async def ready(self) -> None:
        """Sees, quickly, that there is something to search. Raises KnowledgeError or NotFoundError."""
        ...

    async def retrieve(self, terms: Sequence[str], limits: RetrievalLimits) -> Retrieval:
        """The passages of several terms as a ranked union by best match. Raises KnowledgeError."""
        ...

    async def expanded(self, passages: Sequence[Passage], limits: RetrievalLimits) -> tuple[Passage, ...]:
        """The passages with what they bring along, which `limits` says. Raises KnowledgeError."""
        ...


class ToolBox(Protocol):
    """The tools that a gateway's model may call, besides the search tool."""

    async def specs(self) -> tuple[ToolSpec, ...]:
        """What is offered to the model; connects to servers at the first call. Raises ToolError."""
        ...

    async def run(self, call: ToolCall) -> ToolOutcome:
        """Carries a call out. Faults are outcomes for the model; only cancellation is raised."""
        ...

    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the tools, a line each; told once."""
        ...


class ModelPool(Protocol):
    """Models that stand in for one another, and how they have done of late."""

    def order(self, targets: Sequence[ModelTarget], price_margin: float) -> tuple[ModelTarget, ...]:
        """All of them in the order in which they are to be tried. Raises LedgerError."""
        ...

    def record(self, target: ModelTarget, trial: Trial) -> None:
        """Keeps how one did, for the next order. Raises LedgerError."""
        ...


class TokenCounter(Protocol):
    """Counts tokens where an endpoint does not say."""

    def count_text(self, text: str, model: str) -> int: ...

    def count_messages(self, messages: Sequence[Message], model: str) -> int: ...


class PriceBook(Protocol):
    """Knows what a model costs."""

    def prices(self, target: ModelTarget, served_model: str | None = None) -> Prices | None:
        """USD per token, or None when nobody has said."""
        ...

    def input_prices(self, target: ModelTarget) -> Prices | None:
        """The same for models that only read (embedders, rerankers): a price of output is not needed."""
        ...

    def context_window(self, target: ModelTarget) -> int | None:
        """The most tokens that the model takes at once, None when nobody has said."""
        ...


class Ledger(Protocol):
    """Keeps every charge."""

    def record(self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str) -> None: ...
