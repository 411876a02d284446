"""Reading a conversation: who said what, newest last. Pure."""

from __future__ import annotations

from aivax_cli.core.types import Conversation, Message


def user_messages(conversation: Conversation, count: int) -> tuple[Message, ...]:
    """The last `count` user messages, oldest first."""
    return tuple(message for message in conversation if message.role == "user")[-count:]


def spoken_messages(conversation: Conversation, count: int) -> tuple[Message, ...]:
    """The last `count` messages that the user or the assistant said in words, oldest first."""
    spoken = (m for m in conversation if m.role in ("user", "assistant") and m.content.strip())
    return tuple(spoken)[-count:]


def last_user_text(conversation: Conversation) -> str:
    """The text of the last user message, or "" where there is none."""
    last = user_messages(conversation, 1)
    return last[0].content if last else ""
