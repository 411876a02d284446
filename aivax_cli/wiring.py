"""The composition root: the one place that chooses adapters and hands them to a turn.

Heavy imports are inside the functions, so that a command loads what it needs and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from aivax_cli.assets.store import AssetStore, Progress
    from aivax_cli.core.events import Event
    from aivax_cli.core.ports import ChatModel, Ledger, PriceBook, Retriever, TokenCounter
    from aivax_cli.core.types import Charge, Conversation, ModelTarget, Retrieval
    from aivax_cli.gateway.definition import EmbedderModel, Gateway
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.ingest.plan import Estimator
    from aivax_cli.model.local import LocalEngine
    from aivax_cli.reranking import RerankPlan
    from aivax_cli.retrieval.embedding.base import Embedder
    from aivax_cli.retrieval.search import KnowledgeBase
    from aivax_cli.turn import Ports, TurnPlan
    from aivax_cli.usage.meter import Meter


def asset_store(
    environ: Mapping[str, str] = os.environ, *, on_progress: Progress | None = None
) -> AssetStore:
    """The user's store of downloaded files."""
    from aivax_cli.assets.store import AssetStore

    return AssetStore.from_environment(environ, on_progress)


def built_in_embedder(store: AssetStore) -> Embedder:
    """multilingual-e5-small on this machine; loaded when the first text is embedded."""
    from aivax_cli.retrieval.embedding.e5 import E5Embedder

    return E5Embedder.from_store(store)


def collection_embedder(
    workspace: Workspace, name: str, store: AssetStore, environ: Mapping[str, str] = os.environ
) -> Embedder:
    """The embedder that a collection's file names. Nothing is loaded or called before the first text.

    Raises DefinitionError when the file is wrong, UsageError or NotFoundError when its model is unknown.
    """
    given = workspace.collection_definition(name).embedder
    if isinstance(given, str):
        return built_in_embedder(store)
    return _remote_embedder(workspace, name, given, environ)


def _remote_embedder(
    workspace: Workspace, name: str, given: EmbedderModel, environ: Mapping[str, str]
) -> Embedder:
    from aivax_cli.ingest.tokens import estimate_tokens
    from aivax_cli.model.embeddings import HttpEmbeddingEndpoint
    from aivax_cli.model.posting import Patience
    from aivax_cli.retrieval.embedding.remote import EmbeddingModel, RemoteEmbedder
    from aivax_cli.usage.price_book import GenaiPriceBook

    target = _embedding_target(workspace, given)
    model = EmbeddingModel(
        target.label,
        target.base_url,
        target.name,
        given.dimensions,
        given.query_prefix,
        given.passage_prefix,
    )
    patience = Patience(read_s=given.timeout_s)
    return RemoteEmbedder(
        model,
        HttpEmbeddingEndpoint(target, environ, dimensions=given.dimensions, patience=patience),
        count_tokens=estimate_tokens,
        prices=lambda: GenaiPriceBook().input_prices(target),
        batch=given.batch,
        dimension=_indexed_dimension(workspace, name, model.fingerprint),
    )


def _embedding_target(workspace: Workspace, given: EmbedderModel) -> ModelTarget:
    from aivax_cli.gateway.providers import resolve_model
    from aivax_cli.usage.pricing import reading_prices

    target = resolve_model(given.model, workspace.providers())
    if given.price is not None:
        target = replace(target, free=False, prices=reading_prices(given.price))
    return target


def indexing_estimator(workspace: Workspace, name: str, store: AssetStore) -> Estimator:
    """What indexing into a collection takes, without fetching or calling anything.

    Without the built-in model's own tokenizer, which comes with its weights, tokens are estimated.
    """
    from aivax_cli.ingest.plan import Estimator, measured_speed
    from aivax_cli.ingest.tokens import estimate_tokens
    from aivax_cli.retrieval.embedding import e5
    from aivax_cli.usage.price_book import GenaiPriceBook
    from aivax_cli.usage.pricing import FREE

    given = workspace.collection_definition(name).embedder
    embedder = collection_embedder(workspace, name, store)
    speed = measured_speed(workspace.state_dir, embedder.fingerprint)
    if not isinstance(given, str):
        prices = GenaiPriceBook().input_prices(_embedding_target(workspace, given))
        return Estimator(embedder.name, embedder.fingerprint, estimate_tokens, 0, prices, speed, exact=False)
    exact = store.present(e5.ASSET_NAME)
    return Estimator(
        embedder.name,
        embedder.fingerprint,
        embedder.count_tokens if exact else estimate_tokens,
        e5.TOKENS_A_TEXT,
        FREE,
        speed or e5.TOKENS_PER_S,
        exact,
    )


