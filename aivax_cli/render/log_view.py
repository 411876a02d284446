"""Kept conversations on a screen, as Markdown and as JSON values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from aivax_cli.core.types import total_usd
from aivax_cli.render.answer_json import charge_object, source_object
from aivax_cli.render.money import cost
from aivax_cli.render.safe_text import safe_line, safe_text

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from aivax_cli.conversations.log import KeptMessage, Said
    from aivax_cli.conversations.records import Kept
    from aivax_cli.core.types import Passage
    from aivax_cli.render.screen import Screen

Mask = Callable[[str], str]
"""What is done to every text that somebody said, before it is shown."""

_MARKS = str.maketrans({"\x02": None, "\x03": None})
_ENDED = {
    "writing": "being written",
    "interrupted": "interrupted",
    "broken": "incomplete",
    "failed": "failed",
}


def conversation_table(kept: Sequence[Kept], mask: Mask) -> Table:
    """One row a conversation. When: the clock of this machine."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", border_style="dim")
    table.add_column("id", no_wrap=True, style="cyan")
    table.add_column("when", no_wrap=True)
    table.add_column("gateway", no_wrap=True)
    table.add_column("title", overflow="ellipsis", no_wrap=True)
    table.add_column("turns", justify="right", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    for each in kept:
        title = Text(safe_line(mask(each.title)))
        spent = cost(each.charges) if each.charges else ""
        table.add_row(each.id, local_time(each.changed_at), each.gateway, title, str(each.turns), spent)
    return table


def kept_object(kept: Kept, mask: Mask) -> dict[str, object]:
    """A conversation's row; times are UTC. `total_usd` is null while any part is unpriced."""
    total = total_usd(kept.charges)
    return {
        "id": kept.id,
        "gateway": kept.gateway,
        "title": mask(kept.title),
        "created_at": kept.created_at,
        "changed_at": kept.changed_at,
        "turns": kept.turns,
        "total_usd": None if total is None else float(total),
    }


def conversation_object(kept: Kept, messages: Sequence[KeptMessage], mask: Mask) -> dict[str, object]:
    """The whole tree: `parent` is the id of the message that one follows, `current` says whether it is part
    of the conversation as it stands now."""
    return {**kept_object(kept, mask), "messages": [_message_object(each, mask) for each in messages]}


def markdown_export(kept: Kept, messages: Sequence[KeptMessage], mask: Mask) -> str:
    """The conversation as it stands now: questions and answers under headings, each answer's sources below
    it."""
    parts = [f"# {mask(kept.title) or f'Conversation with {kept.gateway}'}"]
    parts.append(f"*{kept.gateway} · {kept.id} · {local_time(kept.created_at)}*")
    for message in messages:
        if not message.on_path:
            continue
        if message.role == "user":
            parts += ["## You", mask(message.content).strip()]
            parts += [f"*(attached: {mask(name)})*" for name in message.files]
        else:
            parts += _answer_parts(kept.gateway, message, mask)
    return "\n\n".join(parts) + "\n"


def show_conversation(screen: Screen, markdown: str) -> None:
    """Markdown on stdout: rendered for a person, as it is for a pipe."""
    if screen.interactive and not screen.out.is_dumb_terminal:
        from aivax_cli.render.markdown import RenderedMarkdown

        screen.show(RenderedMarkdown(safe_text(markdown)))
    else:
        screen.write(safe_text(markdown) if screen.out.is_terminal else markdown)


def print_said(screen: Screen, found: Sequence[Said], mask: Mask) -> None:
    """Each message that was found: where, and an excerpt in which the words stand out."""
    from rich.text import Text

    for place, each in enumerate(found):
        if place:
            screen.show("")
        who = screen.words("you") if each.role == "user" else each.gateway
        head = f"  {local_time(each.at)}  {safe_line(mask(each.title))}"
        screen.show(Text.assemble((each.conversation, "cyan"), (head, "dim")))
        screen.show(Text.assemble((f"  {who}: ", "dim"), _excerpt(each.excerpt, mask)))


def said_object(said: Said, mask: Mask) -> dict[str, object]:
    """A message that was found."""
    return {
        "conversation": said.conversation,
        "gateway": said.gateway,
        "title": mask(said.title),
        "at": said.at,
        "role": said.role,
        "excerpt": mask(said.excerpt.translate(_MARKS)),
    }


def local_time(at: str) -> str:
    """A moment of the log on this machine's clock, to the minute."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M")


def _excerpt(excerpt: str, mask: Mask) -> Text:
    from rich.text import Text

    plain = excerpt.translate(_MARKS)
    if mask(plain) != plain:
        return Text(safe_line(mask(plain)))
    shown = Text()
    for part in " ".join(excerpt.split()).split("\x02"):
        word, mark, rest = part.partition("\x03")
        shown.append(safe_text(word), style="bold" if mark else "")
        shown.append(safe_text(rest))
    return shown


def _answer_parts(gateway: str, message: KeptMessage, mask: Mask) -> list[str]:
    model = message.record.model
    parts = [f"## {gateway} ({model})" if model else f"## {gateway}"]
    if message.content.strip():
        parts.append(mask(message.content).strip())
    if ended := _ended(message):
        parts.append(f"*({mask(ended)})*")
    if message.record.passages:
        parts.append("\n".join(_source_line(passage, mask) for passage in message.record.passages))
    return parts


def _ended(message: KeptMessage) -> str:
    """Why an answer is not whole; "" for one that is."""
    if message.record.stopped:
        return " ".join(message.record.stopped.split())
    if message.record.finish_reason == "length":
        return "cut at its greatest length"
    return _ENDED.get(message.state, "")


def _source_line(passage: Passage, mask: Mask) -> str:
    heading = f", {mask(passage.source.heading)}" if passage.source.heading else ""
    return f"- [{passage.rank}] `{mask(passage.source.place)}`{heading} ({passage.score:.2f})"


def _message_object(message: KeptMessage, mask: Mask) -> dict[str, object]:
    base: dict[str, object] = {
        "id": message.id,
        "parent": message.parent,
        "current": message.on_path,
        "role": message.role,
        "at": message.at,
        "content": mask(message.content),
    }
    if message.role == "user":
        return base | {"attached": [mask(name) for name in message.files]}
    record = message.record
    total = total_usd(record.charges)
    return base | {
        "state": message.state,
        "incomplete": mask(_ended(message)) or None,
        "model": record.model,
        "finish_reason": record.finish_reason,
        "strategy": record.strategy,
        "search_terms": [mask(term) for term in record.search_terms],
        "sources": [_place_object(passage, mask) for passage in record.passages],
        "generated_usage": [charge_object(charge) for charge in record.charges],
        "total_usd": None if total is None else float(total),
        "context_tokens": record.context_tokens,
    }


def _place_object(passage: Passage, mask: Mask) -> dict[str, object]:
    """Where a passage stood; its text is not kept."""
    place = source_object(passage)
    del place["text"]
    return place | {"source": mask(passage.source.document), "heading": mask(passage.source.heading)}
