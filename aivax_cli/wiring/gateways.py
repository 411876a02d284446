"""Gateways, opened for turns."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import UsageError
from aivax_cli.wiring.adapters import LateStore, ledger, local_engine, model_pool
from aivax_cli.wiring.budgets import budget_guard, reservations
from aivax_cli.wiring.knowledge import LateKnowledge, WrapEndpoint, as_it_is, knowledge_base
from aivax_cli.wiring.plans import instructions, plan_turn
from aivax_cli.wiring.remote import remote_sources, remote_texts
from aivax_cli.wiring.tools import ToolBoxes
from aivax_cli.wiring.tracing import open_tracing, traced_embedders, traced_ports

if TYPE_CHECKING:
    from aivax_cli.assets.store import Progress
    from aivax_cli.core.events import Event, TurnResult
    from aivax_cli.core.ports import ChatModel, Ledger, ModelPool, PriceBook, Retriever, TokenCounter
    from aivax_cli.core.types import Charge, Conversation, Retrieval
    from aivax_cli.gateway.definition import Gateway
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.model.keys import Keys
    from aivax_cli.model.remote_text import RemoteTexts
    from aivax_cli.model.sending import Sender
    from aivax_cli.retrieval.search import KnowledgeBase
    from aivax_cli.steps.plan import Ports, TurnPlan
    from aivax_cli.steps.plan import Progress as TurnProgress
    from aivax_cli.tools.offers import Approve, Offer
    from aivax_cli.usage.guard import BudgetGuard, Day
    from aivax_cli.usage.meter import Meter
    from aivax_cli.usage.tracing import Tracing, TurnTrace


class OpenWorkspace(Struct, frozen=True):
    """What the gateways of a workspace share: connections, prices, the ledger, the collections."""

    workspace: Workspace
    chat: ChatModel
    prices: PriceBook
    counter: TokenCounter
    ledger: Ledger
    pool: ModelPool
    knowledge: LateKnowledge
    environ: Mapping[str, str]
    keys: Keys
    remote: RemoteTexts
    tools: ToolBoxes
    day: Day
    adapt: Callable[[Ports], Ports] | None = None
    """What is done to the ports of every turn, for those who record or replay it."""
    tracing: Tracing | None = None

    @property
    def base(self) -> KnowledgeBase:
        """The collections. Raises DefinitionError when `aivax.yaml` is wrong."""
        return self.knowledge.get()

    def gateway(self, loaded: LoadedGateway) -> GatewayRuntime:
        """A gateway ready for turns. Raises UsageError or NotFoundError when its models are unknown."""
        plan_turn(loaded, self.workspace)
        return GatewayRuntime(loaded, self)


class GatewayRuntime(Struct):
    """An open gateway: asks it as often as wanted, with models, indexes and connections kept ready."""

    gateway: LoadedGateway
    shared: OpenWorkspace
    plan: TurnPlan | None = None
    """What the gateway comes to, for who has it already; else it is found at every turn."""
    on_turn: Callable[[str], None] | None = None
    """Told a turn's id, under which its charges are kept, before it begins."""
    _meter: Meter | None = None
    _so_far: Callable[[], TurnResult] | None = None

    @property
    def so_far(self) -> TurnResult | None:
        """What the latest turn has come to, also one that was interrupted or failed; None for none."""
        return self._so_far() if self._so_far else None

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The charges of the latest turn or search, also of one that was interrupted or failed."""
        return self._meter.charges if self._meter else ()

    def turn(self, conversation: Conversation) -> AsyncGenerator[Event, None]:
        """The events of one turn; see `turn.run_turn`."""
        tracing = self.shared.tracing
        trace = tracing.turn(self.gateway.definition) if tracing else None
        self._meter, self._so_far = self._new_meter(trace), None
        plan, ports = self._plan(), traced_ports(self._ports(self._meter), trace)
        events = self._turn(plan, conversation, ports)
        return trace.events(events) if trace else events

    def _turn(self, plan: TurnPlan, conversation: Conversation, ports: Ports) -> AsyncGenerator[Event, None]:
        from aivax_cli.steps.plan import Progress
        from aivax_cli.turn import run_turn, turn_result

        progress = Progress(ports.clock(), plan.targets)
        self._so_far = partial(turn_result, plan, ports, progress)
        if not self.gateway.definition.remote_instructions:
            return run_turn(plan, conversation, ports, progress)
        return self._informed_turn(plan, conversation, ports, progress)

    async def _informed_turn(
        self, plan: TurnPlan, conversation: Conversation, ports: Ports, progress: TurnProgress
    ) -> AsyncGenerator[Event, None]:
        """A turn whose instructions are fetched first. Raises RemoteTextError, too."""
        from aivax_cli.core.events import Warned
        from aivax_cli.turn import run_turn

        read = await self.shared.remote.read(remote_sources(self.gateway))
        for warning in read.warnings:
            yield Warned(warning)
        whole = replace(plan, instructions=instructions(self.gateway, self.shared.workspace, read.texts))
        async with aclosing(run_turn(whole, conversation, ports, progress)) as events:
            async for event in events:
                yield event

    def changed(self, definition: Gateway) -> None:
        """Later turns use this definition. Raises UsageError or NotFoundError when its models are unknown."""
        gateway = self.gateway.with_definition(definition)
        plan = plan_turn(gateway, self.shared.workspace)
        self.gateway, self.plan = gateway, self.plan and plan

    def context_tokens(self, model: str) -> int | None:
        """The most that may be sent to the model that answered: the gateway's limit, else its window."""
        from aivax_cli.wiring.windows import context_window

        limit = self.gateway.definition.context.max_tokens
        return limit or context_window(self._plan().answerers, model, self.shared.prices)

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
        self._meter = self._new_meter()
        ports = self._ports(self._meter)
        passages = await retrieve(terms, knowledge, self._plan().reranker, ports, problems)
        return Retrieval(passages, problems=tuple(problems))

    async def tools(self) -> tuple[tuple[Offer, ...], tuple[str, ...]]:
        """The tools that the gateway's model may call, and what to warn of.

        Raises ToolError or KeyMissingError.
        """
        box = self.shared.tools.of(self.gateway.definition)
        return (await box.offers(), box.warnings()) if box else ((), ())

    def _plan(self) -> TurnPlan:
        return self.plan or plan_turn(self.gateway, self.shared.workspace)

    def _new_meter(self, trace: TurnTrace | None = None) -> Meter:
        from aivax_cli.gateway.ids import new_id
        from aivax_cli.usage.meter import Meter

        turn_id = new_id()
        if self.on_turn is not None:
            self.on_turn(turn_id)
        return Meter(
            trace.chat(self.shared.chat) if trace else self.shared.chat,
            self.shared.prices,
            self.shared.counter,
            self.shared.ledger,
            turn_id=turn_id,
            gateway=self.gateway.definition.name,
            guard=self._guard(),
        )

    def _guard(self) -> BudgetGuard | None:
        shared = self.shared
        return budget_guard(
            self.gateway.definition, shared.workspace, shared.prices, shared.counter, shared.day
        )

    def _ports(self, meter: Meter) -> Ports:
        from aivax_cli.model.rerank import HttpRerankEndpoint
        from aivax_cli.steps.plan import Ports

        ports = Ports(
            meter,
            self.shared.counter,
            self._retriever(),
            HttpRerankEndpoint(self.shared.environ, keys=self.shared.keys),
            pool=self.shared.pool,
            tools=self.shared.tools.of(self.gateway.definition),
        )
        return self.shared.adapt(ports) if self.shared.adapt else ports

    def _retriever(self) -> Retriever | None:
        knowledge = self.gateway.definition.knowledge
        if knowledge is None:
            return None
        from aivax_cli.retrieval.search import CollectionSearch

        return CollectionSearch(self.shared.base, knowledge.collections)