def _indexed_dimension(workspace: Workspace, name: str, fingerprint: str) -> int | None:
    """The dimension of a collection's vectors, when that embedder made them."""
    from aivax_cli.retrieval.catalogue import Catalogue

    catalogue = Catalogue.open(workspace.state_dir)
    if catalogue is None:
        return None
    try:
        with catalogue.reading() as reader:
            found = reader.collection(name)
    finally:
        catalogue.close()
    return found.embedder.dimension if found and found.embedder.fingerprint == fingerprint else None


def indexing_embedder(
    workspace: Workspace,
    name: str,
    store: AssetStore,
    environ: Mapping[str, str] = os.environ,
    *,
    on_problem: Callable[[str], None],
) -> Embedder:
    """The same for filling a collection: what it reads is charged as it goes.

    `on_problem` is told once when the ledger cannot be written. Raises as `collection_embedder` does.
    """
    from aivax_cli.gateway.ids import new_id
    from aivax_cli.usage.indexing import ChargedEmbedder

    embedder = collection_embedder(workspace, name, store, environ)
    return ChargedEmbedder(embedder, ledger(workspace), turn_id=new_id(), on_problem=on_problem)


def knowledge_base(
    workspace: Workspace, store: AssetStore, environ: Mapping[str, str] = os.environ
) -> KnowledgeBase:
    """The workspace's collections, for searching, each with its own embedder. The caller closes it."""
    from aivax_cli.retrieval.search import KnowledgeBase

    built_in = built_in_embedder(store)  # one for all: its weights are loaded once
    own: dict[str, Embedder] = {}

    def embedder(name: str) -> Embedder:
        if name not in own:
            found = collection_embedder(workspace, name, store, environ)
            own[name] = built_in if found.fingerprint == built_in.fingerprint else found
        return own[name]

    def close() -> None:
        from aivax_cli.retrieval.embedding.remote import RemoteEmbedder

        for each in own.values():
            if isinstance(each, RemoteEmbedder):
                each.close()

    return KnowledgeBase(workspace.state_dir, embedder, on_close=close)


def ledger(workspace: Workspace) -> Ledger:
    """The workspace's ledger; its file is made at the first charge."""
    from aivax_cli.usage.ledger import SqliteLedger

    return SqliteLedger(workspace.state_dir / "ledger.db")


def model_file(store: AssetStore, name: str) -> Path:
    """The weights of `@local/name`, fetched if need be. Raises NotFoundError with the nearest model."""
    from aivax_cli.core.errors import unknown_name

    models = [asset.name for asset in store.assets() if asset.file_name.endswith(".gguf")]
    if name not in models:
        raise unknown_name("local model", name, models, otherwise="add one: aivax models pull FILE-OR-URL")
    return store.path(name)


def local_engine(store: AssetStore, environ: Mapping[str, str] = os.environ) -> LocalEngine:
    """Runs `@local/…`; starts nothing before the first call. The caller closes it."""
    from aivax_cli.model.local import LocalEngine

    return LocalEngine(lambda name: model_file(store, name), environ)


