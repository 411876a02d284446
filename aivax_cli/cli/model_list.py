"""What `aivax models` lists: providers, local models, and the models that the workspace's gateways use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from aivax_cli.core.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from aivax_cli.assets.table import Asset
    from aivax_cli.core.types import ModelTarget, Prices
    from aivax_cli.gateway.providers import Provider
    from aivax_cli.gateway.workspace import Workspace

Key = Literal["present", "missing", "from a command", "not needed"]


class ProviderRow(Struct, frozen=True):
    """A provider and whether its key is there; `variable` is the environment variable that should hold it."""

    name: str
    base_url: str
    variable: str | None
    key: Key

    def record(self) -> dict[str, object]:
        return {
            "name": self.name,
            "base_url": self.base_url or None,
            "key_variable": self.variable,
            "key": self.key,
        }


class ModelRow(Struct, frozen=True):
    """A model with its prices in USD per million tokens; a price of None is not known.

    `gateways` are those that use it; `tiered` says that long prompts cost more than this.
    """

    label: str
    input_usd: Decimal | None
    cached_input_usd: Decimal | None
    output_usd: Decimal | None
    context_tokens: int | None = None
    tiered: bool = False
    gateways: tuple[str, ...] = ()
    key: Key | None = None
    variable: str | None = None

    def record(self) -> dict[str, object]:
        prices = {
            "input_usd_per_mtok": self.input_usd,
            "cached_input_usd_per_mtok": self.cached_input_usd,
            "output_usd_per_mtok": self.output_usd,
        }
        if self.gateways:
            more: dict[str, object] = {
                "gateways": list(self.gateways),
                "key": self.key,
                "key_variable": self.variable,
            }
        else:
            more = {"context_tokens": self.context_tokens, "tiered": self.tiered}
        return {"model": self.label, **prices, **more}


class LocalRow(Struct, frozen=True):
    """A model for `@local/…`. `size_bytes` is None when nobody knows it before the download."""

    name: str
    downloaded: bool
    size_bytes: int | None
    license: str
    place: Path | None

    def record(self) -> dict[str, object]:
        return {
            "model": f"@local/{self.name}",
            "downloaded": self.downloaded,
            "size_bytes": self.size_bytes,
            "license": self.license or None,
            "file": self.place,
        }


class Overview(Struct, frozen=True):
    """What is shown when no provider is asked for."""

    providers: tuple[ProviderRow, ...]
    local: tuple[LocalRow, ...]
    used: tuple[ModelRow, ...]

    def record(self) -> dict[str, object]:
        return {
            "providers": [row.record() for row in self.providers],
            "local": [row.record() for row in self.local],
            "used": [row.record() for row in self.used],
        }


def overview(directory: Path, environ: Mapping[str, str]) -> Overview:
    """The providers, the local models and the models of the workspace, if `directory` is in one.

    Raises DefinitionError when `aivax.yaml` is wrong.
    """
    workspace, providers = _workspace(directory)
    rows = tuple(_provider_row(provider, environ) for provider in providers.values())
    used = _used(workspace, environ) if workspace else ()
    return Overview(rows, local_models(environ), used)


def provider_models(
    directory: Path, environ: Mapping[str, str], which: str
) -> tuple[ProviderRow, tuple[ModelRow, ...]]:
    """A provider and its priced models: `openai`, `@openai`, or `@openai/gpt-5` for names that begin so.

    Raises NotFoundError for a provider that is neither built in nor in `aivax.yaml`.
    """
    from aivax_cli.usage.price_book import GenaiPriceBook

    name, slash, beginning = which.removeprefix("@").partition("/")
    if slash and not which.startswith("@"):
        raise UsageError(f"'{which}' is no provider", fix=f"write @{which}")
    _, providers = _workspace(directory)
    provider = providers.get(name)
    if provider is None:
        raise unknown_name("provider", name, providers, otherwise="name it in aivax.yaml")
    rows = tuple(
        ModelRow(
            label=f"@{name}/{model.name}",
            input_usd=_per_mtok(model.input_usd),
            cached_input_usd=_per_mtok(model.cached_input_usd),
            output_usd=_per_mtok(model.output_usd),
            context_tokens=model.context_window,
            tiered=model.tiered,
        )
        for model in GenaiPriceBook().models(name)
        if model.name.startswith(beginning.lower())
    )
    return _provider_row(provider, environ), rows


def local_models(environ: Mapping[str, str]) -> tuple[LocalRow, ...]:
    """The models for `@local/…`: built in, pulled by the user, and those that can be pulled by name."""
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.model.known import KNOWN_MODELS

    store = AssetStore.from_environment(environ)
    here: dict[str, LocalRow] = {}
    for asset in weights(store.assets()):
        file = store.location(asset.name)
        downloaded = file.exists()
        size_bytes = file.stat().st_size if downloaded else asset.size_bytes
        licence = asset.licence or _known_licence(asset)
        here[asset.name] = LocalRow(asset.name, downloaded, size_bytes, licence, file if downloaded else None)
    further = (
        LocalRow(asset.name, downloaded=False, size_bytes=asset.size_bytes, license=asset.licence, place=None)
        for asset in KNOWN_MODELS.values()
        if asset.name not in here
    )
    return (*here.values(), *further)


def weights(assets: Iterable[Asset]) -> tuple[Asset, ...]:
    """The assets that are language models, of all that the store has."""
    return tuple(asset for asset in assets if asset.file_name.endswith(".gguf"))


def _known_licence(asset: Asset) -> str:
    from aivax_cli.model.known import KNOWN_MODELS

    known = KNOWN_MODELS.get(asset.name)
    return known.licence if known and known.sha256 == asset.sha256 else ""


def _workspace(directory: Path) -> tuple[Workspace | None, Mapping[str, Provider]]:
    from aivax_cli.core.errors import DefinitionError
    from aivax_cli.gateway.providers import PROVIDERS
    from aivax_cli.gateway.workspace import find_workspace

    try:
        workspace = find_workspace(directory)
    except DefinitionError:
        raise
    except UsageError:
        return None, PROVIDERS
    return workspace, workspace.providers()


def _provider_row(provider: Provider, environ: Mapping[str, str]) -> ProviderRow:
    has_command = provider.api_key_command is not None
    key = _key(provider.api_key_env, environ, has_command=has_command)
    return ProviderRow(provider.name, provider.base_url, provider.api_key_env, key)


def _key(variable: str | None, environ: Mapping[str, str], *, has_command: bool) -> Key:
    if has_command:
        return "from a command"
    if variable is None:
        return "not needed"
    return "present" if environ.get(variable, "").strip() else "missing"


def _used(workspace: Workspace, environ: Mapping[str, str]) -> tuple[ModelRow, ...]:
    """The models that sound gateways call. A price of the gateway's own makes a row of its own."""
    from aivax_cli.cli.workspace_models import models_of
    from aivax_cli.usage.price_book import GenaiPriceBook

    book = GenaiPriceBook()
    return tuple(
        _used_row(target, gateways, book.prices(target), environ) for target, gateways in models_of(workspace)
    )


def _used_row(
    target: ModelTarget, gateways: tuple[str, ...], prices: Prices | None, environ: Mapping[str, str]
) -> ModelRow:
    return ModelRow(
        label=target.label,
        input_usd=_per_mtok(prices.input_usd if prices else None),
        cached_input_usd=_per_mtok(prices.cached_input_usd if prices else None),
        output_usd=_per_mtok(prices.output_usd if prices else None),
        gateways=gateways,
        key=_key(target.api_key_env, environ, has_command=target.api_key_command is not None),
        variable=target.api_key_env,
    )


def _per_mtok(usd: Decimal | None) -> Decimal | None:
    from aivax_cli.usage.pricing import per_mtok

    return None if usd is None else per_mtok(usd)
