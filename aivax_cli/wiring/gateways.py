"""Gateways, opened for turns."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aivax_cli.core.errors import UsageError
from aivax_cli.wiring.adapters import asset_store, ledger, local_engine
from aivax_cli.wiring.knowledge import knowledge_base

if TYPE_CHECKING:
    from aivax_cli.assets.store import Progress
    from aivax_cli.core.events import Event
    from aivax_cli.core.ports import ChatModel, Ledger, PriceBook, Retriever, TokenCounter
    from aivax_cli.core.types import Charge, Conversation, ModelTarget, Retrieval
    from aivax_cli.gateway.definition import Gateway
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.retrieval.search import KnowledgeBase
    from aivax_cli.steps.plan import Ports, TurnPlan
    from aivax_cli.steps.reranking import RerankPlan
    from aivax_cli.usage.meter import Meter


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
        from aivax_cli.steps.searching import retrieve

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
        from aivax_cli.steps.plan import Ports

        return Ports(meter, self._counter, self._retriever(), HttpRerankEndpoint(self._environ))

    def _retriever(self) -> Retriever | None:
        from aivax_cli.retrieval.search import CollectionSearch

        knowledge = self.gateway.definition.knowledge
        return CollectionSearch(self._base, knowledge.collections) if knowledge else None


def plan_turn(gateway: LoadedGateway, workspace: Workspace) -> TurnPlan:
    """A gateway with its models found. Raises UsageError or NotFoundError when one is unknown."""
    from aivax_cli.steps.plan import TurnPlan

    definition = gateway.definition
    return TurnPlan(
        gateway=definition,
        instructions=_instructions(gateway, workspace),
        targets=_targets(gateway, workspace),
        rewriters=_rewriters(gateway, workspace),
        reranker=_reranker(gateway, workspace),
    )


def _instructions(gateway: LoadedGateway, workspace: Workspace) -> str | None:
    """The system message: the gateway's own, then what its collections have to say about themselves."""
    knowledge = gateway.definition.knowledge
    names = knowledge.collections if knowledge else []
    contexts = [workspace.collection_definition(name).context for name in names]
    parts = [part.strip() for part in (gateway.instructions, *contexts) if part and part.strip()]
    return "\n\n".join(parts) or None


def _targets(gateway: LoadedGateway, workspace: Workspace) -> tuple[ModelTarget, ...]:
    from aivax_cli.gateway.providers import resolve_models

    return resolve_models(gateway.definition, workspace.providers())


def _rewriters(gateway: LoadedGateway, workspace: Workspace) -> tuple[ModelTarget, ...]:
    """The pool; the gateway's own models where there is none."""
    from aivax_cli.gateway.providers import resolve_model

    providers = workspace.providers()
    pool = tuple(resolve_model(reference, providers) for reference in gateway.definition.rewrite.models)
    return pool or _targets(gateway, workspace)


def _reranker(gateway: LoadedGateway, workspace: Workspace) -> RerankPlan | None:
    """Who rescores passages, for `reranker: smart`; without a model of its own it is the rewriter."""
    from aivax_cli.gateway.knowledge import Rerank
    from aivax_cli.gateway.providers import resolve_model
    from aivax_cli.steps.reranking import RerankPlan

    knowledge = gateway.definition.knowledge
    if knowledge is None or knowledge.reranker != "smart":
        return None
    given = knowledge.rerank or Rerank()
    if given.model is None:
        target = _rewriters(gateway, workspace)[0]
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
