"""Plain: the last user message is the search term. No model, no cost."""

from __future__ import annotations

from aivax_cli.core.conversation import last_user_text
from aivax_cli.core.types import Conversation
from aivax_cli.strategy.base import Strategy


def last_message(conversation: Conversation, window: int) -> str:
    """The last user message; the window does not matter."""
    del window
    return last_user_text(conversation)


PLAIN = Strategy("Plain", term=last_message)
