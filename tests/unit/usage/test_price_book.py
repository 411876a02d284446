import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aivax_cli.core.types import ModelTarget, Prices
from aivax_cli.usage.price_book import GenaiPriceBook


def target(label="@openai/gpt-5-mini", *, base_url="http://127.0.0.1:9/v1", **more):
    provider, _, name = label.removeprefix("@").partition("/")
    return ModelTarget(label=label, provider=provider, name=name, base_url=base_url, **more)


def usd_per_mtok(prices):
    return tuple(
        None if unit is None else unit * 1_000_000
        for unit in (prices.input_usd, prices.cached_input_usd, prices.output_usd)
    )


def test_the_gateways_own_prices_win():
    own = Prices(Decimal(1), Decimal(2))

    assert GenaiPriceBook().prices(target(prices=own, free=True), "@google/gemini-2.5-flash") == own


def test_what_runs_on_this_machine_is_free_under_any_name():
    prices = GenaiPriceBook().prices(target(free=True), "@openai/gpt-5-mini")

    assert usd_per_mtok(prices) == (0, 0, 0)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("@openai/gpt-5-mini", ("0.25", "0.025", "2")),
        ("@anthropic/claude-sonnet-4-5-20250929", ("3", "0.3", "15")),
        ("@google/gemini-2.5-flash", ("0.3", "0.03", "2.5")),
        ("@google/models/gemini-2.5-flash", ("0.3", "0.03", "2.5")),
        ("@groq/llama-3.3-70b-versatile", ("0.59", None, "0.79")),
    ],
)
def test_the_table_knows_well_known_models(label, expected):
    prices = GenaiPriceBook().prices(target(label))

    assert usd_per_mtok(prices) == tuple(None if price is None else Decimal(price) for price in expected)


def test_a_routed_answer_costs_what_the_answering_model_costs():
    prices = GenaiPriceBook().prices(target("@aivax/my-gateway:50c3"), "@google/gemini-2.5-flash")

    assert usd_per_mtok(prices)[0] == Decimal("0.3")


def test_a_dated_name_of_the_same_model_is_found():
    assert GenaiPriceBook().prices(target("@openai/gpt-5-mini"), "gpt-5-mini-2025-08-07") is not None


def test_an_unknown_answering_model_falls_back_to_the_one_asked_for():
    prices = GenaiPriceBook().prices(target("@openai/gpt-5-mini"), "who-knows")

    assert usd_per_mtok(prices)[0] == Decimal("0.25")


@pytest.mark.parametrize("label", ["@openai/gpt-999", "@nobody/gpt-5-mini", "@not-openai/gpt-5-mini"])
def test_what_the_table_does_not_know_is_unpriced(label):
    assert GenaiPriceBook().prices(target(label)) is None


def test_a_model_with_half_a_price_is_unpriced():
    assert GenaiPriceBook().prices(target("@openai/text-embedding-3-small")) is None


def test_an_inline_endpoint_is_known_by_its_address():
    inline = ModelTarget("gpt-5-mini", "", "gpt-5-mini", "https://api.openai.com/v1")

    assert GenaiPriceBook().prices(inline) is not None


def test_an_inline_endpoint_elsewhere_is_not_priced_by_its_models_name():
    inline = ModelTarget("gpt-5-mini", "", "gpt-5-mini", "https://llm.example.com/v1")

    assert GenaiPriceBook().prices(inline) is None


def test_tiered_prices_count_with_their_base():
    prices = GenaiPriceBook().prices(target("@google/gemini-2.5-pro"))

    assert usd_per_mtok(prices) == (Decimal("1.25"), Decimal("0.125"), Decimal("10"))


def test_prices_of_the_hour_are_those_of_the_moment():
    def at(hour):
        book = GenaiPriceBook(now=lambda: datetime(2025, 6, 1, hour, 0, tzinfo=UTC))
        return usd_per_mtok(book.prices(target("@deepseek/deepseek-chat")))[0]

    assert at(3) != at(20)


def test_a_providers_models_are_listed_by_name_with_their_prices():
    rows = GenaiPriceBook().models("openai")

    assert [row.name for row in rows] == sorted(row.name for row in rows)
    mini = next(row for row in rows if row.name == "gpt-5-mini")
    assert (mini.input_usd, mini.output_usd) == (Decimal("2.5e-7"), Decimal("0.000002"))


def test_a_provider_without_a_table_has_no_models():
    assert GenaiPriceBook().models("ollama") == ()


def test_looking_up_prices_opens_no_socket():
    program = """
import sys
def refuse(event, args):
    if event.startswith("socket."):
        sys.exit(f"opened a socket: {event}")
sys.addaudithook(refuse)
from aivax_cli.core.types import ModelTarget
from aivax_cli.usage.price_book import GenaiPriceBook
target = ModelTarget("@openai/gpt-5-mini", "openai", "gpt-5-mini", "https://api.openai.com/v1")
assert GenaiPriceBook().prices(target, "gpt-999") is not None
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_model_that_only_reads_is_priced_without_a_price_of_output():
    embedder = target("@openai/text-embedding-3-small")

    assert GenaiPriceBook().prices(embedder) is None
    assert GenaiPriceBook().input_prices(embedder) == Prices(Decimal("0.00000002"), Decimal(0))


def test_a_model_that_only_reads_and_that_nobody_knows_is_unpriced_or_free_on_this_machine():
    assert GenaiPriceBook().input_prices(target("@far/unheard-of")) is None
    assert usd_per_mtok(GenaiPriceBook().input_prices(target("@ollama/bge-m3", free=True))) == (0, 0, 0)
