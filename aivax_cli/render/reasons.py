"""Why a turn answered as it did: what was searched, what was found, what exactly was sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.core.types import Purpose
from aivax_cli.render.closing import Sources
from aivax_cli.render.safe_text import safe_line, safe_text
from aivax_cli.render.spoken import Spoken

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from aivax_cli.core.events import TurnResult
    from aivax_cli.core.types import Conversation, Message, Passage, ToolRun

_LONGEST_OUTCOME = 300
"""Characters shown of what a tool gave back; the whole stands in what was sent."""


def reasons(
    strategy: str,
    search_terms: Sequence[str],
    passages: Sequence[Passage],
    sent: Conversation | None,
    *,
    root: Path | None = None,
    result: TurnResult | None = None,
) -> Iterator[RenderableType]:
    """What to print. `sent` is the messages of the last model call, None when they are not known.

    Who answered, and why that model, is told of a turn that has a `result`.
    """
    from rich.text import Text

    if result is not None:
        yield _heading("Model", result.target or result.model)
        yield from (Spoken(f"  {line}", overflow="fold") for line in _choice(result))
        yield ""
    yield _heading("Search", strategy)
    if search_terms:
        yield Text("\n".join(f"  {safe_line(term)}" for term in search_terms))
    else:
        yield Spoken("  nothing was searched")
    yield ""
    yield _heading("Passages", str(len(passages)))
    if passages:
        yield Sources(passages, root=root)
    if result is not None and result.tools:
        count = len(result.tools)
        yield ""
        yield _heading("Tools", f"{count} call{'' if count == 1 else 's'}")
        yield from map(_run, result.tools)
    if sent is None:
        return
    yield ""
    yield _heading("Sent", f"{len(sent)} message{'' if len(sent) == 1 else 's'}")
    for message in sent:
        yield Text(_label(message), style="cyan")
        yield Text(safe_text(message.content).rstrip("\n"))
        for image in message.images:
            yield Text(safe_line(image.label), style="dim")


def _choice(result: TurnResult) -> Iterator[str]:
    """How the model that answered was come by."""
    if result.model and result.model != result.target:
        yield f"answered as {safe_line(result.model)}"
    if result.routed:
        why = f": {safe_line(result.routing_problem)}" if result.routing_problem else ""
        yield f"routed as {result.routed}{why}"
    for fallback in result.fallbacks:
        doing = " to rewrite" if fallback.purpose is Purpose.REWRITE else ""
        failed = f"{safe_line(fallback.model)} failed{doing}: {safe_line(fallback.reason)}"
        yield f"{failed}; {safe_line(fallback.next_model)} was tried"


def _heading(title: str, detail: str) -> Spoken:
    return Spoken(title, "bold", (f"  {safe_line(detail)}" if detail else "", "dim"))


def _run(run: ToolRun) -> Text:
    from rich.text import Text

    outcome = safe_line(run.outcome.text)
    shown = outcome if len(outcome) <= _LONGEST_OUTCOME else outcome[: _LONGEST_OUTCOME - 1] + "…"
    failed = "failed: " if run.outcome.failed else ""
    called = f"  {safe_line(run.call.name)} {safe_line(run.call.arguments)}"
    return Text.assemble(called, (f"  {run.duration_s:.1f} s\n", "dim"), f"    {failed}{shown}")


def _label(message: Message) -> str:
    calls = ", ".join(f"{call.name}({safe_line(call.arguments)})" for call in message.tool_calls)
    return f"[{message.role}]{f' calls {calls}' if calls else ''}"
