"""`aivax chat`: a conversation with a gateway."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from aivax_cli.cli.command import Session
from aivax_cli.cli.completing import conversation_ids, gateway_names
from aivax_cli.cli.tool_approval import APPROVE_TOOLS_HELP
from aivax_cli.core.errors import AivaxError
from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from pathlib import Path

    from aivax_cli.cli.chat_completion import Offer, Offers
    from aivax_cli.cli.chat_keeping import Earlier
    from aivax_cli.cli.chat_next import Next
    from aivax_cli.cli.chat_opening import Opening, Wanted
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.render.screen import Screen


def chat(
    session: Session,
    gateway: Annotated[
        str | None,
        typer.Argument(
            help="With one gateway its name may be left out.",
            show_default=False,
            autocompletion=gateway_names,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the gateway for this chat."),
    ] = None,
    go_on: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on with the latest conversation.")
    ] = False,
    conversation: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Go on with this one; `aivax log` lists them, a unique beginning will do.",
            autocompletion=conversation_ids,
        ),
    ] = None,
    approve_tools: Annotated[bool, typer.Option("--approve-tools", help=APPROVE_TOOLS_HELP)] = False,
) -> None:
    """Talk with a gateway. The history is kept across turns; /help lists what else can be typed.

    From a pipe every line is a message, answered in turn. Conversations are kept in `.aivax/`: `aivax log`
    lists and searches them, `aivax log off` ends that.
    """
    import asyncio

    from aivax_cli.cli.chat_opening import Wanted
    from aivax_cli.cli.orderly_end import until_told_to_end

    wanted = Wanted(session, gateway, tuple(settings or ()), go_on, conversation, approve_tools)
    person = sys.stdin.isatty() and session.screen.interactive
    if person and not session.screen.plain:
        asyncio.run(until_told_to_end(_with_person(wanted)))
    elif not asyncio.run(_by_lines(wanted, person=person)) and not person:
        raise typer.Exit(1)


async def _with_person(wanted: Wanted) -> None:
    """Talks with whom sits at the terminal: the prompt is there at once, what answers is loaded meanwhile.

    Raises what opening the gateway raises.
    """
    from aivax_cli.cli.chat_opening import Opening
    from aivax_cli.conversations.switch import keeping

    screen, name, remembered = wanted.session.screen, wanted.name(), keeping(wanted.state_dir)
    loaded = wanted.load() if name is None else None
    title = loaded.gateway.definition.name if loaded else str(name)
    screen.note(f"{title} · /help lists commands, Ctrl-D leaves")
    if not remembered:
        from aivax_cli.cli.chat_keeping import NOT_KEPT

        screen.note(NOT_KEPT)
    if loaded and loaded.before:
        _tell_earlier(screen, loaded.before)
    history = wanted.state_dir / "chat_history" if remembered else None
    async with Opening(wanted, loaded) as opening:
        await _talk(screen, opening, title, history)
        opening.check()


async def _talk(screen: Screen, opening: Opening, title: str, history: Path | None) -> None:
    from contextlib import aclosing

    from aivax_cli.cli.chat_input import Surroundings, prompted_messages
    from aivax_cli.cli.chat_next import Draft, Leave
    from aivax_cli.cli.interrupts import Interrupts

    interrupts = Interrupts()
    draft: Draft | None = None
    completing: Offers | None = None

    def offers(text: str) -> Iterable[Offer]:
        nonlocal completing
        if completing is None and opening.chat is not None:
            from aivax_cli.cli.chat_completion import Offers

            completing = Offers(opening.chat)
        return completing(text) if completing else ()

    around = Surroundings(
        offers=offers,
        line=lambda columns: _prompt_line(opening.chat, columns) or title[:columns],
        context_use=lambda: _context_use(opening.chat),
        draft=lambda: draft,
        began=opening.prompt_is,
        entered=interrupts.forget,
    )
    typed = prompted_messages(screen, around, history_file=history)
    # Ctrl-C pressed once too often, between an answer and the prompt, must not end the chat.
    with interrupts.noted():
        async with aclosing(typed) as messages:
            async for text in messages:
                screen.aside.print()
                chat = opening.chat or await _opened(screen, opening)
                if chat is None:
                    continue
                _, following = await _react(chat, text, person=True)
                if isinstance(following, Leave):
                    return
                draft = following if isinstance(following, Draft) else None
                screen.aside.print()


async def _opened(screen: Screen, opening: Opening) -> Chat | None:
    """The chat, once it is open; None when Ctrl-C ended the wait for it."""
    from aivax_cli.cli.chat_turn import InterruptedWork, interruptible
    from aivax_cli.render.status import Status

    status = Status(screen.aside, lambda: screen.held)
    status.say("opening the gateway…")
    try:
        return await interruptible(opening.ready())
    except InterruptedWork:
        screen.note("interrupted")
        return None
    finally:
        status.clear()


async def _by_lines(wanted: Wanted, *, person: bool) -> bool:
    """Answers line by line, whoever writes them; returns whether everything went well."""
    from contextlib import aclosing

    from aivax_cli.cli.chat_input import piped_messages, written
    from aivax_cli.cli.chat_next import Draft, Leave
    from aivax_cli.cli.chat_opening import open_chat

    content, loaded = True, wanted.load()
    async with open_chat(wanted, loaded) as chat:
        if person:
            chat.screen.note(f"{loaded.gateway.definition.name} · /help lists commands, Ctrl-D leaves")
        chat.keeper.on()
        if person and loaded.before:
            _tell_earlier(chat.screen, loaded.before)
        async with aclosing(piped_messages(chat.screen)) as messages:
            async for text in messages:
                fine, following = await _react(chat, text, person=person)
                if isinstance(following, Draft) and (message := await written(chat.screen, following)):
                    fine, following = await _react(chat, message, person=person)
                content = content and fine
                if isinstance(following, Leave):
                    break
    return content


def _tell_earlier(screen: Screen, before: Earlier) -> None:
    """Which conversation goes on, and how it ended."""
    from aivax_cli.cli.chat_next import short

    kept, count = before.kept, len(before.turns)
    title = f" · {safe_line(kept.title)}" if kept.title else ""
    screen.note(f"conversation {kept.id}{title} · {count} turn{'' if count == 1 else 's'}")
    if before.turns:
        last = before.turns[-1]
        ended = " · cut off, /continue goes on with it" if last.cut_off else ""
        screen.note(f"last: {safe_line(short(last.question))}{ended}")


def _prompt_line(chat: Chat | None, columns: int) -> str:
    if chat is None:
        return ""
    from aivax_cli.cli.chat_prompt_line import prompt_line, standing

    return prompt_line(standing(chat), columns, chat.screen.words)


async def _react(chat: Chat, text: str, *, person: bool) -> tuple[bool, Next]:
    """Carries out a command or asks a question. Returns whether it went well, and what the chat does next."""
    from aivax_cli.cli.chat_next import AskAgain
    from aivax_cli.cli.chat_turn import ask

    try:
        asked = await _meant(chat, text, person=person)
    except AivaxError as error:
        chat.screen.error(error)
        return False, None
    if not isinstance(asked, AskAgain):
        return True, asked
    turn = await ask(chat, asked)
    if chat.screen.json_output and turn.result is not None:
        from aivax_cli.render.answer_json import turn_object

        chat.screen.data(turn_object(turn.result))
    return turn.result is not None and turn.result.incomplete is None, None


async def _meant(chat: Chat, text: str, *, person: bool) -> Next:
    """What comes of a line: what a command leads to, or the question that it is. Raises AivaxError."""
    from aivax_cli.cli.chat_commands import run_command, split_command
    from aivax_cli.cli.chat_next import AskAgain

    if command := split_command(text):
        return await run_command(chat, *command)
    question = text.removeprefix("/") if text.startswith("//") else text
    # A script's lines are data: no file goes out because its path stands in one.
    if person:
        from aivax_cli.cli.chat_files import with_images

        question = await with_images(chat, question)
        if not question:
            return None
    if "%%" in text:
        from aivax_cli.cli.chat_quoting import answer_quoted

        question = answer_quoted(chat, question)
    return AskAgain(question)


def _context_use(chat: Chat | None) -> int | None:
    """How full the context of the latest answer was, in per cent; None where that is not known."""
    result = chat.last.result if chat and chat.last else None
    if chat is None or result is None or result.context_tokens is None:
        return None
    most = chat.runtime.context_tokens(result.target or result.model)
    return round(100 * result.context_tokens / most) if most else None
