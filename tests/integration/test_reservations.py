"""What calls under way take of a day's budget, in a real ledger, and the guard that asks for it."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from support.patience import PATIENT_S

from aivax_cli.core.errors import BudgetError, LedgerError
from aivax_cli.core.types import Charge, Message, ModelCall, ModelTarget, Prices, Purpose
from aivax_cli.gateway.sections import Budget
from aivax_cli.usage.guard import BudgetGuard
from aivax_cli.usage.ledger import SqliteLedger
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.meter import Meter
from aivax_cli.usage.reservations import LEASE, Reservations, Reserved, process_lives

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ZERO, ONE, TWO, THREE = (Decimal(number) for number in range(4))


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def open_day(path: Path, clock: Clock) -> Iterator[Callable[..., Reservations]]:
    """Opens the ledger's reservations, as often as wanted; all processes live unless it is said."""
    opened: list[Reservations] = []

    def open_one(alive: Callable[[int], bool] = lambda _: True) -> Reservations:
        opened.append(Reservations(LedgerFile(path), now=clock, alive=alive))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def reserve(day: Reservations, usd: Decimal, limit: Decimal = TWO, gateway: str = "g") -> Reserved:
    return day.reserve(gateway, usd, limit, unkept_usd=ZERO)


def spend(path: Path, clock: Clock, unit: Decimal | None, quantity: int = 1, gateway: str = "g") -> None:
    with SqliteLedger(path, now=clock) as ledger:
        charge = Charge("sku", quantity, unit, "test")
        ledger.record([charge], turn_id="t", gateway=gateway, model="m")


def test_what_is_reserved_is_taken_for_everybody(open_day: Callable[..., Reservations]) -> None:
    one, other = open_day(), open_day()
    assert reserve(one, ONE).number is not None
    assert reserve(other, TWO) == Reserved(None, ONE)
    assert reserve(other, ONE).taken_usd == ONE


def test_what_is_released_is_free_again(open_day: Callable[..., Reservations]) -> None:
    day = open_day()
    number = reserve(day, TWO).number
    assert number is not None
    day.release(number)
    assert reserve(day, TWO).number is not None


def test_the_days_charges_count_exactly_and_unpriced_ones_nothing(
    open_day: Callable[..., Reservations], path: Path, clock: Clock
) -> None:
    for unit in (Decimal("0.1"), Decimal("0.2"), None):
        spend(path, clock, unit, 3)
    found = reserve(open_day(), Decimal("1.1"))
    assert found.number is not None
    assert found.taken_usd == Decimal("0.9")


def test_other_gateways_have_days_of_their_own(
    open_day: Callable[..., Reservations], path: Path, clock: Clock
) -> None:
    spend(path, clock, TWO, gateway="other")
    day = open_day()
    reserve(day, TWO, gateway="other")
    assert reserve(day, TWO).number is not None


def test_a_day_ends_at_midnight_utc(open_day: Callable[..., Reservations], path: Path, clock: Clock) -> None:
    clock.now = datetime(2026, 11, 22, 23, 59, 59, 999_000, tzinfo=UTC)
    spend(path, clock, TWO)
    assert reserve(open_day(), ONE).taken_usd == TWO
    clock.now += timedelta(milliseconds=1)
    assert reserve(open_day(), ONE).taken_usd == ZERO


def test_what_is_spent_and_not_in_the_ledger_counts_too(open_day: Callable[..., Reservations]) -> None:
    assert open_day().reserve("g", ONE, TWO, unkept_usd=Decimal("1.5")).number is None


def test_a_dead_process_holds_nothing(open_day: Callable[..., Reservations]) -> None:
    reserve(open_day(), TWO)
    assert reserve(open_day(alive=lambda pid: pid != os.getpid()), TWO).number is not None


def test_another_machines_process_holds_until_its_lease_ends(
    open_day: Callable[..., Reservations], path: Path, clock: Clock
) -> None:
    reserve(open_day(), TWO)
    with LedgerFile(path).writing() as connection:
        connection.execute("UPDATE reservations SET host = 'elsewhere'")
    day = open_day(alive=lambda _: False)
    clock.now += LEASE - timedelta(seconds=1)
    assert reserve(day, TWO).number is None
    clock.now += timedelta(seconds=1)
    assert reserve(day, TWO).number is not None


