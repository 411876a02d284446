"""Tokens × prices = charges. Pure.

The SKUs, their order and their descriptions are those of the hosted service's usage records:
`.in`, `.out`, `.in.cached`, each with a unit price in USD per token.
"""

from __future__ import annotations

from decimal import Decimal

from aivax_cli.core.types import (
    EMBED_INDEX_SKU,
    EMBED_QUERY_SKU,
    RERANK_SKU,
    Charge,
    Prices,
    Purpose,
    TokenUsage,
)
from aivax_cli.core.types import FREE as FREE

ESTIMATED_MARK = " (estimated)"

_EMBEDDING_DESCRIPTIONS = {
    EMBED_QUERY_SKU: "Embedding of search terms with '{}'",
    EMBED_INDEX_SKU: "Embedding of documents with '{}'",
}


def per_token(usd_per_mtok: Decimal) -> Decimal:
    """USD per million tokens → USD per token, exactly (no division, so no rounding)."""
    return usd_per_mtok.scaleb(-6)


def per_mtok(usd_per_token: Decimal) -> Decimal:
    """USD per token → USD per million tokens, exactly."""
    return usd_per_token.scaleb(6)


def reading_prices(usd_per_mtok: Decimal) -> Prices:
    """The prices of a model that only reads, such as an embedder, from USD per million tokens."""
    return Prices(per_token(usd_per_mtok), Decimal(0))


def split_label(label: str) -> tuple[str, str]:
    """`@openai/gpt-5-mini` → (`openai`, `gpt-5-mini`); a name without a provider → ("", name)."""
    if label.startswith("@") and "/" in label:
        provider, _, name = label[1:].partition("/")
        return provider, name
    return "", label


def charges(
    purpose: Purpose, usage: TokenUsage, prices: Prices | None, model_label: str
) -> tuple[Charge, ...]:
    """The lines of one model call; a line of no tokens is left out.

    `prices` of None gives unpriced lines: the tokens are counted, their cost is not known. Cached
    input without a price of its own costs what input costs. An estimate says so in every description,
    because the records that leave the program have no other field for it.
    """
    unit_input = prices.input_usd if prices else None
    unit_output = prices.output_usd if prices else None
    unit_cached = prices.cached_input_usd if prices else None
    if unit_cached is None:
        unit_cached = unit_input
    mark = ESTIMATED_MARK if usage.estimated else ""
    description = _description(purpose, model_label) + mark
    lines = (
        (f"{purpose}.in", usage.input_tokens, unit_input),
        (f"{purpose}.out", usage.output_tokens, unit_output),
        (f"{purpose}.in.cached", usage.cached_input_tokens, unit_cached),
    )
    return tuple(
        Charge(sku, quantity, unit, description, usage.estimated)
        for sku, quantity, unit in lines
        if quantity > 0
    )


def embedding_charge(sku: str, tokens: int, embedder: str, prices: Prices | None) -> Charge:
    """The line of embedding `tokens` tokens: `sku` is EMBED_QUERY_SKU or EMBED_INDEX_SKU."""
    description = _EMBEDDING_DESCRIPTIONS.get(sku, "Embedding with '{}'").format(embedder)
    return Charge(sku, tokens, prices.input_usd if prices else None, description)


def reranking_charge(tokens: int, prices: Prices | None, model_label: str, *, estimated: bool) -> Charge:
    """The line of a rerank endpoint that read `tokens` tokens."""
    mark = ESTIMATED_MARK if estimated else ""
    unit = prices.input_usd if prices else None
    return Charge(RERANK_SKU, tokens, unit, _description(Purpose.RERANK, model_label) + mark, estimated)


def _description(purpose: Purpose, model_label: str) -> str:
    if purpose is Purpose.REWRITE:
        return "Inference for query rewriting"
    if purpose is Purpose.RERANK:
        return f"Reranking of passages with '{model_label}'"
    return f"Inference for AI model '{model_label}'"
