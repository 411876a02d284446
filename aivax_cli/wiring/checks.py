"""What checks run on: gateways by cell, the judge, the embedder that compares meanings."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.checks.assertions.base import Ground
    from aivax_cli.checks.cases import Case
    from aivax_cli.checks.judging import Ask, Reply
    from aivax_cli.checks.running import Bench
    from aivax_cli.core.types import Conversation
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.wiring.gateways import GatewayRuntime, OpenWorkspace

At = Callable[["Case", int], "OpenWorkspace"]
"""The open workspace for one sample of a case; recordings tell samples apart by it."""


def check_bench(workspace: Workspace, opened: At, store: AssetStore, *, replayed: bool = False) -> Bench:
    """A bench over the workspace's gateways. Gateways are read when a case first needs them.

    What is wrong with a gateway is raised by `subject`, and becomes the case's error.
    """
    from aivax_cli.checks.running import Bench

    @cache
    def gateway(name: str, assignments: tuple[str, ...]) -> LoadedGateway:
        from aivax_cli.gateway.overrides import with_settings

        loaded = workspace.load(name)
        return (
            loaded.with_definition(with_settings(loaded.definition, assignments)) if assignments else loaded
        )

    def subject(case: Case, number: int) -> GatewayRuntime:
        from aivax_cli.checks.cases import assignments

        return opened(case, number).gateway(gateway(case.gateway, tuple(assignments(case.cell))))

    def judge(case: Case, number: int) -> Ask:
        async def ask(conversation: Conversation, vote: int) -> Reply:
            judge_gateway = gateway(_judge(case), ())
            return await _asked(opened(case, number * 100 + vote).gateway(judge_gateway), conversation)

        return ask

    similarity = _similarity(store)

    def ground(case: Case) -> Ground:
        from aivax_cli.checks.assertions.base import Ground

        return Ground((case.file.parent, workspace.root), similarity)

    return Bench(subject, judge, ground, replayed)


def _judge(case: Case) -> str:
    return case.judge.gateway if case.judge else case.gateway


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


def _similarity(store: AssetStore) -> Callable[[str, str], float]:
    """Calibrated similarity by the built-in embedder, which is loaded at the first question.

    The background is that of unrelated sentences, as `calibration` has it where there is no collection.
    """
    from aivax_cli.retrieval.calibration import similarity
    from aivax_cli.wiring.knowledge import built_in_embedder

    embedder = built_in_embedder(store)

    def compare(wanted: str, found: str) -> float:
        vectors = embedder.embed_queries([wanted, found]).vectors
        return similarity(float(vectors[0] @ vectors[1]), _UNRELATED)

    return compare


_UNRELATED = 0.75
"""The cosine of unrelated sentences under multilingual-e5-small, both embedded as questions."""
