"""What a gateway may spend: the worst that a call may cost, against what its budget leaves. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import ROUND_UP, Decimal
from typing import Final, Literal

from msgspec import Struct

from aivax_cli.core.errors import BudgetError
from aivax_cli.core.types import JsonValue, ModelCall, ModelTarget, Prices, Purpose
from aivax_cli.gateway.settable import lock_covers

ASSUMED_OUTPUT_TOKENS: Final = 16_384
"""The longest answer that is reckoned with where a call sets no limit. The price table knows none; models
write between 4,096 and 128,000 tokens."""

IMAGE_TOKENS: Final = 2_500
"""What an image is reckoned with: the most that OpenAI's current models and Anthropic's count for one."""

BudgetField = Literal["usd_per_request", "usd_per_day"]

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_OUTPUT: Final = "parameters.max_completion_tokens"
_DIGITS: Final = 4


class WorstCase(Struct, frozen=True):
    """The most that a call may cost.

    `limited` says that the call itself limits its output. `settable` says that this limit is the gateway's
    `max_completion_tokens`. `answers` is how many are asked for at once.
    """

    label: str
    prices: Prices
    input_tokens: int
    output_tokens: int = 0
    limited: bool = True
    settable: bool = False
    answers: int = 1

    @property
    def usd(self) -> Decimal:
        return self.input_usd + self.output_tokens * self.answers * self.prices.output_usd

    @property
    def input_usd(self) -> Decimal:
        """Uncached: nobody knows beforehand what an endpoint has kept."""
        return self.input_tokens * max(self.prices.input_usd, self.prices.cached_input_usd or Decimal(0))

    def output_within(self, usd: Decimal) -> int:
        """The longest answer that keeps the call within this sum; 0 when none does."""
        each = self.prices.output_usd * self.answers
        return int(max(Decimal(0), usd - self.input_usd) / each) if each else 0


def worst_case(call: ModelCall, prices: Prices, input_tokens: int, window: int | None) -> WorstCase:
    """`window` is the most tokens that the model takes at once, None when nobody knows."""
    extra = call.parameters.get("extra_body")
    sent = {**call.parameters, **(extra if isinstance(extra, Mapping) else {})}
    limits = [limit for name in _LIMITS if (limit := _whole(sent.get(name))) is not None]
    assumed = min(ASSUMED_OUTPUT_TOKENS, window or ASSUMED_OUTPUT_TOKENS)
    return WorstCase(
        call.target.label,
        prices,
        input_tokens,
        max(limits, default=assumed),
        limited=bool(limits),
        settable=call.purpose in (Purpose.ANSWER, Purpose.STRUCTURED),
        answers=_whole(sent.get("n")) or 1,
    )


def beside_messages(call: ModelCall) -> str:
    """What a call sends beside its messages and is billed as input: tools, and the schema of the answer."""
    parts = [f"{tool.name}{tool.description}{json.dumps(tool.schema, default=str)}" for tool in call.tools]
    form = call.parameters.get("response_format")
    parts += [json.dumps(form, default=str)] if form else []
    wanted = call.answer_format
    # Whether the endpoint gets the schema or the words for it is found out with the call.
    parts += [wanted.request, json.dumps(wanted.schema, default=str)] if wanted else []
    return "".join(parts)


def over_budget(
    case: WorstCase, field: BudgetField, limit: Decimal, taken: Decimal, locked: Sequence[str] = ()
) -> BudgetError:
    """The refusal of a call for which the limit, of which so much is `taken`, has too little left.

    `locked` are the gateway's fields that nobody may override: no `--set` is proposed for them.
    """
    left = max(Decimal(0), limit - taken)
    out = f", up to {case.output_tokens * case.answers:,} out" if case.output_tokens else ""
    unset = "" if case.limited else ": max_completion_tokens is not set"
    when = "of this request" if field == "usd_per_request" else "of today (UTC)"
    enough = case.output_within(left)
    shorter = case.settable and 0 < enough < case.output_tokens and not _covered(_OUTPUT, locked)
    raised = f"--set budget.{field}={_plain(_rounded_up(taken + case.usd))}"
    if _covered(f"budget.{field}", locked):
        raised = f"raise budget.{field} in the gateway's file"
    return BudgetError(
        f"this call of {case.label} may cost {_usd(case.usd)} ({case.input_tokens:,} tokens in{out}{unset}),"
        f" and the budget {when}, {_usd(limit)}, has {_usd(left)} left",
        fix=f"--set {_OUTPUT}={enough}, or {raised}" if shorter else raised,
    )


def unpriced(target: ModelTarget, *, reads: bool = False) -> BudgetError:
    """The refusal of a model whose price nobody has said, with the way to give it. `reads`: it only reads."""
    pricing = "{input: …, output: 0}" if reads else "{input: …, output: …}"
    where = f"pricing: {pricing} beside its base_url"
    if target.provider:
        where = f'prices: {{"{target.label}": {pricing}}} in aivax.yaml'
    return BudgetError(
        f"nobody has said what {target.label} costs, and the gateway has a budget",
        fix=f"give its price in USD per million tokens: {where}",
    )


def _covered(field: str, locked: Sequence[str]) -> bool:
    return any(lock_covers(lock, field) for lock in locked)


def _whole(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _usd(amount: Decimal) -> str:
    """Four digits that count, rounded up: no call costs more than it says."""
    return f"${_plain(_rounded_up(amount, _DIGITS))}"


def _plain(amount: Decimal) -> str:
    whole, _, fraction = format(amount, "f").partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _rounded_up(amount: Decimal, digits: int = 2) -> Decimal:
    if amount == 0:
        return amount
    return amount.quantize(Decimal(1).scaleb(min(-2, amount.adjusted() - digits + 1)), rounding=ROUND_UP)
