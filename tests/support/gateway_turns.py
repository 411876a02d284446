"""Turns of a gateway file over real endpoints and a real ledger, with a library that finds nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from support.calling import QUICK

from aivax_cli.core.events import Event, Finished, TurnResult
from aivax_cli.core.types import Message, Passage, Retrieval, RetrievalLimits
from aivax_cli.gateway.workspace import Workspace
from aivax_cli.model.client import HttpChatModel
from aivax_cli.steps.plan import Ports
from aivax_cli.turn import run_turn
from aivax_cli.usage.ledger import SqliteLedger
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.meter import Meter
from aivax_cli.usage.price_book import GenaiPriceBook
from aivax_cli.usage.standings import LedgerPool
from aivax_cli.wiring import plan_turn


class Nothing:
    """A library without documents."""

    async def ready(self) -> None:
        pass

    async def retrieve(self, terms: Sequence[str], limits: RetrievalLimits) -> Retrieval:
        return Retrieval(())

    async def expanded(self, passages: Sequence[Passage], limits: RetrievalLimits) -> tuple[Passage, ...]:
        return tuple(passages)


class Words:
    """Counts words."""

    def count_text(self, text: str, model: str) -> int:
        return len(text.split())

    def count_messages(self, messages: Sequence[Message], model: str) -> int:
        return sum(len(message.content.split()) for message in messages)


@dataclass
class Turns:
    """What some turns came to, and everything they told."""

    results: list[TurnResult] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)


def turns_of(
    root: Path,
    question: str,
    *,
    count: int = 1,
    gateway: str = "g",
    chance: Callable[[], float] = lambda: 1.0,
) -> Turns:
    """Asks the workspace's gateway so many times in one process; `chance` is the pool's die."""
    workspace = Workspace(root)
    plan = plan_turn(workspace.load(gateway), workspace)
    turns = Turns()

    async def run() -> None:
        prices = GenaiPriceBook()
        ledger = SqliteLedger(workspace.state_dir / "ledger.db")
        pool = LedgerPool(LedgerFile(ledger.path), prices, chance=chance)
        async with HttpChatModel({}, retry=QUICK) as chat:
            for _ in range(count):
                meter = Meter(chat, prices, Words(), ledger, turn_id="t", gateway=gateway)
                ports = Ports(meter, Words(), Nothing(), pool=pool)
                async with aclosing(run_turn(plan, (Message("user", question),), ports)) as events:
                    async for event in events:
                        turns.told.append(event)
                        if isinstance(event, Finished):
                            turns.results.append(event.result)
        pool.close()
        ledger.close()

    asyncio.run(run())
    return turns
