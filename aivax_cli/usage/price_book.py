"""What models cost: the gateway's own prices, nothing for what runs here, else `genai-prices`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from aivax_cli.core.types import FREE, ModelTarget, Prices
from aivax_cli.usage.pricing import per_token, split_label

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider

TABLE_PROVIDERS: Final[Mapping[str, str]] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "groq": "groq",
    "openrouter": "openrouter",
    "mistral": "mistral",
    "deepseek": "deepseek",
}
"""Our provider names → those of `genai-prices`. It also matches loosely by itself ("not-openai" would be
OpenAI), so only names listed here are ever looked up by name."""


class PricedModel(Struct, frozen=True):
    """A row of the price table, in USD per token; a price of None is one that the table lacks."""

    name: str
    input_usd: Decimal | None
    cached_input_usd: Decimal | None
    output_usd: Decimal | None
    context_window: int | None
    tiered: bool
    """Whether long prompts cost more than the base prices given here."""


class GenaiPriceBook:
    """Prices by, in order: the target's own, free for what runs on this machine, `genai-prices`.

    A model answered by another than the one asked for (a router did it) costs what the answering one
    costs, when that is known. Prices that depend on the date or the hour are those of the moment.
    Prices that rise with the length of the prompt count with their base tier. A model that the table
    does not know, or knows only half of, is unpriced.

    `genai-prices` can update itself from the network; that is off unless it is started, and nothing
    here starts it: the table is the one of the installed version.
    """

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    def prices(self, target: ModelTarget, served_model: str | None = None) -> Prices | None:
        """USD per token, or None when nobody has said."""
        if target.prices is not None:
            return target.prices
        if target.free:
            return FREE
        for reference in (served_model, target.name):
            found = self._look_up(target, reference) if reference else None
            prices = _prices(found) if found else None
            if prices is not None:
                return prices
        return None

    def input_prices(self, target: ModelTarget) -> Prices | None:
        """The same for models that only read, such as embedders: the table gives them no price of output."""
        if target.prices is not None:
            return target.prices
        if target.free:
            return FREE
        found = self._look_up(target, target.name)
        input_usd = _unit(found.input_mtok) if found else None
        return Prices(input_usd, Decimal(0)) if input_usd is not None else None

    def context_window(self, target: ModelTarget) -> int | None:
        """The most tokens that the model takes at once, where the table knows it. None for free models."""
        if target.free:
            return None
        model = self._find(target, target.name)
        return model.context_window if model else None

    def models(self, provider: str) -> tuple[PricedModel, ...]:
        """Every priced model that the table has for one of our providers, by name."""
        table = _table()
        table_name = TABLE_PROVIDERS.get(provider)
        if table_name is None:
            return ()
        entry = table.find_provider(None, table_name, None)
        rows = (self._row(model) for model in entry.models if not model.deprecated)
        priced = (row for row in rows if row.input_usd is not None or row.output_usd is not None)
        return tuple(sorted(priced, key=lambda row: row.name))

    def _row(self, model: ModelInfo) -> PricedModel:
        price = model.get_prices(self._now())
        values = (price.input_mtok, price.cache_read_mtok, price.output_mtok)
        units = tuple(_unit(value) for value in values)
        tiered = any(hasattr(value, "base") for value in values)
        return PricedModel(model.id, units[0], units[1], units[2], model.context_window, tiered)

    def _look_up(self, target: ModelTarget, reference: str) -> ModelPrice | None:
        model = self._find(target, reference)
        return model.get_prices(self._now()) if model else None

    def _find(self, target: ModelTarget, reference: str) -> ModelInfo | None:
        table = _table()
        named, bare = split_label(reference)
        entry = _provider(table, named or target.provider, "" if named else target.base_url)
        if entry is None:
            return None
        for name in _spellings(bare):
            model = entry.find_model(name, all_providers=table.providers)
            if model is not None:
                return model
        return None


def _spellings(name: str) -> Iterable[str]:
    """The name as given, then without the `models/` that Google's endpoint puts before it."""
    yield name
    if name.startswith("models/"):
        yield name.removeprefix("models/")


def _provider(table: DataSnapshot, name: str, base_url: str) -> Provider | None:
    """The table's provider by our name, else by address: inline models and the user's own providers."""
    known = TABLE_PROVIDERS.get(name)
    try:
        if known:
            return table.find_provider(None, known, None)
        return table.find_provider(None, None, base_url) if base_url else None
    except LookupError:
        return None


def _table() -> DataSnapshot:
    # Imported here: it takes 0.2 s, and a turn on a free model never needs it.
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _prices(price: ModelPrice) -> Prices | None:
    input_usd, output_usd = _unit(price.input_mtok), _unit(price.output_mtok)
    if input_usd is None or output_usd is None:
        return None
    return Prices(input_usd, output_usd, _unit(price.cache_read_mtok))


def _unit(value: object) -> Decimal | None:
    """USD per token of the table's USD per million, which is a Decimal, a ladder of tiers or nothing."""
    base = getattr(value, "base", value)
    return per_token(base) if isinstance(base, Decimal) else None
