"""Concatenate: the last N user messages, one a line, are the search term. No model, no cost."""

from __future__ import annotations

from aivax_cli.core.conversation import user_messages
from aivax_cli.core.types import Conversation
from aivax_cli.strategy.base import Strategy


def last_messages(conversation: Conversation, window: int) -> str:
    """The last `window` user messages, oldest first, one a line."""
    return "\n".join(message.content for message in user_messages(conversation, window))


CONCATENATE = Strategy("Concatenate", term=last_messages)
