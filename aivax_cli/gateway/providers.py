"""Who serves models: the built-in table, what `aivax.yaml` changes in it, and `@provider/name` resolved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import UsageError, unknown_name
from aivax_cli.core.types import ModelTarget, Prices
from aivax_cli.gateway.basics import InlineModel, Pricing
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.fields import on_this_machine
from aivax_cli.gateway.settings import ProviderSettings

LOCAL = "local"


class Provider(Struct, frozen=True):
    """An OpenAI-compatible service. Holds no key: only where the key is to be had.

    `base_url` is the part before `/chat/completions`; "" for the embedded engine, which chooses its port
    when it starts. `free` says that nobody bills for it.
    """

    name: str
    base_url: str
    api_key_env: str | None = None
    api_key_command: tuple[str, ...] | None = None
    free: bool = False
    prices: Mapping[str, Prices] = field(default_factory=dict)
    """What its models cost, by name, where `aivax.yaml` says so."""


PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        Provider("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
        Provider("google", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
        Provider("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        Provider("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        Provider("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        Provider("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
        Provider("ollama", "http://localhost:11434/v1", free=True),
        Provider("lmstudio", "http://localhost:1234/v1", free=True),
        Provider("aivax", "https://inference.aivax.net/api/v1", "AIVAX_API_KEY"),
        Provider(LOCAL, "", free=True),
    )
}


def merge_providers(
    settings: Mapping[str, ProviderSettings], prices: Mapping[str, Pricing] | None = None
) -> dict[str, Provider]:
    """The built-in providers with those of `aivax.yaml` added or changed, and with its prices of models.

    A new `base_url` drops the built-in key, so that a key is sent nowhere but where a file says so.
    Raises UsageError for a new provider without a `base_url`.
    """
    merged = dict(PROVIDERS)
    for name, given in settings.items():
        if problem := provider_problem(name, given):
            raise UsageError(f"providers.{name}: {problem}")
        merged[name] = _changed(PROVIDERS.get(name), name, given)
    for reference, pricing in (prices or {}).items():
        if problem := price_problem(reference, merged):
            raise UsageError(f"prices: {problem}")
        name, model = split_model_ref(reference)
        known = {**merged[name].prices, model: prices_per_token(pricing)}
        merged[name] = replace(merged[name], prices=known)
    return merged


def price_problem(reference: str, providers: Collection[str]) -> str | None:
    """What is wrong with the name of a model that `aivax.yaml` prices, None when nothing is."""
    try:
        name, _ = split_model_ref(reference)
    except UsageError as error:
        return str(error)
    return None if name in providers else str(unknown_name("provider", name, providers, otherwise=""))


def provider_problem(name: str, given: ProviderSettings) -> str | None:
    """What is wrong with a provider's settings beyond their fields, None when nothing is."""
    if name == LOCAL:
        return "is the embedded engine, which has nothing to set; choose another name"
    if given.base_url is None and name not in PROVIDERS:
        return f"base_url is required: '{name}' is not built in"
    return None


def _changed(built_in: Provider | None, name: str, given: ProviderSettings) -> Provider:
    base_url = given.base_url or (built_in.base_url if built_in else "")
    provider = Provider(name, base_url, free=on_this_machine(base_url))
    if built_in is not None and given.base_url is None:
        provider = built_in
    if given.api_key_env is not None or given.api_key_command is not None:
        command = tuple(given.api_key_command) if given.api_key_command else None
        provider = replace(provider, api_key_env=given.api_key_env, api_key_command=command)
    return provider if given.free is None else replace(provider, free=given.free)


def split_model_ref(reference: str) -> tuple[str, str]:
    """`@provider/name` → its two parts; the name may hold slashes (`@openrouter/meta/llama`).

    Raises UsageError, with the way to write it, for anything else.
    """
    provider, slash, name = reference.removeprefix("@").partition("/")
    if not reference.startswith("@"):
        like = f"@{reference}" if slash else f"@openai/{reference}"
        raise UsageError(f"'{reference}' names no provider", fix=f'write "@provider/name", like "{like}"')
    if not provider or not name.strip():
        raise UsageError(f"'{reference}' is incomplete", fix='write "@provider/name"')
    return provider, name


def resolve_model(
    reference: str | InlineModel, providers: Mapping[str, Provider], pricing: Pricing | None = None
) -> ModelTarget:
    """Where a gateway's model is and what it costs.

    `pricing` is the gateway's own, in USD per million tokens; it makes a model of this machine billed.
    Raises UsageError for a reference that is no `@provider/name`, NotFoundError for an unknown provider.
    """
    prices = None if pricing is None else prices_per_token(pricing)
    if isinstance(reference, InlineModel):
        if prices is None and reference.pricing is not None:
            prices = prices_per_token(reference.pricing)
        return ModelTarget(
            label=reference.name,
            provider="",
            name=reference.name,
            base_url=reference.base_url.rstrip("/"),
            api_key_env=reference.api_key_env,
            api_key_command=tuple(reference.api_key_command) if reference.api_key_command else None,
            free=prices is None and on_this_machine(reference.base_url),
            prices=prices,
        )
    name, model = split_model_ref(reference)
    provider = providers.get(name)
    if provider is None:
        raise unknown_name("provider", name, providers, otherwise="name it in aivax.yaml")
    prices = prices or provider.prices.get(model)
    return ModelTarget(
        label=f"@{name}/{model}",
        provider=name,
        name=model,
        base_url=provider.base_url.rstrip("/"),
        api_key_env=provider.api_key_env,
        api_key_command=provider.api_key_command,
        free=prices is None and provider.free,
        prices=prices,
    )


def resolve_models(gateway: Gateway, providers: Mapping[str, Provider]) -> tuple[ModelTarget, ...]:
    """A gateway's models in the order in which they are tried; its own pricing holds for the first.

    Raises as `resolve_model` does.
    """
    first, *others = gateway.models
    return (
        resolve_model(first, providers, gateway.pricing),
        *(resolve_model(other, providers) for other in others),
    )


def prices_per_token(pricing: Pricing) -> Prices:
    """USD per million tokens → USD per token, exactly."""

    def each(usd_per_mtok: Decimal) -> Decimal:
        return usd_per_mtok.scaleb(-6)

    return Prices(
        input_usd=each(pricing.input),
        output_usd=each(pricing.output),
        cached_input_usd=None if pricing.cached_input is None else each(pricing.cached_input),
    )
