"""Asking a small model for a summary of a conversation. Pure."""

from __future__ import annotations

import re
from typing import Final

from aivax_cli.core.types import Conversation, Message

SUMMARY_NAME: Final = "summary of the conversation so far"
"""Under this name the summary goes along with the first message that follows it."""

_INSTRUCTION: Final = (
    "You summarise a conversation so that it can go on without its text. Keep everything that later "
    "messages may refer to: what the user wants and has decided, names, numbers, places, code and exact "
    "wording where it matters, what was answered, and what is still open. Leave out courtesies and "
    "repetitions. Write in the language of the conversation, as short as that allows. "
    "Output the summary alone."
)
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def summary_request(conversation: Conversation, earlier: str = "") -> Conversation:
    """The messages that ask a model to summarise a conversation, which began with an `earlier` summary."""
    said = "\n\n".join(f"{message.role}: {_whole(message)}" for message in conversation)
    before = f"Summary of what came before:\n{earlier}\n\n" if earlier else ""
    return (
        Message("system", _INSTRUCTION),
        Message("user", f"{before}Conversation:\n{said}\n\nSummary:"),
    )


def read_summary(answer: str) -> str:
    """The summary in a model's answer, without its reasoning; may be empty."""
    return _THINKING.sub("", answer).strip()


def _whole(message: Message) -> str:
    documents = [f"[document {each.name}]\n{each.text}" for each in message.attached]
    images = ["[image]"] * len(message.images)
    return "\n".join((*documents, *images, message.content.strip()))
