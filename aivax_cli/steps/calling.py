"""One question to a model, or to the next of a list when one fails before its first word."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from aivax_cli.core.errors import AssetError, KeyMissingError, ModelError
from aivax_cli.core.events import FellBack
from aivax_cli.core.types import ModelCall, ModelItem, ModelTarget
from aivax_cli.usage.meter import Meter


async def call_first_of(
    targets: Sequence[ModelTarget], call: ModelCall, meter: Meter
) -> AsyncGenerator[ModelItem | FellBack, None]:
    """The items of the first target that answers; `call.target` is set to each in turn.

    Raises what the last one raises. Closing it ends the request under way.
    """
    for place, target in enumerate(targets):
        try:
            async with aclosing(meter.stream(replace(call, target=target))) as items:
                async for item in items:
                    yield item
            return
        except (ModelError, KeyMissingError, AssetError) as error:
            if place + 1 == len(targets):
                raise
            yield FellBack(target.label, str(error), targets[place + 1].label)
