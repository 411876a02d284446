"""The commands of a chat that are about the conversation itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aivax_cli.cli.chat_next import AskAgain, Next, last_turn, short
from aivax_cli.cli.chat_paths import path_named
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat, ChatTurn


async def reset(chat: Chat, _argument: str) -> Next:
    """Begins a new conversation; the old one stays in the log."""
    count = len(chat.turns)
    chat.turns, chat.attached = (), ()
    chat.keeper.start_anew()
    chat.screen.note(f"forgot {count} turn{'' if count == 1 else 's'}")
    return None


async def undo(chat: Chat, _argument: str) -> Next:
    """Takes the last turn back; it stays in the tree."""
    turn = last_turn(chat)
    chat.turns = chat.turns[:-1]
    await chat.keeper.go_back(chat)
    chat.screen.note(f"took back: {short(turn.question)}")
    return None


async def retry(chat: Chat, _argument: str) -> Next:
    """Asks the last question again; the answer before stays in the tree."""
    turn = _taken_off(chat)
    chat.screen.note(f"asking again: {short(turn.question)}")
    return AskAgain(turn.question, turn.node)


async def continue_answer(chat: Chat, _argument: str) -> Next:
    """Has the model go on with the last answer."""
    turn = last_turn(chat)
    if not turn.cut_off:
        raise UsageError("the last answer came to its end", fix="ask for more in words")
    _taken_off(chat)
    chat.screen.note(f"going on: {short(turn.question)}")
    return AskAgain(turn.question, turn.node, turn.text if turn.text.strip() else "")


async def fork(chat: Chat, argument: str) -> Next:
    """Goes on from an earlier turn in a conversation of its own; without a number, lists the turns."""
    last_turn(chat)
    if not argument:
        for number, turn in enumerate(chat.turns, 1):
            chat.screen.note(f"{number:>3}  {short(turn.question)}")
        chat.screen.note("/fork N goes on from turn N")
        return None
    count = len(chat.turns)
    if not argument.isdecimal() or not 1 <= int(argument) <= count:
        raise UsageError(f"there is no turn '{argument}'", fix=f"choose 1 to {count}")
    number = int(argument)
    before, node = chat.keeper.conversation, chat.turns[number - 1].node
    chat.turns = chat.turns[:number]
    if node is not None:
        await chat.keeper.fork(node)
    now = chat.keeper.conversation
    where = f" in conversation {now}; what followed stays in {before}" if now != before else ""
    chat.screen.note(f"going on after turn {number}{where}")
    return None


async def title(chat: Chat, argument: str) -> Next:
    """Shows or changes what the conversation is called."""
    if chat.keeper.conversation is None:
        raise UsageError("nothing of this conversation is kept yet", fix="ask something first")
    if argument:
        wanted = " ".join(argument.split())
        await chat.keeper.rename(wanted)
        chat.screen.note(f"this conversation is called: {wanted}")
    else:
        chat.screen.note(await chat.keeper.title() or "this conversation has no title")
    return None


async def compact(chat: Chat, _argument: str) -> Next:
    """Has a small model summarise all turns but the last; the summary is sent in their place."""
    from aivax_cli.cli.chat_turn import InterruptedWork, interruptible
    from aivax_cli.conversations.records import Summary
    from aivax_cli.render.money import cost
    from aivax_cli.wiring.compacting import Compacting

    earlier, turns = chat.since_summary
    older = [message for turn in turns[:-1] for message in turn.messages]
    if not older:
        raise UsageError(
            "there is nothing to compact", fix="the last turn stays as it is, and there is none before it"
        )
    compacting = Compacting(chat.runtime)
    chat.screen.note("summarising…")
    try:
        text = await interruptible(compacting.run(tuple(older), earlier))
    except InterruptedWork:
        chat.screen.note("interrupted")
        return None
    finally:
        chat.spent = (*chat.spent, *compacting.charges)
    place = len(chat.turns) - 2
    turn = chat.turns[place]
    chat.turns = (*chat.turns[:place], replace(turn, summary=text), *chat.turns[place + 1 :])
    if turn.node is not None:
        await chat.keeper.summarise(turn.node, Summary(text, compacting.charges))
    count = len(turns) - 1
    before = sum(len(message.content) for message in older)
    chat.screen.note(
        f"{count} turn{'' if count == 1 else 's'} summarised: {before:,} characters became {len(text):,}"
        f" · {cost(compacting.charges)}"
    )
    return None


async def save(chat: Chat, argument: str) -> Next:
    """Writes the conversation to a file."""
    from aivax_cli.render.transcript import Exchange, json_transcript, markdown_transcript

    overwrite, name = argument.startswith("! "), argument.removeprefix("! ").strip()
    if not name:
        raise UsageError(
            "there is no file to save to", fix="write /save and a name, like talk.md or talk.json"
        )
    last_turn(chat)
    exchanges = [
        Exchange(turn.question, turn.text, turn.passages, turn.charges, turn.result, turn.stopped)
        for turn in chat.turns
    ]
    gateway = chat.definition.name
    file = path_named(name, chat.directory)
    if file.suffix == ".json":
        text = json.dumps(json_transcript(gateway, exchanges), ensure_ascii=False, indent=2) + "\n"
    else:
        text = markdown_transcript(gateway, chat.model, exchanges)
    _write(file, name, text, overwrite=overwrite)
    chat.screen.note(f"saved {len(exchanges)} turn{'' if len(exchanges) == 1 else 's'} to {name}")
    return None


def _taken_off(chat: Chat) -> ChatTurn:
    """The last turn, taken off the chat with what was attached to it."""
    turn = last_turn(chat)
    chat.turns = chat.turns[:-1]
    chat.attached = (*turn.attachments, *chat.attached)
    return turn


def _write(file: Path, name: str, text: str, *, overwrite: bool) -> None:
    try:
        with file.open("w" if overwrite else "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise UsageError(f"{name} exists", fix=f"/save! {name} overwrites it") from error
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror or error}") from error
