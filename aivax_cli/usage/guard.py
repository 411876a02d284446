"""A gateway's budget on duty: no call passes that might cost more than is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from threading import Lock
from typing import Protocol

from msgspec import Struct, field

from aivax_cli.core.errors import AivaxError, BudgetError
from aivax_cli.core.ports import PriceBook, TokenCounter
from aivax_cli.core.types import ModelCall, ModelTarget
from aivax_cli.gateway.sections import Budget
from aivax_cli.usage.budget import (
    IMAGE_TOKENS,
    WorstCase,
    beside_messages,
    over_budget,
    unpriced,
    worst_case,
)
from aivax_cli.usage.reservations import Reserved


class Day(Protocol):
    """What the gateways of a workspace spend in a day, shared with other processes."""

    def reserve(self, gateway: str, usd: Decimal, limit_usd: Decimal, *, unkept_usd: Decimal) -> Reserved: ...

    def release(self, number: int) -> None: ...


class Spent(Struct):
    """What a turn has spent so far: all of it, and the part that is not in the ledger."""

    usd: Decimal = Decimal(0)
    unkept_usd: Decimal = Decimal(0)


class BudgetGuard(Struct):
    """Holds the calls of one turn to the gateway's budget. `readers` embed the gateway's search terms."""

    budget: Budget
    prices: PriceBook
    counter: TokenCounter
    day: Day
    gateway: str
    readers: tuple[ModelTarget, ...] = ()
    locked: tuple[str, ...] = ()
    """The gateway's fields that nobody may override."""
    spent: Spent = field(default_factory=Spent)
    warn: Callable[[str], None] = lambda _: None
    _held_usd: Decimal = Decimal(0)
    _lock: Lock = field(default_factory=Lock)

    def require_prices(self, targets: Sequence[ModelTarget], readers: Sequence[ModelTarget] = ()) -> None:
        """Raises BudgetError when nobody has said what one of the models costs.

        `readers` write nothing: a price of output is not needed.
        """
        for target in targets:
            if self.prices.prices(target) is None:
                raise unpriced(target)
        for reader in (*self.readers, *readers):
            if self.prices.input_prices(reader) is None:
                raise unpriced(reader, reads=True)

    @asynccontextmanager
    async def call(self, call: ModelCall) -> AsyncIterator[None]:
        """Room for a call, as long as the block lasts; its charges are kept within. Raises BudgetError."""
        async with self._room(lambda: (self._of_call(call),)):
            yield

    @asynccontextmanager
    async def reading(self, readers: Sequence[ModelTarget], texts: Sequence[str]) -> AsyncIterator[None]:
        """The same for models that read these texts and write nothing."""
        async with self._room(lambda: tuple(self._of_reading(reader, texts) for reader in readers)):
            yield

    @asynccontextmanager
    async def _room(self, reckoned: Callable[[], Sequence[WorstCase]]) -> AsyncIterator[None]:
        # In a thread: counting may have to fetch its tables, and the ledger may be held by another process.
        entering = asyncio.ensure_future(asyncio.to_thread(self._enter, reckoned))
        try:
            held = await asyncio.shield(entering)
        except asyncio.CancelledError:
            entering.add_done_callback(self._leave_late)
            raise
        try:
            yield
        finally:
            self._leave(held)

    def _enter(self, reckoned: Callable[[], Sequence[WorstCase]]) -> list[_Held]:
        held: list[_Held] = []
        try:
            for case in reckoned():
                if case.usd > 0:
                    held.append(self._admitted(case))
        except BaseException:
            self._leave(held)
            raise
        return held

    def _admitted(self, case: WorstCase) -> _Held:
        limit = self.budget.usd_per_request
        with self._lock:  # calls of one turn may begin in several threads
            taken = self.spent.usd + self._held_usd
            if limit is not None and taken + case.usd > limit:
                raise over_budget(case, "usd_per_request", limit, taken, self.locked)
            number = self._reserved(case)
            self._held_usd += case.usd
        return _Held(case.usd, number)

    def _reserved(self, case: WorstCase) -> int | None:
        limit = self.budget.usd_per_day
        if limit is None:
            return None
        try:
            found = self.day.reserve(self.gateway, case.usd, limit, unkept_usd=self.spent.unkept_usd)
        except BudgetError:
            raise
        except AivaxError as error:
            raise BudgetError(f"the budget of the day cannot be checked: {error}") from error
        if found.number is None:
            raise over_budget(case, "usd_per_day", limit, found.taken_usd, self.locked)
        return found.number

    def _leave(self, held: Sequence[_Held]) -> None:
        for each in held:
            with self._lock:
                self._held_usd -= each.usd
            if each.number is None:
                continue
            try:
                self.day.release(each.number)
            except AivaxError as error:
                self.warn(f"what this call might have cost counts for another hour: {error}")

    def _leave_late(self, entering: asyncio.Future[list[_Held]]) -> None:
        """Somebody has stopped the call while room was made for it."""
        if not entering.cancelled() and entering.exception() is None:
            self._leave(entering.result())

    def _of_call(self, call: ModelCall) -> WorstCase:
        prices = self.prices.prices(call.target)
        if prices is None:
            raise unpriced(call.target)
        if not prices.output_usd and not prices.input_usd:
            return WorstCase(call.target.label, prices, 0)
        model, beside = call.target.name, beside_messages(call)
        tokens = self.counter.count_messages(call.messages, model)
        tokens += self.counter.count_text(beside, model) if beside else 0
        tokens += IMAGE_TOKENS * sum(len(message.images) for message in call.messages)
        return worst_case(call, prices, tokens, self.prices.context_window(call.target))

    def _of_reading(self, reader: ModelTarget, texts: Sequence[str]) -> WorstCase:
        prices = self.prices.input_prices(reader)
        if prices is None:
            raise unpriced(reader, reads=True)
        tokens = sum(self.counter.count_text(text, reader.name) for text in texts) if prices.input_usd else 0
        return WorstCase(reader.label, prices, tokens)


class _Held(Struct, frozen=True):
    usd: Decimal
    number: int | None
