"""`aivax chat`: a conversation with a gateway."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aivax_cli.cli.command import Session
from aivax_cli.cli.tool_approval import APPROVE_TOOLS_HELP, approver
from aivax_cli.core.errors import AivaxError, UsageError
from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from aivax_cli.cli.chat_keeping import Earlier
    from aivax_cli.cli.chat_next import Next
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.tools.offers import Approve

_NEEDED_BY_A_TURN = (
    "aivax_cli.cli.chat_turn",
    "aivax_cli.turn",
    "aivax_cli.usage.meter",
    "aivax_cli.render.turn_view",
    "aivax_cli.render.markdown_stream",
    "aivax_cli.retrieval.search",
    "aivax_cli.conversations.store",
)


def _gateway_names(incomplete: str) -> list[str]:
    from pathlib import Path

    from aivax_cli.gateway.workspace import find_workspace

    try:
        files = find_workspace(Path.cwd()).gateway_files()
    except AivaxError:
        return []
    return [file.stem for file in files if file.stem.startswith(incomplete)]


def _conversation_ids(incomplete: str) -> list[tuple[str, str]]:
    from pathlib import Path

    from aivax_cli.conversations.log import ConversationLog
    from aivax_cli.gateway.workspace import find_workspace

    try:
        log = ConversationLog(find_workspace(Path.cwd()).state_dir)
        found = [(each.id, safe_line(each.title)) for each in log.list(limit=50)]
        log.close()
    except AivaxError:
        return []
    return [each for each in found if each[0].startswith(incomplete.lower())]


def chat(
    session: Session,
    gateway: Annotated[
        str | None,
        typer.Argument(
            help="With one gateway its name may be left out.",
            show_default=False,
            autocompletion=_gateway_names,
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
            autocompletion=_conversation_ids,
        ),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Show answers as raw text, never repainted.")
    ] = False,
    approve_tools: Annotated[bool, typer.Option("--approve-tools", help=APPROVE_TOOLS_HELP)] = False,
) -> None:
    """Talk with a gateway. The history is kept across turns; /help lists what else can be typed.

    From a pipe every line is a message, answered in turn. Conversations are kept in `.aivax/`: `aivax log`
    lists and searches them, `aivax log off` ends that.
    """
    import asyncio

    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    before = _taken_up(workspace, gateway, go_on=go_on, prefix=conversation)
    name = gateway or (before.kept.gateway if before else None)
    chosen = workspace.load(name) if name is not None else workspace.load_only()
    if settings:
        chosen = chosen.with_settings(settings)
    approve = approver(session.screen, approve_all=approve_tools)
    talk = _converse(session, workspace, chosen, before, markdown=not plain, approve=approve)
    if not asyncio.run(talk):
        raise typer.Exit(1)


def _taken_up(
    workspace: Workspace, gateway: str | None, *, go_on: bool, prefix: str | None
) -> Earlier | None:
    """The conversation to go on with, None for a new one."""
    if not go_on and prefix is None:
        return None
    if go_on and prefix is not None:
        raise UsageError("--continue and --conversation exclude each other", fix="leave one of them out")
    from aivax_cli.cli.chat_keeping import find_kept

    return find_kept(workspace.state_dir, gateway=gateway, prefix=prefix)


async def _converse(
    session: Session,
    workspace: Workspace,
    gateway: LoadedGateway,
    before: Earlier | None,
    *,
    markdown: bool,
    approve: Approve,
) -> bool:
    """Holds the conversation; returns whether a script that held it may be content."""
    from aivax_cli.cli.chat_keeping import Keeper
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.wiring import open_gateway

    screen = session.screen
    progress = download_progress(screen.note)
    async with open_gateway(workspace, gateway, on_download=progress, approve=approve) as runtime:
        keeper = Keeper(workspace.state_dir, screen, before.kept.id if before else None)
        chat = Chat(screen, workspace, runtime, session.directory, keeper)
        if before:
            chat.turns, chat.spent = before.turns, before.kept.charges
        try:
            if sys.stdin.isatty() and screen.interactive:
                await _with_person(chat, before, markdown=markdown)
                return True
            keeper.on()
            return await _with_script(chat, markdown=markdown)
        finally:
            keeper.close()


async def _with_person(chat: Chat, before: Earlier | None, *, markdown: bool) -> None:
    from contextlib import aclosing

    from aivax_cli.cli.chat_completion import offers
    from aivax_cli.cli.chat_input import Surroundings, prompted_messages
    from aivax_cli.cli.chat_next import Draft, Leave
    from aivax_cli.cli.chat_prompt_line import described, prompt_line, standing
    from aivax_cli.cli.chat_turn import on_interrupt

    chat.screen.note(f"{described(standing(chat))} · /help lists commands, Ctrl-D leaves")
    remembered = chat.keeper.on()
    if before:
        _tell_earlier(chat, before)
    _load_ahead(chat.model)
    draft: Draft | None = None
    around = Surroundings(
        offers=offers(chat),
        line=lambda columns: prompt_line(standing(chat), columns),
        context_use=lambda: _context_use(chat),
        draft=lambda: draft,
    )
    history = chat.workspace.state_dir / "chat_history" if remembered else None
    typed = prompted_messages(chat.screen, around, history_file=history)
    # Ctrl-C pressed once too often, between an answer and the prompt, must not end the chat.
    with on_interrupt(_nothing):
        async with aclosing(typed) as messages:
            async for text in messages:
                chat.screen.aside.print()
                _, following = await _react(chat, text, markdown=markdown, person=True)
                if isinstance(following, Leave):
                    return
                draft = following if isinstance(following, Draft) else None
                chat.screen.aside.print()


async def _with_script(chat: Chat, *, markdown: bool) -> bool:
    """Returns whether everything went well."""
    from contextlib import aclosing

    from aivax_cli.cli.chat_input import piped_messages
    from aivax_cli.cli.chat_next import Leave

    content = True
    async with aclosing(piped_messages(chat.screen)) as messages:
        async for text in messages:
            fine, following = await _react(chat, text, markdown=markdown, person=False)
            content = content and fine
            if isinstance(following, Leave):
                break
    return content


def _tell_earlier(chat: Chat, before: Earlier) -> None:
    """Which conversation goes on, and how it ended."""
    from aivax_cli.cli.chat_next import short

    kept, count = before.kept, len(before.turns)
    title = f" · {safe_line(kept.title)}" if kept.title else ""
    chat.screen.note(f"conversation {kept.id}{title} · {count} turn{'' if count == 1 else 's'}")
    if last := chat.last:
        ended = " · cut off, /continue goes on with it" if last.cut_off else ""
        chat.screen.note(f"last: {safe_line(short(last.question))}{ended}")


def _nothing() -> None:
    return None


def _load_ahead(model: str) -> None:
    """Loads what the first answer needs, and what its interruption needs, while the person types."""
    import threading
    from importlib import import_module

    def load() -> None:
        for module in _NEEDED_BY_A_TURN:
            import_module(module)
        from aivax_cli.model.tokens import TiktokenCounter, encoding_name
        from aivax_cli.wiring import asset_store

        store = asset_store()
        if store.present(encoding_name(model)):
            TiktokenCounter(store).count_text("warm", model)

    threading.Thread(target=load, daemon=True).start()


async def _react(chat: Chat, text: str, *, markdown: bool, person: bool) -> tuple[bool, Next]:
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
    turn = await ask(chat, asked, markdown=markdown)
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
    if person and "/" in text:
        from aivax_cli.cli.chat_files import with_images

        question = await with_images(chat, question)
        if not question:
            return None
    if "%%" in text:
        from aivax_cli.cli.chat_quoting import answer_quoted

        question = answer_quoted(chat, question)
    return AskAgain(question)


def _context_use(chat: Chat) -> int | None:
    """How full the context of the latest answer was, in per cent; None where that is not known."""
    result = chat.last.result if chat.last else None
    if result is None or result.context_tokens is None:
        return None
    most = chat.runtime.context_tokens(result.target or result.model)
    return round(100 * result.context_tokens / most) if most else None
