"""Steps that need nothing of each other, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aivax_cli.core.events import Event


async def together(*steps: AsyncGenerator[Event, None], in_turn: bool = False) -> AsyncGenerator[Event, None]:
    """The events of all steps as they come, until every step has ended.

    The first error ends the others and is raised. Closing this, or cancelling whoever waits for it, ends
    them all before it returns. Steps that go `in_turn`, and one that is alone, go no further than their
    events are taken.
    """
    if in_turn or len(steps) == 1:
        for step in steps:
            async with aclosing(step) as events:
                async for event in events:
                    yield event
        return
    told: asyncio.Queue[Event | asyncio.Task[None]] = asyncio.Queue()

    async def follow(step: AsyncGenerator[Event, None]) -> None:
        async with aclosing(step) as events:
            async for event in events:
                told.put_nowait(event)

    tasks = [asyncio.create_task(follow(step)) for step in steps]
    for task in tasks:
        task.add_done_callback(told.put_nowait)
    try:
        running = len(tasks)
        while running:
            item = await told.get()
            if isinstance(item, asyncio.Task):
                item.result()  # raises what the step raised
                running -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
