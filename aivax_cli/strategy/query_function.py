"""QueryFunction: the answering model gets a search tool and decides itself when to search."""

from __future__ import annotations

import json

from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import ToolSpec
from aivax_cli.strategy.base import Strategy
from aivax_cli.strategy.plain import last_message
from aivax_cli.strategy.terms import MAX_TERMS, MAX_TERMS_CHARACTERS

SEARCH_TOOL = ToolSpec(
    name="search_knowledge",
    description=(
        "Searches the knowledge base and returns numbered passages with their sources. "
        "Call it before answering anything that the knowledge base may hold."
    ),
    schema={
        "type": "object",
        "properties": {
            "search_terms": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "maxItems": MAX_TERMS,
                "description": (
                    "Self-contained questions or phrases, each searched by itself; "
                    f"at most {MAX_TERMS}, {MAX_TERMS_CHARACTERS} characters in all."
                ),
            }
        },
        "required": ["search_terms"],
        "additionalProperties": False,
    },
)

QUERY_FUNCTION = Strategy("QueryFunction", term=last_message, tool=SEARCH_TOOL)


def search_arguments(arguments: str) -> tuple[str, ...]:
    """The search terms in a tool call's JSON arguments.

    Raises UsageError, worded for the model, when they are not what the tool's schema asks for.
    """
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise UsageError("the arguments are not valid JSON") from error
    terms = value.get("search_terms") if isinstance(value, dict) else None
    if isinstance(terms, str):
        terms = [terms]
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise UsageError('the arguments must be {"search_terms": ["…", …]}')
    wanted = tuple(dict.fromkeys(term.strip() for term in terms if term.strip()))
    if not wanted:
        raise UsageError("search_terms is empty")
    if len(wanted) > MAX_TERMS:
        raise UsageError(f"at most {MAX_TERMS} search_terms are allowed")
    if sum(map(len, wanted)) > MAX_TERMS_CHARACTERS:
        raise UsageError(f"search_terms may hold at most {MAX_TERMS_CHARACTERS} characters in all")
    return wanted
