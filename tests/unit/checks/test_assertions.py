"""Every kind of assertion, with an answer that must pass and one that must fail."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aivax_cli.checks.asserting import by_rule
from aivax_cli.checks.assertions import GROUNDED_RULES, JUDGED, RULES
from aivax_cli.checks.assertions.base import Found, Ground
from aivax_cli.checks.judging import Opinion, Reply, judged, read_verdict
from aivax_cli.checks.results import Answer
from aivax_cli.core.errors import ModelError
from aivax_cli.core.types import Conversation, Passage, Source, ToolCall, ToolOutcome, ToolRun
from aivax_cli.gateway.check_assertion import Assertion

PASSAGES = (
    Passage("1", "Return within 30 days.", Source("kb", "docs/refund.md", "", 1, 2), 0.8, 1),
    Passage("2", "Shipping takes a week.", Source("kb", "docs/shipping.md", "", 1, 2), 0.4, 2),
)


def answer(text: str = "", **fields: Any) -> Answer:
    return Answer(question="How long?", text=text, **fields)


def called(name: str, **arguments: Any) -> ToolRun:
    return ToolRun(ToolCall("c", name, json.dumps(arguments)), ToolOutcome("done"), 0.1)


def assertion(value: dict[str, Any]) -> Assertion:
    return Assertion.model_validate(value, strict=True)


CASES: list[tuple[dict[str, Any], Answer, Answer]] = [
    ({"equals": "Yes."}, answer("Yes.\n"), answer("Yes, sir.")),
    ({"equals": "yes", "ignore_case": True}, answer("YES"), answer("YES!")),
    ({"contains": "30 days"}, answer("within 30 days"), answer("within 30 Days")),
    ({"contains": ["30", "days"]}, answer("days: 30"), answer("30 hours")),
    ({"contains": "DAYS", "ignore_case": True}, answer("30 days"), answer("30 d")),
    ({"contains_any": ["day", "week"]}, answer("a week"), answer("a month")),
    ({"starts_with": "It"}, answer(" It is"), answer("Is it")),
    ({"ends_with": "."}, answer("It is. "), answer("It is")),
    ({"regex": r"\d+ days"}, answer("30 days"), answer("thirty days")),
    ({"words": {"min": 2, "max": 3}}, answer("one two"), answer("one two three four")),
    ({"sentences": {"max": 1}}, answer("It is 3.5 km long"), answer("It is. Really.")),
    ({"is_json": True}, answer('{"a": 1}'), answer("{a}")),
    ({"is_json": False}, answer("no"), answer("[1]")),
    ({"json_schema": {"required": ["a"]}}, answer('{"a": 1}'), answer('{"b": 1}')),
    (
        {"json_path": {"path": "items[0].name", "equals": "x"}},
        answer('{"items":[{"name":"x"}]}'),
        answer("{}"),
    ),
    (
        {"json_path": {"path": "items[*].name", "matches": "^y"}},
        answer('{"items":[{"name":"yx"}]}'),
        answer("[]"),
    ),
    ({"json_path": {"path": "a.b"}}, answer('{"a":{"b":0}}'), answer('{"a":{}}')),
    ({"levenshtein": {"to": "kitten", "max": 3}}, answer("sitting"), answer("sittings")),
    (
        {"cites": ["refund.md"]},
        answer("30 days [1].", passages=PASSAGES),
        answer("30 [2].", passages=PASSAGES),
    ),
    (
        {"cites": ["docs/s*"]},
        answer("A week [1, 2].", passages=PASSAGES),
        answer("A week.", passages=PASSAGES),
    ),
    ({"refusal": True}, answer("I'm sorry, I don't know."), answer("It is Paris.")),
    ({"refusal": False}, answer("É Paris."), answer("Não sei.")),
    ({"finish_reason": "stop"}, answer(finish_reason="stop"), answer(finish_reason="length")),
    ({"tool_called": "pay"}, answer(tools=(called("pay"),)), answer(tools=(called("ask"),))),
    (
        {"tool_called": {"name": "pay", "arguments": {"usd": 3}}},
        answer(tools=(called("pay", usd=3, to="a"),)),
        answer(tools=(called("pay", usd=4),)),
    ),
    (
        {"tools_in_order": ["ask", "pay"]},
        answer(tools=(called("ask"), called("look"), called("pay"))),
        answer(tools=(called("pay"), called("ask"))),
    ),
    ({"search_terms": "Refund"}, answer(search_terms=("refund window",)), answer(search_terms=("shipping",))),
    ({"routed_to": "high"}, answer(routed="high", model="@a/b"), answer(routed="low", model="@a/b")),
    ({"routed_to": "@a/b"}, answer(routed="high", model="@a/b"), answer(model="@a/c")),
    ({"latency_ms": 100}, answer(latency_ms=99), answer(latency_ms=101)),
    ({"usd": 0.01}, answer(usd=Decimal("0.01")), answer(usd=Decimal("0.011"))),
    ({"tokens_out": 5}, answer(tokens_out=5), answer(tokens_out=6)),
    ({"similar": {"to": "near", "min": 0.5}}, answer("near"), answer("far")),
    ({"python": "custom.py:check"}, answer("good"), answer("bad")),
    ({"not": {"contains": "AI"}}, answer("I am"), answer("an AI")),
    ({"any_of": [{"contains": "a"}, {"contains": "b"}]}, answer("b"), answer("c")),
    ({"all_of": [{"contains": "a"}, {"not": {"contains": "b"}}]}, answer("a"), answer("ab")),
]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    (tmp_path / "custom.py").write_text(
        "def check(answer):\n    return answer.text == 'good' or 'is ' + answer.text\n"
    )
    (tmp_path / "leaves.py").write_text("import sys\n\n\ndef check(answer):\n    sys.exit(0)\n")
    return Ground((tmp_path,), lambda wanted, found: 1.0 if wanted == found else 0.1)


def test_every_kind_has_a_case() -> None:
    kinds = {assertion(value).kind for value, _, _ in CASES}
    groups = {"python", "negated", "any_of", "all_of"}
    assert kinds | set(JUDGED) == {*RULES, *GROUNDED_RULES, *JUDGED, *groups}


@pytest.mark.parametrize(("value", "good", "bad"), CASES, ids=lambda each: str(each)[:40])
def test_a_rule_tells_a_good_answer_from_a_bad_one(
    value: dict[str, Any], good: Answer, bad: Answer, ground: Ground
) -> None:
    assert by_rule(assertion(value), good, ground).holds is True
    found = by_rule(assertion(value), bad, ground)
    assert found.holds is False
    assert found.reason


@pytest.mark.parametrize(
    "value",
    [
        {"json_schema": "missing.json"},
        {"json_schema": {"type": "nonsense"}},
        {"python": "missing.py:check"},
        {"python": "custom.py:missing"},
        {"json_schema": {"$ref": "https://example.com/schema.json"}},
        {"json_schema": {"$ref": "#"}},
        {"python": "leaves.py:check"},
        {"not": {"python": "missing.py:check"}},
        {"any_of": [{"contains": "x"}, {"python": "missing.py:check"}]},
    ],
)
def test_what_cannot_be_decided_is_neither_a_pass_nor_a_failure(
    value: dict[str, Any], ground: Ground
) -> None:
    found = by_rule(assertion(value), answer("{}"), ground)
    assert found.holds is None
    assert found.reason


def test_an_unpriced_turn_cannot_be_within_a_cost() -> None:
    assert by_rule(assertion({"usd": 1}), answer(usd=None), Ground(())).holds is None


def test_latency_is_not_checked_in_a_replay() -> None:
    replayed = answer(latency_ms=5_000, replayed=True)
    assert by_rule(assertion({"latency_ms": 1}), replayed, Ground(())).holds is True


JUDGED_CASES: list[dict[str, Any]] = [
    {"rubric": "Is polite"},
    {"rubric": {"text": "Is polite", "min": 0.7}},
    {"factual": "Thirty days."},
    {"grounded": 0.8},
]


def ask_judge(value: dict[str, Any], *replies: str, votes: int = 1) -> Found:
    """What the judge's replies come to, one a vote."""
    left = list(replies)

    async def ask(conversation: Conversation, vote: int) -> Reply:
        del vote
        said = left.pop(0)
        if said == "<echo>":
            return Reply(conversation[0].content)
        if said == "<fault>":
            raise ModelError("the endpoint is gone")
        return Reply(said)

    found, _ = asyncio.run(judged(assertion(value), answer("30 days", passages=PASSAGES), ask, votes))
    return found


