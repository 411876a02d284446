"""What can be asserted of an answer, in one visible table.

A rule is a function of the assertion, the answer and the ground it stands on. Rules need no model; what
needs one (`judged`) is asked only when every rule holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from aivax_cli.checks.assertions import text, values
from aivax_cli.checks.assertions.base import GroundedRule, Rule

RULES: Mapping[str, Rule] = {
    "equals": text.equals,
    "contains": text.contains,
    "contains_any": text.contains_any,
    "starts_with": text.starts_with,
    "ends_with": text.ends_with,
    "regex": text.regex,
    "words": text.words,
    "sentences": text.sentences,
    "levenshtein": text.levenshtein,
    "refusal": text.refusal,
    "is_json": values.is_json,
    "json_path": values.json_path,
    "cites": values.cites,
    "finish_reason": values.finish_reason,
    "tool_called": values.tool_called,
    "tools_in_order": values.tools_in_order,
    "search_terms": values.search_terms,
    "routed_to": values.routed_to,
    "latency_ms": values.latency_ms,
    "usd": values.usd,
    "tokens_out": values.tokens_out,
}
"""Rules that need the answer alone."""

GROUNDED_RULES: Mapping[str, GroundedRule] = {
    "json_schema": values.json_schema,
    "similar": values.similar,
}
"""Rules that need files or the embedder."""

JUDGED = ("grounded", "rubric", "factual")
"""Kinds that a judge decides."""
