"""What every strategy is."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from aivax_cli.core.types import Conversation, ToolSpec

Window = int


class Strategy(Struct, frozen=True):
    """How a conversation becomes search terms.

    `term` is what is searched without any model; for strategies that rewrite it is what remains when
    rewriting fails. `rewrite` gives the messages to ask a rewrite model, whose answer is read by
    `terms.read_terms`. `tool` is offered to the answering model instead of searching before it.
    """

    name: str
    term: Callable[[Conversation, Window], str]
    rewrite: Callable[[Conversation, Window], Conversation] | None = None
    tool: ToolSpec | None = None