def test_whether_a_process_lives_is_known() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert process_lives(os.getpid())
    assert not process_lives(ended.pid)


# The guard.

TARGET = ModelTarget("@test/m", "test", "m", "http://127.0.0.1/v1", prices=Prices(ONE, ONE))
CALL = ModelCall(Purpose.ANSWER, TARGET, (Message("user", "hi"),), {"max_completion_tokens": 1})
"""Two dollars at worst."""


class Words:
    def count_text(self, text: str, model: str) -> int:
        return len(text.split())

    def count_messages(self, messages: Sequence[Message], model: str) -> int:
        return sum(len(message.content.split()) for message in messages)


class Own:
    """The target's own prices."""

    def prices(self, target: ModelTarget, served_model: str | None = None) -> Prices | None:
        return target.prices

    def input_prices(self, target: ModelTarget) -> Prices | None:
        return target.prices

    def context_window(self, target: ModelTarget) -> int | None:
        return None


class FullDisk:
    def record(self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str) -> None:
        raise LedgerError("the disk is full")


def guard(day: Reservations, **budget: Decimal) -> BudgetGuard:
    return BudgetGuard(Budget(**budget), Own(), Words(), day, "g")


async def admitted(guard: BudgetGuard) -> None:
    async with guard.call(CALL):
        pass


def test_calls_of_one_request_at_once_share_its_budget(open_day: Callable[..., Reservations]) -> None:
    async def run() -> None:
        held = guard(open_day(), usd_per_request=THREE)
        async with held.call(CALL):
            with pytest.raises(BudgetError, match=r"has \$1\.00 left"):
                await admitted(held)
        await admitted(held)

    asyncio.run(run())


def test_a_call_that_fails_gives_its_room_back(open_day: Callable[..., Reservations]) -> None:
    async def run() -> None:
        held = guard(open_day(), usd_per_day=TWO)
        for _ in range(2):
            with pytest.raises(ValueError, match="lost"):
                async with held.call(CALL):
                    raise ValueError("lost")

    asyncio.run(run())


def test_who_is_stopped_while_asking_for_room_keeps_none(open_day: Callable[..., Reservations]) -> None:
    asked, go_on, released = threading.Event(), threading.Event(), threading.Event()

    class Slow(Words):
        def count_messages(self, messages: Sequence[Message], model: str) -> int:
            asked.set()
            go_on.wait(2 * PATIENT_S)
            return 1

    class Told(Reservations):
        def release(self, number: int) -> None:
            super().release(number)
            released.set()

    async def run() -> None:
        day = Told(open_day()._file, alive=lambda _: True)
        held = guard(day, usd_per_day=TWO, usd_per_request=TWO)
        held.counter = Slow()
        asking = asyncio.create_task(admitted(held))
        await asyncio.to_thread(asked.wait, PATIENT_S)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go_on.set()
        assert await asyncio.to_thread(released.wait, PATIENT_S)
        await admitted(held)

    asyncio.run(run())


def test_what_the_ledger_could_not_keep_counts_for_the_rest_of_the_turn(
    open_day: Callable[..., Reservations],
) -> None:
    held = guard(open_day(), usd_per_day=THREE)
    meter = Meter(None, Own(), Words(), FullDisk(), turn_id="t", gateway="g", guard=held)  # type: ignore[arg-type]
    meter.embedding("sku", 2, "e", TARGET.prices)
    with pytest.raises(BudgetError, match=r"has \$1\.00 left"):
        asyncio.run(admitted(held))


def test_the_gateways_embedders_are_checked_before_a_search(open_day: Callable[..., Reservations]) -> None:
    async def run() -> None:
        held = guard(open_day(), usd_per_request=TWO)
        held.readers = (TARGET,)
        async with held.reading(held.readers, ["two", "words"]):
            pass
        with pytest.raises(BudgetError, match="3 tokens in"):
            async with held.reading(held.readers, ["two words", "more"]):
                pass

    asyncio.run(run())
