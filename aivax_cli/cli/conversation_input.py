"""What `aivax complete` is given, as a conversation: argument, stdin, or a file of messages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import Conversation, Message
from aivax_cli.model.message_reading import MessageFaultError, read_message

_NEEDED = "it must be a JSON array of messages, each with role and content, the last from the user"


def piped_text(stdin: TextIO) -> str | None:
    """What a pipe or a file on stdin holds; None for a terminal or nothing but blanks."""
    if stdin is None or stdin.closed or stdin.isatty():
        return None
    raw = stdin.buffer.read() if hasattr(stdin, "buffer") else stdin.read().encode()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"stdin is not UTF-8 text (byte {error.start})", fix="convert it, or give a file to aivax ingest"
        ) from error
    return text if text.strip() else None


def prompt_conversation(prompt: str | None, context: str | None) -> Conversation:
    """One user message: the prompt, and below it the piped context. Raises UsageError without either.

    A prompt of `-` alone is what is piped, as other programs have it.
    """
    prompt = None if prompt == "-" else prompt
    parts = [part.strip("\n") for part in (prompt, context) if part is not None and part.strip()]
    if not parts:
        raise UsageError("there is no prompt", fix='give one: aivax complete "your question"')
    return (Message("user", "\n\n".join(parts)),)


def messages_conversation(place: str, stdin: TextIO | None = None) -> Conversation:
    """The conversation in a JSON file of OpenAI messages, `-` for stdin. Raises UsageError, with the place.

    Content may be text, or a list of parts: texts, and images as `data:` URLs or addresses.
    """
    name = "stdin" if place == "-" else place
    try:
        text = piped_text(stdin or sys.stdin) if place == "-" else Path(place).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"cannot read messages from {name}: {reason}") from error
    try:
        value = json.loads(text or "")
    except RecursionError as error:
        raise UsageError(f"{name} is nested beyond all reason", fix=_NEEDED) from error
    except ValueError as error:
        raise UsageError(f"{name} is not JSON ({error})", fix=_NEEDED) from error
    if not isinstance(value, list) or not value:
        raise UsageError(f"{name} holds no messages", fix=_NEEDED)
    conversation = tuple(_message(item, f"{name}, message {n}") for n, item in enumerate(value, 1))
    if conversation[-1].role != "user":
        raise UsageError(f"the last message of {name} is from the {conversation[-1].role}", fix=_NEEDED)
    return conversation


def _message(item: object, place: str) -> Message:
    try:
        message = read_message(item, addresses=True)
    except MessageFaultError as fault:
        raise UsageError(f"{place}: {fault}", fix=_NEEDED) from fault
    if message.role == "user" and not message.content.strip() and not message.images:
        raise UsageError(f"{place}: content must not be empty", fix=_NEEDED)
    if message.images and message.role != "user":
        raise UsageError(f"{place}: only messages from the user have images")
    return message
