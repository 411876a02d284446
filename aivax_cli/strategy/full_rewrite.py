"""FullRewrite: as UserRewrite, over the last 2·N messages of both sides."""

from __future__ import annotations

from aivax_cli.core.conversation import spoken_messages
from aivax_cli.core.types import Conversation
from aivax_cli.strategy.base import Strategy
from aivax_cli.strategy.plain import last_message
from aivax_cli.strategy.terms import rewrite_request


def rewrite_both_sides(conversation: Conversation, window: int) -> Conversation:
    """The request over the last 2·`window` messages of user and assistant."""
    return rewrite_request(spoken_messages(conversation, 2 * window))


FULL_REWRITE = Strategy("FullRewrite", term=last_message, rewrite=rewrite_both_sides)
