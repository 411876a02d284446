"""The last answer in a message: `%%` stands for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat

LAST_ANSWER: Final = "%%"

_MARKS: Final = re.compile(r"(?<![\w%])%%(?:%%)?(?![\w%])")
"""On its own only: `100%%`, `%%time` and `%%i` are something else."""


def answer_quoted(chat: Chat, text: str) -> str:
    """The message with the last answer for every `%%`, and `%%` for every `%%%%`, each as a word of its own.

    Says that it was put in. Raises UsageError when there is no answer yet.
    """
    if LAST_ANSWER not in text or not any(found[0] == LAST_ANSWER for found in _MARKS.finditer(text)):
        return _MARKS.sub(LAST_ANSWER, text)
    answer = last_answer(chat)
    chat.screen.note(f"{LAST_ANSWER} is the last answer: {len(answer):,} characters")
    return _MARKS.sub(lambda found: answer if found[0] == LAST_ANSWER else LAST_ANSWER, text)


def last_answer(chat: Chat) -> str:
    """The last answer's text, also of one that was cut off. Raises UsageError when there is none."""
    answer = chat.last.text.strip() if chat.last else ""
    if not answer:
        raise UsageError(
            f"there is no answer yet that {LAST_ANSWER} could stand for",
            fix=f"ask something first, or write {LAST_ANSWER}{LAST_ANSWER} for {LAST_ANSWER} itself",
        )
    return answer