def verdict(verdict: str, score: float, reason: str = "It says so plainly.") -> str:
    return json.dumps({"reason": reason, "score": score, "verdict": verdict})


@pytest.mark.parametrize("value", JUDGED_CASES, ids=str)
def test_a_judge_decides(value: dict[str, Any]) -> None:
    assert ask_judge(value, verdict("met", 0.9)).holds is True
    assert ask_judge(value, verdict("unmet", 0.1)).holds is False
    assert ask_judge(value, verdict("met", 0.3)).holds is False


@pytest.mark.parametrize("value", JUDGED_CASES, ids=str)
def test_a_judge_that_repeats_the_question_never_passes(value: dict[str, Any]) -> None:
    assert ask_judge(value, "<echo>").holds is None


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Yes.",
        "[]",
        '{"verdict": "met"}',
        verdict("met", 2),
        verdict("yes", 1),
        verdict("met", 1, reason=""),
        verdict("met", 1, reason="data to be judged"),
        verdict("met", 1) + " So it is.",
        "<fault>",
    ],
)
def test_a_reply_that_is_no_verdict_is_an_error(reply: str) -> None:
    assert ask_judge({"rubric": "Is polite"}, reply).holds is None


def test_the_majority_of_votes_decides() -> None:
    yes, no = verdict("met", 1), verdict("unmet", 0)
    assert ask_judge({"rubric": "x"}, yes, no, yes, votes=3).holds is True
    assert ask_judge({"rubric": "x"}, no, yes, no, votes=3).holds is False
    assert ask_judge({"rubric": "x"}, yes, no, votes=2).holds is None
    assert ask_judge({"rubric": "x"}, yes, "<fault>", yes, votes=3).holds is True
    assert ask_judge({"rubric": "x"}, yes, "<fault>", "<echo>", votes=3).holds is None


def test_a_verdict_in_a_fence_is_read() -> None:
    assert read_verdict(f"```json\n{verdict('met', 1)}\n```", "") == Opinion(True, 1.0, "It says so plainly.")


def test_nothing_is_grounded_without_passages() -> None:
    async def ask(conversation: Conversation, vote: int) -> Reply:
        raise AssertionError("nobody is to be asked")

    found, replies = asyncio.run(judged(assertion({"grounded": 0.5}), answer("30 days"), ask, 1))
    assert found.holds is False
    assert replies == []
