"""One question to a model, or to the next of a list when one fails before its first word."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from aivax_cli.core.errors import AssetError, BudgetError, KeyMissingError, ModelError, NotFoundError
from aivax_cli.core.events import FellBack
from aivax_cli.core.types import ModelCall, ModelItem, ModelTarget
from aivax_cli.usage.meter import Meter


async def call_first_of(
    targets: Sequence[ModelTarget], call: ModelCall, meter: Meter
) -> AsyncGenerator[ModelItem | FellBack, None]:
    """The items of the first target that answers; `call.target` is set to each in turn.

    One for which the budget has no room is passed over like one that fails: the next may be cheaper.

    A target with another after it is called impatiently: tried again once at most, where that is quick.
    Raises what the last one raises. Closing it ends the request under way.
    """
    for place, target in enumerate(targets):
        last = place + 1 == len(targets)
        attempt = replace(call, target=target, impatient=not last)
        try:
            async with aclosing(meter.stream(attempt)) as items:
                async for item in items:
                    yield item
            return
        except (ModelError, KeyMissingError, AssetError, NotFoundError, BudgetError) as error:
            if last:
                raise
            yield FellBack(target.label, str(error), targets[place + 1].label, call.purpose)
