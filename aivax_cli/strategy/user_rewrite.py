"""UserRewrite: a small model turns the last N user messages into search queries."""

from __future__ import annotations

from aivax_cli.core.conversation import user_messages
from aivax_cli.core.types import Conversation
from aivax_cli.strategy.base import Strategy
from aivax_cli.strategy.plain import last_message
from aivax_cli.strategy.terms import rewrite_request


def rewrite_user_side(conversation: Conversation, window: int) -> Conversation:
    """The request over the last `window` user messages."""
    return rewrite_request(user_messages(conversation, window))


USER_REWRITE = Strategy("UserRewrite", term=last_message, rewrite=rewrite_user_side)
