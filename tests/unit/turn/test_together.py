"""Steps at the same time: their events, their errors, and how they end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from aivax_cli.core.errors import BudgetError
from aivax_cli.core.events import Event, TextDelta
from aivax_cli.steps.together import together


class Steps:
    """Steps that say their name, and remember how they ended."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.go = asyncio.Event()

    async def waits(self, name: str) -> AsyncGenerator[Event, None]:
        try:
            self.begun.append(name)
            yield TextDelta(f"{name} begins")
            await self.go.wait()
            yield TextDelta(f"{name} ends")
        finally:
            self.ended.append(name)

    async def frees(self, name: str) -> AsyncGenerator[Event, None]:
        yield TextDelta(name)
        self.go.set()

    async def fails(self) -> AsyncGenerator[Event, None]:
        yield TextDelta("fails")
        raise BudgetError("too dear")


async def texts(events: AsyncGenerator[Event, None]) -> list[str]:
    async with aclosing(events):
        return [event.text async for event in events if isinstance(event, TextDelta)]


def test_one_step_goes_on_while_the_other_waits() -> None:
    async def run() -> None:
        steps = Steps()
        told = await texts(together(steps.waits("a"), steps.frees("b")))
        assert told == ["a begins", "b", "a ends"]

    asyncio.run(run())


def test_in_turn_the_second_begins_when_the_first_has_ended() -> None:
    async def run() -> None:
        steps = Steps()
        steps.go.set()
        told = await texts(together(steps.waits("a"), steps.frees("b"), in_turn=True))
        assert told == ["a begins", "a ends", "b"]

    asyncio.run(run())


@pytest.mark.parametrize("in_turn", [False, True])
def test_an_error_ends_the_others_and_is_raised(in_turn: bool) -> None:
    async def run() -> None:
        steps = Steps()
        with pytest.raises(BudgetError, match="too dear"):
            await texts(together(steps.fails(), steps.waits("a"), in_turn=in_turn))
        assert steps.ended == ([] if in_turn else ["a"])

    asyncio.run(run())


def test_closing_ends_every_step_before_it_returns() -> None:
    async def run() -> None:
        steps = Steps()
        events = together(steps.waits("a"), steps.waits("b"))
        await anext(events)
        await anext(events)
        await events.aclose()
        assert sorted(steps.ended) == ["a", "b"]

    asyncio.run(run())


def test_cancelling_whoever_waits_ends_every_step() -> None:
    async def run() -> None:
        steps = Steps()
        waiting = asyncio.create_task(texts(together(steps.waits("a"), steps.waits("b"))))
        while sorted(steps.begun) != ["a", "b"]:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert sorted(steps.ended) == ["a", "b"]

    asyncio.run(run())


def test_without_steps_there_are_no_events() -> None:
    assert asyncio.run(texts(together())) == []
