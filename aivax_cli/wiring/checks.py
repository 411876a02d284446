"""What checks run on: gateways by cell, the judge, recordings, the embedder that compares meanings."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aivax_cli.core.errors import DefinitionError, NotFoundError, UsageError
from aivax_cli.wiring.adapters import asset_store
from aivax_cli.wiring.budgets import UncountedDay
from aivax_cli.wiring.gateways import open_workspace

if TYPE_CHECKING:
    from aivax_cli.assets.store import AssetStore, Progress
    from aivax_cli.checks.assertions.base import Ground
    from aivax_cli.checks.cases import Case
    from aivax_cli.checks.cassettes import Cassettes, Tape
    from aivax_cli.checks.estimating import Estimate
    from aivax_cli.checks.judging import Ask, Reply
    from aivax_cli.checks.loading import LoadedChecks
    from aivax_cli.checks.running import Bench
    from aivax_cli.core.ports import EmbeddingEndpoint
    from aivax_cli.core.types import Charge, Conversation, ModelTarget, Trial
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.retrieval.embedding.base import Embedder
    from aivax_cli.steps.plan import Ports, TurnPlan
    from aivax_cli.wiring.gateways import OpenWorkspace

_UNRELATED = 0.75
"""The cosine of unrelated sentences under multilingual-e5-small, both embedded as questions."""
_VOTES = 10
"""The most votes of a judge: recordings of the judge are numbered by repeat and vote."""


@asynccontextmanager
async def open_bench(
    workspace: Workspace,
    cassettes: Cassettes,
    *,
    environ: Mapping[str, str] = os.environ,
    on_download: Progress | None = None,
) -> AsyncIterator[Bench]:
    """A bench over the workspace's gateways. Gateways are read when a case first needs them.

    What is wrong with a gateway is raised by `subject`, and becomes the case's error.
    """
    from aivax_cli.checks.recorded import RecordedEmbeddings
    from aivax_cli.checks.running import Bench

    def wrap(endpoint: EmbeddingEndpoint, model: str) -> EmbeddingEndpoint:
        return RecordedEmbeddings(endpoint, model, cassettes.tape("embeddings", 0))

    store = asset_store(environ, on_progress=on_download)
    opening = open_workspace(workspace, environ=environ, on_download=on_download, wrap=wrap)
    async with opening as opened:
        gateways = _Gateways(workspace)
        similarity = _similarity(store)

        def subject(case: Case, number: int) -> _TapedGateway:
            from aivax_cli.checks.cases import assignments

            tape = cassettes.tape(case.test.id, number)
            return _TapedGateway(
                _taped(opened, tape), gateways.load(case.gateway, assignments(case.cell)), tape
            )

        def judge(case: Case, number: int) -> Ask:
            name = case.judge.gateway if case.judge else case.gateway

            async def ask(conversation: Conversation, vote: int) -> Reply:
                tape = cassettes.tape(case.test.id, number * _VOTES + vote)
                return await _asked(_taped(opened, tape), gateways.load(name, ()), conversation)

            return ask

        def ground(case: Case) -> Ground:
            from aivax_cli.checks.assertions.base import Ground

            return Ground((case.file.parent, workspace.root), similarity)

        yield Bench(subject, judge, ground)


@dataclass(slots=True)
class _Gateways:
    """Gateways by name and settings, each read once."""

    workspace: Workspace
    known: dict[tuple[str, tuple[str, ...]], LoadedGateway] = field(default_factory=dict)

    def load(self, name: str, assignments: Sequence[str]) -> LoadedGateway:
        key = (name, tuple(assignments))
        if key not in self.known:
            loaded = self.workspace.load(name)
            if assignments:
                loaded = loaded.with_settings(assignments)
            self.known[key] = loaded
        return self.known[key]


class _TapedGateway:
    """A gateway for one sample, on the tape of that sample. Implements `checks.running.Subject`."""

    def __init__(self, opened: OpenWorkspace, loaded: LoadedGateway, tape: Tape) -> None:
        self._runtime = opened.gateway(loaded)
        self._tape = tape
        self.turn = self._runtime.turn
        self.search = self._runtime.search

    @property
    def charges(self) -> tuple[Charge, ...]:
        return self._runtime.charges

    @property
    def problem(self) -> str:
        """Why the sample means nothing: a call that was not recorded, also where a turn got over it."""
        return self._tape.problem

    @property
    def recorded_ms(self) -> float | None:
        """Milliseconds that the calls took when they were recorded; None for a live turn."""
        return self._tape.recorded_ms if self._tape.replays else None


def _taped(opened: OpenWorkspace, tape: Tape) -> OpenWorkspace:
    """The workspace with its outside on tape. A replay costs nothing and is not in the ledger."""
    from aivax_cli.checks.recorded import RecordedChat, RecordedReranker, RecordedTools

    def adapt(ports: Ports) -> Ports:
        endpoint = ports.rerank_endpoint and RecordedReranker(ports.rerank_endpoint, tape)
        return replace(
            ports, rerank_endpoint=endpoint, tools=ports.tools and RecordedTools(ports.tools, tape)
        )

    changed = replace(opened, chat=RecordedChat(opened.chat, tape), pool=_GivenOrder(), adapt=adapt)
    return replace(changed, ledger=_NoLedger(), day=UncountedDay()) if tape.replays else changed


class _GivenOrder:
    """The pool in checks: models in the order of the gateway, so that every run asks the same one."""

    def order(self, targets: Sequence[ModelTarget], price_margin: float) -> tuple[ModelTarget, ...]:
        del price_margin
        return tuple(targets)

    def record(self, target: ModelTarget, trial: Trial) -> None:
        """Nothing is learnt from checks."""


class _NoLedger:
    """Keeps nothing: what is replayed was paid when it was recorded."""

    def record(self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str) -> None:
        """Forgets the charges."""


async def _asked(opened: OpenWorkspace, loaded: LoadedGateway, conversation: Conversation) -> Reply:
    from contextlib import aclosing

    from aivax_cli.checks.judging import Reply
    from aivax_cli.core.events import Finished
    from aivax_cli.core.types import total_usd

    runtime = opened.gateway(loaded)
    text = ""
    async with aclosing(runtime.turn(conversation)) as events:
        async for event in events:
            if isinstance(event, Finished):
                text = event.result.text
    return Reply(text, runtime.charges, total_usd(runtime.charges))


def _similarity(store: AssetStore) -> Callable[[str, str], float]:
    """Calibrated similarity by the built-in embedder, which is loaded at the first comparison."""
    from functools import cache

    @cache
    def embedder() -> Embedder:
        from aivax_cli.wiring.knowledge import built_in_embedder

        return built_in_embedder(store)

    def compare(wanted: str, found: str) -> float:
        from aivax_cli.retrieval.calibration import similarity

        vectors = embedder().embed_queries([wanted, found]).vectors
        return similarity(float(vectors[0] @ vectors[1]), _UNRELATED)

    return compare


def estimated(workspace: Workspace, cases: Sequence[Case]) -> Estimate:
    """What cases may take at most, by today's prices. Raises what is wrong with their gateways."""
    from aivax_cli.checks.cases import assignments
    from aivax_cli.checks.estimating import Estimate, estimate
    from aivax_cli.usage.price_book import GenaiPriceBook
    from aivax_cli.wiring.plans import plan_turn

    gateways = _Gateways(workspace)
    prices = GenaiPriceBook().prices
    plans: dict[tuple[str, tuple[str, ...]], TurnPlan] = {}

    def plan(name: str, settings: tuple[str, ...]) -> TurnPlan:
        key = (name, settings)
        if key not in plans:
            plans[key] = plan_turn(gateways.load(name, settings), workspace)
        return plans[key]

    total = Estimate()
    for case in cases:
        judge = plan(case.judge.gateway, ()) if case.judge else None
        total += estimate(case, plan(case.gateway, assignments(case.cell)), judge, prices)
    return total


def refuse_unpriced(workspace: Workspace, files: Sequence[LoadedChecks], cases: Sequence[Case]) -> None:
    """Raises UsageError when a cost is limited and a model that may be called has no price."""
    from aivax_cli.checks.estimating import limits_cost

    gated = {each.file for each in files if each.definition.gate.run_usd is not None}
    limited = [case for case in cases if case.file in gated or limits_cost(case)]
    if not limited:
        return
    with suppress(NotFoundError, DefinitionError):  # what is wrong with a gateway is told of its cases
        unpriced = estimated(workspace, limited).unpriced
        if unpriced:
            raise UsageError(
                f"a cost is limited, and nobody has said what {', '.join(sorted(unpriced))} costs",
                fix="give its price under prices: in aivax.yaml, or under pricing: in the gateway",
            )
