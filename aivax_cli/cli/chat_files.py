"""Files in a chat: attached by commands, or by an image's path that stands in a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aivax_cli.cli.attachments import Attachment, described, is_image_file, read_attachment
from aivax_cli.cli.chat_next import AskAgain, Next
from aivax_cli.cli.chat_paths import split_images, split_question, written_places
from aivax_cli.cli.chat_quoting import LAST_ANSWER, answer_quoted, last_answer
from aivax_cli.core.apart import apart
from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import Attached

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat

_ANSWER_FILE: Final = "answer.md"


async def attach(chat: Chat, argument: str) -> Next:
    """`/attach FILE`: the file goes with the next message; `clear` takes all away, nothing lists them."""
    if argument == "clear":
        chat.screen.note(f"{len(chat.attached)} taken away")
        chat.attached = ()
        return None
    await _add(chat, written_places(argument, chat.directory))
    for attachment in chat.attached:
        chat.screen.note(described(attachment))
    chat.screen.note(
        "goes with the next message; /attach clear takes it away" if chat.attached else "nothing is attached"
    )
    return None


async def file(chat: Chat, argument: str) -> Next:
    """`/file PATH … -- QUESTION`: attaches and asks at once; without a question only attaches."""
    names, question = split_question(argument)
    if not names:
        raise UsageError("there is no file to attach", fix="write /file PATH -- and the question about it")
    if not question:
        return await attach(chat, names)
    text = answer_quoted(chat, question)
    await _add(chat, written_places(names, chat.directory))
    for attachment in chat.attached:
        chat.screen.note(described(attachment))
    return AskAgain(text)


async def with_images(chat: Chat, text: str) -> str:
    """The message without the paths of images in it: these are attached. Nothing remains of paths alone.

    Raises UsageError for an image that cannot be sent.
    """
    question, images = split_images(text, is_image_file)
    if not images:
        return text
    before = len(chat.attached)
    await _add(chat, [str(image) for image in images])
    for attachment in chat.attached[before:]:
        chat.screen.note(described(attachment))
    undo = "/undo takes it back" if question else "goes with the next message; /attach clear takes it away"
    chat.screen.note(undo)
    return question


async def _add(chat: Chat, places: Sequence[str]) -> None:
    """Attaches all files, or none when one of them cannot be read."""
    from aivax_cli.cli.chat_turn import InterruptedWork, interruptible

    try:
        found = [await interruptible(_read(chat, place)) for place in places]
    except InterruptedWork as stopped:
        raise UsageError("interrupted; nothing was attached") from stopped
    for attachment in found:
        for note in attachment.notes:
            chat.screen.warn(note)
    chat.attached = (*chat.attached, *found)


async def _read(chat: Chat, place: str) -> Attachment:
    if place == LAST_ANSWER:
        return Attachment("the last answer", Attached(_ANSWER_FILE, last_answer(chat)))
    # A named pipe that nobody writes to, once interrupted, must not keep the chat from its end.
    return await apart(lambda: read_attachment(place, chat.directory), "attachment")
