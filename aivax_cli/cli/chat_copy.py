"""`/copy`: the last answer, or a code block of it, into the clipboard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aivax_cli.cli.chat_next import Next, last_turn
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat


async def copy(chat: Chat, argument: str) -> Next:
    """Copies the last answer; with a number that code block of it, with `code` the last one."""
    from aivax_cli.render.clipboard import copied

    answer = last_turn(chat).text.strip()
    if not answer:
        raise UsageError("there is no answer to copy")
    text, what = _chosen(answer, argument) if argument else (answer, "the answer")
    copied(chat.screen, text, what, os.environ)
    return None


def code_blocks(markdown: str) -> list[str]:
    """The code blocks of a Markdown text, those in lists and quotations too, without their last line end."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(markdown)
    found = (token.content for token in tokens if token.type in ("fence", "code_block"))
    return [content.rstrip("\n") for content in found]


def _chosen(answer: str, argument: str) -> tuple[str, str]:
    """The code block that an argument names, and what to call it."""
    blocks = code_blocks(answer)
    if not blocks:
        raise UsageError("the last answer has no code block", fix="/copy alone copies the answer")
    if argument != "code" and not (argument.isdecimal() and 1 <= int(argument) <= len(blocks)):
        choices = "1" if len(blocks) == 1 else f"1 to {len(blocks)}"
        raise UsageError(
            f"there is no code block '{argument}'", fix=f"choose {choices}, or code for the last"
        )
    number = len(blocks) if argument == "code" else int(argument)
    return blocks[number - 1], f"code block {number}"