@dataclass(slots=True)
class GatewayRuntime:
    """An open gateway: asks it as often as wanted, with models, indexes and connections kept ready."""

    gateway: LoadedGateway
    _workspace: Workspace
    _chat: ChatModel
    _prices: PriceBook
    _counter: TokenCounter
    _ledger: Ledger
    _base: KnowledgeBase
    _environ: Mapping[str, str]
    _meter: Meter | None = None

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The charges of the latest turn, also of one that was interrupted or failed."""
        return self._meter.charges if self._meter else ()

    def turn(self, conversation: Conversation) -> AsyncGenerator[Event, None]:
        """The events of one turn; see `turn.run_turn`."""
        from aivax_cli.turn import run_turn

        self._meter = self._new_meter()
        return run_turn(self._plan(), conversation, self._ports(self._meter))

    def changed(self, definition: Gateway) -> None:
        """Later turns use this definition. Raises UsageError or NotFoundError when its models are unknown."""
        gateway = self.gateway.with_definition(definition)
        plan_turn(gateway, self._workspace)
        self.gateway = gateway

    async def search(self, terms: Sequence[str]) -> Retrieval:
        """What the gateway's collections hold on these terms, as a turn would find it.

        Raises UsageError without collections.
        """
        from aivax_cli.core.types import Retrieval
        from aivax_cli.turn import retrieve

        knowledge = self.gateway.definition.knowledge
        if knowledge is None:
            raise UsageError(
                f"gateway '{self.gateway.definition.name}' has no collections",
                fix="name some under knowledge.collections",
            )
        problems: list[str] = []
        ports = self._ports(self._new_meter())
        passages = await retrieve(terms, knowledge, self._plan().reranker, ports, problems)
        return Retrieval(passages, problems=tuple(problems))

    def _plan(self) -> TurnPlan:
        return plan_turn(self.gateway, self._workspace)

    def _new_meter(self) -> Meter:
        from aivax_cli.gateway.ids import new_id
        from aivax_cli.usage.meter import Meter

        return Meter(
            self._chat,
            self._prices,
            self._counter,
            self._ledger,
            turn_id=new_id(),
            gateway=self.gateway.definition.name,
        )

    def _ports(self, meter: Meter) -> Ports:
        from aivax_cli.model.rerank import HttpRerankEndpoint
        from aivax_cli.turn import Ports

        return Ports(meter, self._retriever(), HttpRerankEndpoint(self._environ))

    def _retriever(self) -> Retriever | None:
        from aivax_cli.retrieval.search import CollectionSearch

        knowledge = self.gateway.definition.knowledge
        return CollectionSearch(self._base, knowledge.collections) if knowledge else None


def plan_turn(gateway: LoadedGateway, workspace: Workspace) -> TurnPlan:
    """A gateway with its models found. Raises UsageError or NotFoundError when one is unknown."""
    from aivax_cli.turn import TurnPlan

    definition = gateway.definition
    return TurnPlan(
        gateway=definition,
        instructions=_instructions(gateway, workspace),
        target=_target(gateway, workspace),
        rewriter=_rewriter(gateway, workspace),
        reranker=_reranker(gateway, workspace),
    )


def _instructions(gateway: LoadedGateway, workspace: Workspace) -> str | None:
    """The system message: the gateway's own, then what its collections have to say about themselves."""
    knowledge = gateway.definition.knowledge
    names = knowledge.collections if knowledge else []
    contexts = [workspace.collection_definition(name).context for name in names]
    parts = [part.strip() for part in (gateway.instructions, *contexts) if part and part.strip()]
    return "\n\n".join(parts) or None


def _target(gateway: LoadedGateway, workspace: Workspace) -> ModelTarget:
    from aivax_cli.gateway.providers import resolve_model

    return resolve_model(gateway.definition.model, workspace.providers(), gateway.definition.pricing)


def _rewriter(gateway: LoadedGateway, workspace: Workspace) -> ModelTarget:
    """The first of the pool; the gateway's own model where there is none."""
    from aivax_cli.gateway.providers import resolve_model

    pool = gateway.definition.rewrite.models
    return resolve_model(pool[0], workspace.providers()) if pool else _target(gateway, workspace)


def _reranker(gateway: LoadedGateway, workspace: Workspace) -> RerankPlan | None:
    """Who rescores passages, for `reranker: smart`; without a model of its own it is the rewriter."""
    from aivax_cli.gateway.definition import Rerank
    from aivax_cli.gateway.providers import resolve_model
    from aivax_cli.reranking import RerankPlan

    knowledge = gateway.definition.knowledge
    if knowledge is None or knowledge.reranker != "smart":
        return None
    given = knowledge.rerank or Rerank()
    if given.model is None:
        target = _rewriter(gateway, workspace)
    else:
        target = resolve_model(given.model, workspace.providers(), given.pricing)
    return RerankPlan(target, given.kind, given.timeout_s, given.candidates)


@asynccontextmanager
async def open_gateway(
    workspace: Workspace,
    gateway: LoadedGateway,
    *,
    environ: Mapping[str, str] = os.environ,
    on_download: Progress | None = None,
) -> AsyncIterator[GatewayRuntime]:
    """A gateway ready for turns. Everything it started ends with the block.

    Nothing is loaded or started before a turn needs it. Raises UsageError or NotFoundError when the
    gateway's models are unknown.
    """
    from aivax_cli.model.client import HttpChatModel
    from aivax_cli.model.tokens import TiktokenCounter
    from aivax_cli.usage.price_book import GenaiPriceBook

    plan_turn(gateway, workspace)
    store = asset_store(environ, on_progress=on_download)
    async with AsyncExitStack() as stack:
        engine = stack.enter_context(local_engine(store, environ))
        chat = await stack.enter_async_context(HttpChatModel(environ, local=engine))
        base = knowledge_base(workspace, store, environ)
        stack.callback(base.close)
        yield GatewayRuntime(
            gateway,
            workspace,
            chat,
            GenaiPriceBook(),
            TiktokenCounter(store),
            ledger(workspace),
            base,
            environ,
        )
