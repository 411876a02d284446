"""A server's ledger: nobody who asks waits for somebody who holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.usage.unwaiting import Bookkeeper, UnwaitingAnswers, UnwaitingLedger
    from aivax_cli.wiring.gateways import OpenWorkspace

_POOL_WAITS_S = 0.05
"""How a rewrite model did is not worth more of anybody's time."""


class Books(Struct, frozen=True):
    """What is written of turns. `keeper` does what cannot be done at once."""

    keeper: Bookkeeper
    ledger: UnwaitingLedger
    answers: UnwaitingAnswers


@asynccontextmanager
async def open_books(
    workspace: Workspace, opened: OpenWorkspace
) -> AsyncIterator[tuple[OpenWorkspace, Books]]:
    """The open workspace with such a ledger in it. What is still to be written is written at the end."""
    from aivax_cli.usage.ledger import LEDGER_FILE
    from aivax_cli.usage.ledger_file import LedgerFile
    from aivax_cli.usage.reservations import Reservations
    from aivax_cli.usage.standings import LedgerPool
    from aivax_cli.usage.unwaiting import Bookkeeper, UnwaitingAnswers, UnwaitingDay, UnwaitingLedger

    path = workspace.state_dir / LEDGER_FILE
    keeper = Bookkeeper()
    books = Books(keeper, UnwaitingLedger(path, keeper), UnwaitingAnswers(path, keeper))
    quick, patient = (Reservations(LedgerFile(path, busy_timeout_s=wait_s)) for wait_s in (0, 5))
    pool = LedgerPool(LedgerFile(path, busy_timeout_s=_POOL_WAITS_S), opened.prices)
    async with AsyncExitStack() as stack:
        for each in (books.ledger, books.answers, quick, patient, pool):
            stack.callback(each.close)
        stack.push_async_callback(asyncio.to_thread, keeper.close)
        day = UnwaitingDay(quick, patient, keeper)
        yield replace(opened, ledger=books.ledger, day=day, pool=pool), books
