"""What checks run on: gateways by cell, the judge, recordings, the embedder that compares meanings."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import AivaxError, DefinitionError, Fault, NotFoundError, UsageError
from aivax_cli.wiring.adapters import LateStore
from aivax_cli.wiring.budgets import UncountedDay
from aivax_cli.wiring.gateways import GatewayRuntime, open_workspace

if TYPE_CHECKING:
    from aivax_cli.assets.store import Progress
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
    from aivax_cli.model.sending import Sender
    from aivax_cli.retrieval.embedding.base import Embedder
    from aivax_cli.steps.plan import Ports, TurnPlan
    from aivax_cli.wiring.gateways import OpenWorkspace

_UNRELATED = 0.75
"""The cosine of unrelated sentences under multilingual-e5-small, both embedded as questions."""
_VOTES = 10
"""The most votes of a judge: recordings of the judge are numbered by repeat and vote."""
_MANY = 8
"""Samples from which on aiohttp saves in sending, 2 ms each, what it takes longer to load than httpx."""


@asynccontextmanager
async def open_bench(
    workspace: Workspace,
    cassettes: Cassettes,
    *,
    samples: int = 1,
    environ: Mapping[str, str] = os.environ,
    on_download: Progress | None = None,
) -> AsyncIterator[Bench]:
    """A bench over the workspace's gateways, for so many samples. Gateways are read when a case first needs
    them.

    What is wrong with a gateway is raised by `subject`, and becomes the case's error.
    """
    from aivax_cli.checks.running import Bench

    def wrap(endpoint: EmbeddingEndpoint, model: str) -> EmbeddingEndpoint:
        from aivax_cli.checks.recorded import RecordedEmbeddings

        return RecordedEmbeddings(endpoint, model, cassettes.shared_tape("embeddings"))

    store = LateStore(environ, on_download)
    opening = open_workspace(
        workspace,
        environ=environ,
        on_download=on_download,
        wrap=wrap,
        sender=_quick_sender if samples >= _MANY else None,
    )
    async with opening as opened:
        gateways = _Gateways(workspace)
        similarity = _similarity(store)

        def subject(case: Case, number: int) -> _TapedGateway:
            from aivax_cli.checks.cases import assignments

            tape = cassettes.tape(case.test.id, number)
            runtime = gateways.open(case.gateway, assignments(case.cell), _taped(opened, tape))
            return _TapedGateway(runtime, tape)

        def ground(case: Case) -> Ground:
            from aivax_cli.checks.assertions.base import Ground

            return Ground((case.file.parent, workspace.root), similarity)

        yield Bench(subject, _judge(opened, cassettes, gateways), ground)


def _quick_sender(**settings: Any) -> Sender:
    from aivax_cli.model.aiohttp_sending import aiohttp_sender

    return aiohttp_sender(**settings)


def _judge(opened: OpenWorkspace, cassettes: Cassettes, gateways: _Gateways) -> Callable[[Case, int], Ask]:
    """Who asks the judge about a sample, each vote on a tape of its own."""

    def judge(case: Case, number: int) -> Ask:
        name = case.judge.gateway if case.judge else case.gateway

        async def ask(conversation: Conversation, vote: int) -> Reply:
            tape = cassettes.tape(case.test.id, number * _VOTES + vote)
            reply = await _asked(gateways.open(name, (), _taped(opened, tape)), conversation)
            if tape.problem:
                raise AivaxError(tape.problem)
            return reply

        return ask

    return judge


class _Gateways(Struct):
    """Gateways by name and settings, each read and planned once: a run may take thousands of turns."""

    workspace: Workspace
    known: dict[tuple[str, tuple[str, ...]], tuple[LoadedGateway, TurnPlan]] = field(default_factory=dict)

    def plan(self, name: str, settings: tuple[str, ...]) -> TurnPlan:
        """Raises what is wrong with the gateway."""
        return self._found(name, settings)[1]

    def open(self, name: str, settings: tuple[str, ...], opened: OpenWorkspace) -> GatewayRuntime:
        """The gateway, ready for a turn."""
        loaded, plan = self._found(name, settings)
        return GatewayRuntime(loaded, opened, plan)

    def _found(self, name: str, settings: tuple[str, ...]) -> tuple[LoadedGateway, TurnPlan]:
        from aivax_cli.wiring.plans import plan_turn

        if (name, settings) not in self.known:
            loaded = self.workspace.load(name)
            if settings:
                loaded = loaded.with_settings(settings)
            self.known[name, settings] = (loaded, plan_turn(loaded, self.workspace))
        return self.known[name, settings]


class _TapedGateway:
    """A gateway for one sample, on the tape of that sample. Implements `checks.running.Subject`."""

    def __init__(self, runtime: GatewayRuntime, tape: Tape) -> None:
        self._runtime = runtime
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
    in_order = replace(opened, pool=_GivenOrder())
    if not (tape.replays or tape.records):
        return in_order
    from aivax_cli.checks.recorded import RecordedChat, RecordedReranker, RecordedTexts, RecordedTools

    def adapt(ports: Ports) -> Ports:
        endpoint = ports.rerank_endpoint and RecordedReranker(ports.rerank_endpoint, tape)
        return replace(
            ports, rerank_endpoint=endpoint, tools=ports.tools and RecordedTools(ports.tools, tape)
        )

    return replace(
        in_order,
        chat=RecordedChat(opened.chat, tape),
        remote=RecordedTexts(opened.remote, tape),
        adapt=adapt,
        ledger=_NoLedger() if tape.replays else opened.ledger,
        day=UncountedDay() if tape.replays else opened.day,
    )


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


async def _asked(runtime: GatewayRuntime, conversation: Conversation) -> Reply:
    from contextlib import aclosing

    from aivax_cli.checks.judging import Reply
    from aivax_cli.core.events import Finished
    from aivax_cli.core.types import total_usd

    text = ""
    async with aclosing(runtime.turn(conversation)) as events:
        async for event in events:
            if isinstance(event, Finished):
                text = event.result.text
    return Reply(text, runtime.charges, total_usd(runtime.charges))


def _similarity(store: LateStore) -> Callable[[str, str], float]:
    """Calibrated similarity by the built-in embedder, which is loaded at the first comparison."""
    from functools import cache
    from threading import Lock

    one_at_a_time = Lock()

    @cache
    def embedder() -> Embedder:
        from aivax_cli.wiring.knowledge import built_in_embedder

        return built_in_embedder(store.get())

    def compare(wanted: str, found: str) -> float:
        from aivax_cli.retrieval.calibration import similarity

        with one_at_a_time:
            vectors = embedder().embed_queries([wanted, found]).vectors
        return similarity(float(vectors[0] @ vectors[1]), _UNRELATED)

    return compare


def estimated(workspace: Workspace, cases: Sequence[Case]) -> Estimate:
    """What cases may take at most, by today's prices. Raises what is wrong with their gateways."""
    from aivax_cli.checks.cases import assignments
    from aivax_cli.checks.estimating import Estimate, estimate
    from aivax_cli.usage.price_book import GenaiPriceBook

    gateways = _Gateways(workspace)
    prices = GenaiPriceBook().prices
    total = Estimate()
    for case in cases:
        if case.test.skip is None:
            judge = gateways.plan(case.judge.gateway, ()) if case.judge else None
            total += estimate(case, gateways.plan(case.gateway, assignments(case.cell)), judge, prices)
    return total


