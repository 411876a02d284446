"""The JSON of a turn."""

import json
from decimal import Decimal

from msgspec.structs import replace

from aivax_cli.core.events import TurnResult
from aivax_cli.core.types import Charge, Passage, Source, Timing, ToolCall, ToolOutcome, ToolRun
from aivax_cli.render.answer_json import turn_object

MODEL = "Inference for AI model '@openai/gpt-5-mini'"
REWRITE = Charge("inference.resolving.query_rewrite.in", 276, Decimal("7.5e-8"), "Rewriting")
CHARGES = (
    REWRITE,
    Charge("inference.chat_completions.in", 84, Decimal("2.5e-7"), MODEL),
    Charge("inference.chat_completions.out", 16, Decimal("0.000002"), MODEL),
    Charge("inference.chat_completions.in.cached", 1792, Decimal("2.5e-8"), MODEL),
)
LINES = Passage("1", "Thirty days.", Source("kb", "a.md", "Returns > Window", 3, 5), 0.46, 1)
PAGE = Passage("2", "Four euros.", Source("kb", "b.pdf", page=4), 0.31, 2)


def result(*charges: Charge, incomplete: str | None = None) -> TurnResult:
    return TurnResult(
        text="Thirty days [1].",
        model="@openai/gpt-5-mini",
        finish_reason="stop",
        strategy="FullRewrite",
        search_terms=("return window",),
        passages=(LINES, PAGE),
        charges=charges,
        sent=(),
        timing=Timing(1.0, 0.4, 0.6),
        incomplete=incomplete,
    )


def test_every_field_of_a_turn_is_there() -> None:
    assert list(turn_object(result(*CHARGES))) == [
        "text",
        "structured",
        "model",
        "model_ref",
        "routed_complexity",
        "routing_problem",
        "fallbacks",
        "finish_reason",
        "strategy",
        "search_terms",
        "sources",
        "usage",
        "generated_usage",
        "runned_functions",
        "total_usd",
        "context_tokens",
        "left_out",
        "incomplete",
    ]


def test_usage_counts_the_answer_in_disjoint_buckets() -> None:
    assert turn_object(result(*CHARGES))["usage"] == {
        "prompt_tokens": 84,
        "completion_tokens": 16,
        "total_tokens": 1892,
        "prompt_tokens_details": {"cached_tokens": 1792},
        "estimated": False,
    }


def test_records_are_written_with_exact_numbers() -> None:
    written = json.dumps(turn_object(result(*CHARGES))["generated_usage"])
    assert json.loads(written, parse_float=Decimal) == [
        {
            "sku": charge.sku,
            "amount": charge.amount_usd,
            "unit_price": charge.unit_price_usd,
            "quantity": charge.quantity,
            "description": charge.description,
        }
        for charge in CHARGES
    ]


def test_the_total_counts_every_call() -> None:
    assert turn_object(result(*CHARGES))["total_usd"] == 0.0001185


def test_the_total_is_null_while_a_part_is_unpriced() -> None:
    unpriced = Charge("inference.chat_completions.out", 1, None, MODEL)
    assert turn_object(result(*CHARGES, unpriced))["total_usd"] is None


def test_estimated_charges_are_marked() -> None:
    estimated = Charge("inference.chat_completions.in", 9, Decimal(0), MODEL, estimated=True)
    written = json.loads(json.dumps(turn_object(result(estimated))))
    assert written["usage"]["estimated"]
    assert written["generated_usage"][0]["estimated"]


def test_a_source_has_its_lines_or_its_page() -> None:
    lines, page = json.loads(json.dumps(turn_object(result())))["sources"]
    assert (lines["source"], lines["heading"], lines["lines"]) == ("a.md", "Returns > Window", [3, 5])
    assert (page["source"], page["page"], page["score"], page["text"]) == ("b.pdf", 4, 0.31, "Four euros.")
    assert "page" not in lines
    assert "lines" not in page


def test_an_incomplete_turn_says_why() -> None:
    assert turn_object(result(incomplete="the stream broke"))["incomplete"] == "the stream broke"
    assert turn_object(result())["incomplete"] is None


def test_the_calls_of_tools_are_there_with_what_came_of_them() -> None:
    sound = ToolRun(ToolCall("1", "add", '{"a": 1}'), ToolOutcome("3"), 0.12345)
    broken = ToolRun(ToolCall("2", "add", "{a"), ToolOutcome("Not run.", failed=True), 0)
    turn = replace(result(), tools=(sound, broken))
    assert turn_object(turn)["runned_functions"] == [
        {"name": "add", "arguments": {"a": 1}, "result": "3", "failed": False, "duration_s": 0.123},
        {"name": "add", "arguments": "{a", "result": "Not run.", "failed": True, "duration_s": 0},
    ]
