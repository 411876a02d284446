"""The line that a person reads for an event of a turn. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aivax_cli.core.events import (
    AnswerRejected,
    ContextCut,
    Event,
    FellBack,
    Retrying,
    Rewritten,
    Routed,
    ToolCalled,
    Warned,
)
from aivax_cli.core.types import ToolRun
from aivax_cli.render.safe_text import safe_line

_LONGEST = 600
"""Characters shown of what a model wrote; the terms of a search take 500."""
_SEARCH = "search_knowledge"


def note_of(event: Event, question: str | None = None) -> str | None:
    """What is worth a line beside the answer. `question` tells apart the search terms worth showing."""
    match event:
        case Routed(level, model, problem="") if model:
            return f"routed as {level} to {safe_line(model)}"
        case Rewritten(strategy, terms) if terms.fallback is None and strategy != "Plain":
            if terms.terms and terms.terms != (question,):
                return f"{strategy} searches {_quoted(terms.terms)}"
        case ToolCalled(run) if not run.outcome.failed:
            return _called(run)
    return None


def warning_of(event: Event) -> str | None:
    """What a person should know has gone wrong, or has been left out."""
    match event:
        case Routed(level, model, problem) if problem:
            return f"routed as {level} to {safe_line(model)}: {safe_line(problem)}"
        case Rewritten(_, terms) if terms.fallback is not None:
            return f"searched with the question itself: {safe_line(terms.fallback)}"
        case Retrying():
            reason = safe_line(event.reason)
            return f"{event.model}: {reason}; attempt {event.attempt + 1} in {event.wait_s:.1f} s"
        case FellBack(model, reason, next_model):
            return f"{safe_line(model)} failed: {safe_line(reason)}; trying {safe_line(next_model)}"
        case ContextCut():
            return _cut(event)
        case AnswerRejected(attempt, of, problems) if attempt < of:  # of the last one the error tells
            listed = _shortened(safe_line("; ".join(problems)))
            return f"answer {attempt} of {of} does not hold to the schema: {listed}; asking again"
        case ToolCalled(run) if run.outcome.failed and not run.outcome.refused:
            return _failed(run)
        case Warned(message):
            return safe_line(message)
    return None


def _cut(event: ContextCut) -> str:
    parts = []
    if event.messages:
        limit = f" (context limit {event.max_tokens:,} tokens)" if event.max_tokens else ""
        parts.append(f"{event.messages} older message{'s' if event.messages > 1 else ''}{limit}")
    if event.tool_results:
        parts.append(f"the text of {event.tool_results} tool result{'s' if event.tool_results > 1 else ''}")
    return f"left out: {' and '.join(parts)}"


def _failed(run: ToolRun) -> str:
    name, text = safe_line(run.call.name), _shortened(safe_line(run.outcome.text))
    return text if text.startswith(f"{name} ") else f"{name} failed: {text}"


def _called(run: ToolRun) -> str:
    if run.call.name == _SEARCH:
        return f"searched {_search_terms(run.call.arguments)}"
    arguments = _shortened(safe_line(run.call.arguments))
    return f"called {safe_line(run.call.name)} {arguments} ({run.duration_s:.1f} s)"


def _search_terms(arguments: str) -> str:
    try:
        terms = json.loads(arguments)["search_terms"]
        return _shortened(_quoted([str(term) for term in terms]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return _shortened(safe_line(arguments))


def _quoted(terms: Sequence[str]) -> str:
    return ", ".join(f"“{safe_line(term)}”" for term in terms)


def _shortened(line: str) -> str:
    """What a model asks for may be as long as it likes; a line may not."""
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
