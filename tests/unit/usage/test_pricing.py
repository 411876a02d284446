from decimal import Decimal

import pytest

from aivax_cli.core.types import (
    EMBED_INDEX_SKU,
    EMBED_QUERY_SKU,
    Prices,
    Purpose,
    TokenUsage,
    total_usd,
)
from aivax_cli.usage.pricing import FREE, charges, embedding_charge, per_mtok, per_token, split_label

GPT_5_MINI = Prices(Decimal("0.00000025"), Decimal("0.000002"), Decimal("0.000000025"))


def test_the_hosted_services_published_records_come_out_exactly():
    lines = charges(Purpose.ANSWER, TokenUsage(84, 1792, 16), GPT_5_MINI, "@openai/gpt-5-mini")

    description = "Inference for AI model '@openai/gpt-5-mini'"
    assert [
        (line.sku, line.amount_usd, line.unit_price_usd, line.quantity, line.description) for line in lines
    ] == [
        ("inference.chat_completions.in", Decimal("0.000021"), Decimal("2.5e-7"), 84, description),
        ("inference.chat_completions.out", Decimal("0.000032"), Decimal("0.000002"), 16, description),
        ("inference.chat_completions.in.cached", Decimal("0.0000448"), Decimal("2.5e-8"), 1792, description),
    ]
    assert total_usd(lines) == Decimal("0.0000978")


def test_a_rewrite_has_skus_of_its_own():
    lines = charges(Purpose.REWRITE, TokenUsage(50, 0, 7), GPT_5_MINI, "@openai/gpt-5-mini")

    assert [(line.sku, line.description) for line in lines] == [
        ("inference.resolving.query_rewrite.in", "Inference for query rewriting"),
        ("inference.resolving.query_rewrite.out", "Inference for query rewriting"),
    ]


def test_an_answer_of_no_tokens_keeps_its_input_line_alone():
    lines = charges(Purpose.ANSWER, TokenUsage(10, 0, 0), GPT_5_MINI, "@openai/gpt-5-mini")

    assert [line.sku for line in lines] == ["inference.chat_completions.in"]


def test_cached_input_without_a_price_of_its_own_costs_what_input_costs():
    prices = Prices(Decimal("0.000003"), Decimal("0.000015"))

    cached = charges(Purpose.ANSWER, TokenUsage(0, 100, 0), prices, "@x/y")[0]

    assert (cached.sku, cached.amount_usd) == ("inference.chat_completions.in.cached", Decimal("0.0003"))


def test_a_cached_price_of_zero_is_a_price():
    prices = Prices(Decimal("0.000003"), Decimal("0.000015"), Decimal(0))

    assert charges(Purpose.ANSWER, TokenUsage(0, 100, 0), prices, "@x/y")[0].amount_usd == 0


def test_without_prices_tokens_are_counted_and_unpriced():
    lines = charges(Purpose.ANSWER, TokenUsage(10, 5, 2), None, "@x/y")

    assert [(line.quantity, line.amount_usd) for line in lines] == [(10, None), (2, None), (5, None)]
    assert total_usd(lines) is None


def test_an_estimate_says_so_in_its_field_and_its_description():
    lines = charges(Purpose.ANSWER, TokenUsage(10, 0, 2, estimated=True), GPT_5_MINI, "@x/y")

    assert {(line.estimated, line.description) for line in lines} == {
        (True, "Inference for AI model '@x/y' (estimated)")
    }


@pytest.mark.parametrize(
    ("sku", "description"),
    [
        (EMBED_QUERY_SKU, "Embedding of search terms with 'multilingual-e5-small'"),
        (EMBED_INDEX_SKU, "Embedding of documents with 'multilingual-e5-small'"),
    ],
)
def test_embedding_has_a_sku_for_queries_and_one_for_documents(sku, description):
    line = embedding_charge(sku, 12, "multilingual-e5-small", FREE)

    assert (line.sku, line.quantity, line.amount_usd, line.description) == (sku, 12, 0, description)


def test_prices_change_units_without_rounding():
    odd = Decimal("0.1234567890123456789012345678")

    assert per_token(Decimal("0.25")) == Decimal("2.5e-7")
    assert per_mtok(per_token(odd)) == odd


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("@openai/gpt-5-mini", ("openai", "gpt-5-mini")),
        ("@openrouter/meta-llama/llama-3", ("openrouter", "meta-llama/llama-3")),
        ("@cf", ("", "@cf")),
        ("gpt-5-mini", ("", "gpt-5-mini")),
    ],
)
def test_a_label_splits_into_provider_and_name(label, parts):
    assert split_label(label) == parts
