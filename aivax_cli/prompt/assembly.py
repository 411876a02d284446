"""Putting the messages of a model call together, in the order a model reads them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from aivax_cli.core.types import Attached, Conversation, Message, Passage
from aivax_cli.gateway.definition import Gateway
from aivax_cli.prompt.passages import passages_text


def assemble(
    gateway: Gateway,
    instructions: str | None,
    conversation: Conversation,
    passages: Sequence[Passage] | None = None,
) -> Conversation:
    """The messages to send: instructions, examples, conversation, passages by the question, prefill.

    The passages stand directly before the last user message, or inside it above the question
    (`knowledge.attach: prepend`). That a search found none is said there, too; None: nothing was searched.
    `prompt_template` holds for every user message of the conversation; documents attached to a message stand
    above what it says.
    """
    messages = [Message("system", instructions)] if instructions else []
    for example in gateway.examples:
        messages += [Message("user", example.user), Message("assistant", example.assistant)]
    spoken = [_templated(gateway.prompt_template, message) for message in conversation]
    if passages is not None:
        prepend = gateway.knowledge is not None and gateway.knowledge.attach == "prepend"
        spoken = _with_passages(spoken, passages_text(passages), prepend=prepend)
    messages += map(_with_documents, spoken)
    if gateway.prefill:
        messages.append(Message("assistant", gateway.prefill))
    return tuple(messages)


def _templated(template: str | None, message: Message) -> Message:
    if template is None or message.role != "user":
        return message
    return replace(message, content=template.replace("{prompt}", message.content))


def _with_documents(message: Message) -> Message:
    if not message.attached:
        return message
    documents = map(_document, message.attached)
    return replace(message, content="\n\n".join((*documents, message.content)), attached=())


def _document(attached: Attached) -> str:
    name = " ".join(attached.name.split()).replace('"', "'")
    return f'<document name="{name}">\n{attached.text}\n</document>'


def _with_passages(spoken: list[Message], block: str, *, prepend: bool) -> list[Message]:
    last = max((i for i, message in enumerate(spoken) if message.role == "user"), default=len(spoken))
    if prepend and last < len(spoken):
        question = replace(spoken[last], content=f"{block}\n\nQuestion: {spoken[last].content}")
        return [*spoken[:last], question, *spoken[last + 1 :]]
    return [*spoken[:last], Message("user", block), *spoken[last:]]