def key_variables(workspace: Workspace, files: Sequence[LoadedChecks], cases: Sequence[Case]) -> set[str]:
    """The variables that hold keys of the cases' models. Looks at everything that a run needs to be sound.

    Raises DefinitionError with all that is wrong with files of checks, and with the gateways they name.
    """
    from aivax_cli.checks.soundness import faults

    gateways = _Gateways(workspace)
    found = [fault for each in files for fault in faults(each, workspace.root)]
    variables: set[str] = set()
    for file, field_, name, settings in _gateways_of(files, cases):
        try:
            plan = gateways.plan(name, settings)
        except DefinitionError as error:
            found += error.faults
        except (NotFoundError, UsageError) as error:
            found.append(Fault(file.shown_as, file.lines.get(field_, 1), field_, str(error)))
        else:
            variables.update(target.api_key_env for target in _models(plan) if target.api_key_env)
    if found:
        raise DefinitionError(tuple(dict.fromkeys(found)))
    return variables


def refuse_unpriced(workspace: Workspace, files: Sequence[LoadedChecks], cases: Sequence[Case]) -> None:
    """Raises UsageError when a cost is limited and a model that may be called has no price."""
    from aivax_cli.checks.estimating import limits_cost

    gated = {each.file for each in files if each.definition.gate.run_usd is not None}
    limited = [case for case in cases if case.file in gated or limits_cost(case)]
    if not limited:
        return
    unpriced = estimated(workspace, limited).unpriced
    if unpriced:
        raise UsageError(
            f"a cost is limited, and nobody has said what {', '.join(sorted(unpriced))} costs",
            fix="give its price under prices: in aivax.yaml, or under pricing: in the gateway",
        )


def _gateways_of(
    files: Sequence[LoadedChecks], cases: Sequence[Case]
) -> Iterator[tuple[LoadedChecks, str, str, tuple[str, ...]]]:
    """Each gateway that cases ask, with the file and the field that say so, and what its cell sets."""
    from aivax_cli.checks.cases import assignments

    for each in files:
        if all(case.file != each.file for case in cases):
            continue
        yield each, "gateway", each.definition.gateway, ()
        if each.definition.judge is not None:
            yield each, "judge", each.definition.judge.gateway, ()
        for cell in dict.fromkeys(case.cell for case in cases if case.file == each.file):
            if assignments(cell):
                yield each, "matrix", each.definition.gateway, assignments(cell)


def _models(plan: TurnPlan) -> Iterator[ModelTarget]:
    yield from (*plan.targets, *plan.rewriters)
    if plan.reranker is not None:
        yield plan.reranker.target
    if plan.routing is not None:
        yield plan.routing.router
        yield from (target for each in plan.routing.levels.values() for target in each)
