"""What a command of a chat leads to, and what commands have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat, ChatTurn
    from aivax_cli.conversations.records import Node

_NO_TURN = "nothing has been asked yet"


class Leave(Struct, frozen=True):
    """The chat ends."""


class AskAgain(Struct, frozen=True):
    """The question is asked anew: as it is, or to go on with an answer that broke off after `said`.

    `node` is where the question stands in the tree of what is kept.
    """

    question: str
    node: Node | None = None
    said: str = ""


class Draft(Struct, frozen=True):
    """The next prompt begins with this text, once the person has been at it in their editor."""

    text: str


Next = Leave | AskAgain | Draft | None


def last_turn(chat: Chat) -> ChatTurn:
    """The chat's last turn. Raises UsageError before there is one."""
    if chat.last is None:
        raise UsageError(_NO_TURN)
    return chat.last


def short(question: str) -> str:
    """A question in 60 characters."""
    line = " ".join(question.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