@asynccontextmanager
async def open_workspace(
    workspace: Workspace,
    *,
    environ: Mapping[str, str] = os.environ,
    on_download: Progress | None = None,
    approve: Approve | None = None,
    wrap: WrapEndpoint | None = None,
    sender: Callable[..., Sender] | None = None,
) -> AsyncIterator[OpenWorkspace]:
    """A workspace ready for turns through any of its gateways. Everything it started ends with the block.

    Nothing is loaded or started before a turn needs it. `approve` asks a person about tools with `confirm`,
    whose calls are refused without it. `wrap` is what `knowledge_base` takes, `sender` what `HttpChatModel`
    does.
    """
    from aivax_cli.model.client import HttpChatModel
    from aivax_cli.model.keys import Keys
    from aivax_cli.model.tokens import TiktokenCounter
    from aivax_cli.usage.price_book import GenaiPriceBook

    store = LateStore(environ, on_download)
    async with AsyncExitStack() as stack:
        engine = stack.enter_context(local_engine(store, environ))
        keys = Keys(environ, workspace.root)
        chat = await stack.enter_async_context(HttpChatModel(environ, local=engine, sender=sender, keys=keys))
        tracing = open_tracing(environ)
        if tracing is not None:
            stack.callback(tracing.close)
        traced = traced_embedders(tracing)
        knowledge = LateKnowledge(
            lambda: knowledge_base(workspace, store.get(), environ, wrap=wrap or as_it_is, traced=traced)
        )
        stack.callback(knowledge.close)
        prices = GenaiPriceBook()
        pool = model_pool(workspace, prices)
        stack.callback(pool.close)
        tools = ToolBoxes(workspace.root, environ, approve)
        stack.push_async_callback(tools.aclose)
        day = reservations(workspace)
        stack.callback(day.close)
        yield OpenWorkspace(
            workspace,
            chat,
            prices,
            TiktokenCounter(store),
            ledger(workspace),
            pool,
            knowledge,
            environ,
            keys,
            remote_texts(workspace, environ),
            tools,
            day,
            tracing=tracing,
        )


@asynccontextmanager
async def open_gateway(
    workspace: Workspace,
    gateway: LoadedGateway,
    *,
    environ: Mapping[str, str] = os.environ,
    on_download: Progress | None = None,
    approve: Approve | None = None,
) -> AsyncIterator[GatewayRuntime]:
    """One gateway of a workspace, ready for turns; see `open_workspace`.

    Raises UsageError or NotFoundError when the gateway's models are unknown.
    """
    plan_turn(gateway, workspace)
    opening = open_workspace(workspace, environ=environ, on_download=on_download, approve=approve)
    async with opening as opened:
        yield opened.gateway(gateway)
