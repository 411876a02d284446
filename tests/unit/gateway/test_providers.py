"""`@provider/name` → where the model is and what it costs."""

from decimal import Decimal

import pytest

from aivax_cli.core.errors import NotFoundError, UsageError
from aivax_cli.core.types import Prices
from aivax_cli.gateway.basics import InlineModel, Pricing
from aivax_cli.gateway.providers import PROVIDERS, merge_providers, resolve_model
from aivax_cli.gateway.settings import ProviderSettings


def test_a_reference_becomes_its_providers_endpoint() -> None:
    target = resolve_model("@openai/gpt-5-mini", PROVIDERS)
    assert (target.label, target.provider, target.name) == ("@openai/gpt-5-mini", "openai", "gpt-5-mini")
    assert (target.base_url, target.api_key_env) == ("https://api.openai.com/v1", "OPENAI_API_KEY")
    assert not target.free
    assert target.prices is None


def test_a_models_name_may_hold_slashes_and_colons() -> None:
    target = resolve_model("@openrouter/meta/llama-3:free", PROVIDERS)
    assert (target.provider, target.name) == ("openrouter", "meta/llama-3:free")


@pytest.mark.parametrize("name", ["local", "ollama", "lmstudio"])
def test_models_of_this_machine_are_free_and_need_no_key(name: str) -> None:
    target = resolve_model(f"@{name}/x", PROVIDERS)
    assert target.free
    assert target.api_key_env is None


def test_every_provider_but_the_embedded_engine_has_an_address() -> None:
    without = [name for name, provider in PROVIDERS.items() if not provider.base_url.startswith("http")]
    assert without == ["local"]


@pytest.mark.parametrize(
    "reference", ["gpt-5-mini", "openai/gpt-5-mini", "@openai", "@openai/", "@/x", "@", "@openai/ "]
)
def test_anything_but_provider_and_name_is_refused_with_the_way_to_write_it(reference: str) -> None:
    with pytest.raises(UsageError, match='write "@provider/name"'):
        resolve_model(reference, PROVIDERS)


def test_an_unknown_provider_suggests_the_nearest() -> None:
    with pytest.raises(NotFoundError, match=r"no provider named 'antropic'; did you mean 'anthropic'\?"):
        resolve_model("@antropic/claude", PROVIDERS)


def test_prices_per_million_become_exact_prices_per_token() -> None:
    pricing = Pricing(input=0.25, cached_input=0.025, output=2.0)
    assert resolve_model("@openai/gpt-5-mini", PROVIDERS, pricing).prices == Prices(
        input_usd=Decimal("0.00000025"),
        output_usd=Decimal("0.000002"),
        cached_input_usd=Decimal("0.000000025"),
    )


def test_a_price_makes_a_model_of_this_machine_billed() -> None:
    target = resolve_model("@ollama/x", PROVIDERS, Pricing(input=1, output=1))
    assert not target.free


@pytest.mark.parametrize(
    ("base_url", "free"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.8.8.8/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://llm.localhost/v1", True),
        ("http://192.168.0.7:8000/v1", False),
        ("https://localhost.example.com/v1", False),
        ("https://127.0.0.1.example.com/v1", False),
    ],
)
def test_an_inline_model_is_free_exactly_on_this_machine(base_url: str, free: bool) -> None:
    assert resolve_model(InlineModel(base_url=base_url, name="x"), PROVIDERS).free is free


def test_an_inline_model_keeps_its_key_and_loses_the_last_slash() -> None:
    model = InlineModel(base_url="https://x.example/v1/", name="m", api_key_command=["pass", "show", "x"])
    target = resolve_model(model, PROVIDERS)
    assert (target.label, target.provider, target.base_url) == ("m", "", "https://x.example/v1")
    assert target.api_key_command == ("pass", "show", "x")


def test_a_new_provider_is_added() -> None:
    settings = {"acme": ProviderSettings(base_url="https://acme.example/v1", api_key_env="ACME_KEY")}
    target = resolve_model("@acme/large", merge_providers(settings))
    assert (target.base_url, target.api_key_env, target.free) == (
        "https://acme.example/v1",
        "ACME_KEY",
        False,
    )


def test_a_new_provider_on_this_machine_is_free_unless_it_says_otherwise() -> None:
    here = "http://localhost:9/v1"
    assert merge_providers({"a": ProviderSettings(base_url=here)})["a"].free
    assert not merge_providers({"a": ProviderSettings(base_url=here, free=False)})["a"].free


def test_a_built_in_providers_key_can_come_from_a_command_instead() -> None:
    openai = merge_providers({"openai": ProviderSettings(api_key_command=["pass", "openai"])})["openai"]
    assert openai.base_url == "https://api.openai.com/v1"
    assert (openai.api_key_command, openai.api_key_env) == (("pass", "openai"), None)


def test_a_built_in_key_is_not_sent_to_another_address() -> None:
    moved = merge_providers({"openai": ProviderSettings(base_url="https://proxy.example/v1")})["openai"]
    assert (moved.base_url, moved.api_key_env) == ("https://proxy.example/v1", None)


def test_a_new_provider_needs_an_address() -> None:
    with pytest.raises(UsageError, match=r"providers\.acme: base_url is required: 'acme' is not built in"):
        merge_providers({"acme": ProviderSettings(api_key_env="X")})


def test_the_embedded_engine_cannot_be_changed() -> None:
    with pytest.raises(UsageError, match=r"providers\.local: is the embedded engine"):
        merge_providers({"local": ProviderSettings(base_url="https://x.example/v1")})
