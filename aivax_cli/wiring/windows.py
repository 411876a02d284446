"""How much a model takes at once, where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aivax_cli.gateway.providers import LOCAL

if TYPE_CHECKING:
    from aivax_cli.core.ports import PriceBook
    from aivax_cli.core.types import ModelTarget


def context_window(targets: Sequence[ModelTarget], model: str, prices: PriceBook) -> int | None:
    """Tokens that `model`, who answered, takes at once; the first target's where it is none of them."""
    from aivax_cli.model.local import CONTEXT_TOKENS

    target = next((each for each in targets if model in (each.label, each.name)), targets[0])
    return CONTEXT_TOKENS if target.provider == LOCAL else prices.context_window(target)
