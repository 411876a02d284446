"""An endpoint's usage report as disjoint token buckets, and its billing records as charges. Pure.

Providers disagree on whether `prompt_tokens` includes what they had cached. OpenAI, DeepSeek and
llama.cpp count it inside; AIVAX and Anthropic beside it. This module is the one place that settles it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, DivisionByZero, InvalidOperation

from aivax_cli.core.types import Charge, TokenUsage

_INPUT_FIELDS = ("prompt_tokens", "input_tokens")
_OUTPUT_FIELDS = ("completion_tokens", "output_tokens")
_CACHED_FIELDS = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
_LARGEST_EXPONENT = 30
_LARGEST_COUNT = 10**15
"""More than anybody ever counted; beyond it a report is nonsense, and so many do not fit the ledger."""


def token_usage(report: Mapping[str, object]) -> TokenUsage | None:
    """The buckets of a `usage` object, or None when it holds no token counts at all, or impossible ones.

    Input or output that cannot be, such as 1.5 tokens, makes the whole report one that nobody can go by. Of a
    cached part that cannot be, all of the input counts as uncached, and the buckets are `estimated`.

    Knows OpenAI's fields, DeepSeek's `prompt_cache_hit_tokens`, Moonshot's `cached_tokens` and Anthropic's
    `input_tokens` with `cache_read_input_tokens` and `cache_creation_input_tokens`.
    """
    output = _count(report, *_OUTPUT_FIELDS)
    given = _count(report, *_INPUT_FIELDS)
    if (given is None and output is None) or _impossible(report, *_INPUT_FIELDS, *_OUTPUT_FIELDS):
        return None
    output = output or 0
    if _count(report, "prompt_tokens") is None and _count(report, "input_tokens") is not None:
        uncached, cached = _anthropic_input(report)
    else:
        uncached, cached = _openai_input(report, output)
    output += _thinking(report, uncached, cached, output)
    return TokenUsage(uncached, cached, output, estimated=_cached_impossible(report))


def merged(earlier: Mapping[str, object], later: Mapping[str, object]) -> Mapping[str, object]:
    """The report that holds after `later` came: usage is cumulative, so the last one counts, alone.

    Only a later report without any input (Anthropic's `message_delta`) keeps the earlier one's fields.
    """
    known = {name: value for name, value in later.items() if value is not None}
    if any(name in known for name in _INPUT_FIELDS):
        return known
    return {**earlier, **known}


def billed_charges(records: object) -> tuple[Charge, ...]:
    """`generation_context.generated_usage` as charges; a record without SKU or quantity is left out.

    A record has `sku`, `amount` (USD), `unit_price` (USD per unit), `quantity` and `description`. Numbers
    must have been parsed as Decimal, so that a price stays what the endpoint wrote.
    """
    if not isinstance(records, Sequence) or isinstance(records, str | bytes):
        return ()
    charges = (_charge(record) for record in records if isinstance(record, dict))
    return tuple(charge for charge in charges if charge is not None)


def _charge(record: Mapping[str, object]) -> Charge | None:
    sku, description = record.get("sku"), record.get("description")
    quantity = _whole(record.get("quantity"))
    if not isinstance(sku, str) or not sku or quantity is None:
        return None
    price = _decimal(record.get("unit_price"))
    amount = _decimal(record.get("amount"))
    if price is None and amount is not None:
        try:
            price = amount / quantity
        except (DivisionByZero, InvalidOperation):
            price = None
    return Charge(sku, quantity, price, description if isinstance(description, str) else "")


def _anthropic_input(report: Mapping[str, object]) -> tuple[int, int]:
    """`input_tokens` counts neither cache reads nor cache writes; writes are input that is not cached yet.

    OpenAI's Responses API uses the same name with cached tokens inside, told by `input_tokens_details`.
    """
    tokens = _count(report, "input_tokens") or 0
    details = report.get("input_tokens_details")
    inside = _count(details, "cached_tokens") if isinstance(details, dict) else None
    if inside is not None:
        return (tokens - inside, inside) if inside <= tokens else (tokens, inside)
    written = _count(report, "cache_creation_input_tokens") or 0
    return tokens + written, _count(report, "cache_read_input_tokens") or 0


def _openai_input(report: Mapping[str, object], output: int) -> tuple[int, int]:
    """Uncached and cached input; where the cached part is counted is read off the total.

    prompt + completion = total: inside. prompt + cached + completion = total: beside, as in the seeds'
    84 + 1,792 + 16 = 1,892. Without a total that fits, inside, unless there is more cached than prompt.
    """
    prompt = _count(report, "prompt_tokens") or 0
    cached = _cached(report)
    beside = cached > 0 and _count(report, "total_tokens") == prompt + cached + output
    if beside or cached > prompt:
        return prompt, cached
    return prompt - cached, cached


def _cached(report: Mapping[str, object]) -> int:
    details = report.get("prompt_tokens_details")
    if isinstance(details, dict):
        tokens = _count(details, "cached_tokens")
        if tokens is not None:
            return tokens
    return _count(report, *_CACHED_FIELDS) or 0


def _cached_impossible(report: Mapping[str, object]) -> bool:
    """Whether a count of cached tokens is said that cannot be one."""
    details = [report.get("prompt_tokens_details"), report.get("input_tokens_details")]
    nested = any(_impossible(each, "cached_tokens") for each in details if isinstance(each, dict))
    return nested or _impossible(report, *_CACHED_FIELDS, "cache_creation_input_tokens")


def _thinking(report: Mapping[str, object], uncached: int, cached: int, output: int) -> int:
    """Reasoning tokens that `completion_tokens` leaves out and the total holds; they are billed as output.

    xAI says how many (`reasoning_tokens`), Google's OpenAI-compatible endpoint only makes the total larger.
    """
    prompt, total = _count(report, "prompt_tokens"), _count(report, "total_tokens")
    if prompt is None or total is None:
        return 0
    return max(0, total - uncached - cached - output)


def _count(report: Mapping[str, object], *names: str) -> int | None:
    """The first of the named fields that holds a token count."""
    for name in names:
        value = _whole(report.get(name))
        if value is not None:
            return value
    return None


def _impossible(report: Mapping[str, object], *names: str) -> bool:
    """Whether one of the named fields is there and holds no token count."""
    return any(report.get(name) is not None and _whole(report[name]) is None for name in names)


def _whole(value: object) -> int | None:
    """A whole number from 0 to _LARGEST_COUNT; JSON's `84.0` counts as 84."""
    if type(value) is int:  # as nearly every count is written
        return value if 0 <= value <= _LARGEST_COUNT else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = _decimal(value)
    if number is None or not 0 <= number <= _LARGEST_COUNT or number != number.to_integral_value():
        return None
    return int(number)


def _decimal(value: object) -> Decimal | None:
    """A finite number of sane size, exactly; numbers in quotes are taken too."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= _LARGEST_EXPONENT else None
