"""`aivax complete`: one turn, for scripts."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.cli.answer_schema import print_value, with_schema
from aivax_cli.cli.command import Session
from aivax_cli.cli.completing import gateway_names
from aivax_cli.cli.tool_approval import APPROVE_TOOLS_HELP, approver
from aivax_cli.core.errors import AivaxError, NotFoundError, UsageError

if TYPE_CHECKING:
    from aivax_cli.core.types import Conversation
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.tools.offers import Approve

_NEAR = 0.75
"""How alike a single word and a gateway's name must be for the word to be a slip of the name."""


def complete(
    session: Session,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[GATEWAY] [PROMPT]",
            help="With one gateway its name may be left out. Text on stdin goes below the prompt.",
            show_default=False,
            autocompletion=gateway_names,
        ),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(
            "--gateway",
            "-g",
            help="The gateway; then the argument is the prompt.",
            autocompletion=gateway_names,
        ),
    ] = None,
    messages: Annotated[
        str | None,
        typer.Option("--messages", metavar="FILE|-", help="A conversation: a JSON array of OpenAI messages."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the gateway for this turn."),
    ] = None,
    attach: Annotated[
        list[str] | None,
        typer.Option(
            "--attach",
            "-a",
            metavar="FILE|URL|-",
            help="An image, a document, or the address of an image, to go with the question.",
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema",
            metavar="FILE|FIELDS",
            help="The answer is JSON that holds to this JSON Schema, or has these fields: 'name, age int'.",
        ),
    ] = None,
    json_only: Annotated[
        bool,
        typer.Option("--json-only", help="Print that JSON alone; exit with 1 when it cannot be had."),
    ] = False,
    cost: Annotated[bool, typer.Option("--cost", help="Show the table of what the turn cost.")] = False,
    approve_tools: Annotated[bool, typer.Option("--approve-tools", help=APPROVE_TOOLS_HELP)] = False,
) -> None:
    """Ask a gateway one question and print the answer.

    `aivax complete my-gateway "Qual a capital da França?"`

    `git diff | aivax complete my-gateway "Summarise this change" --json`

    `aivax complete my-gateway "Who is it?" -a card.png --schema "name, email" --json-only`
    """
    import asyncio

    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    chosen, prompt = _addressed(workspace, gateway, list(words or ()))
    if settings:
        chosen = chosen.with_settings(settings)
    if schema is not None:
        chosen = with_schema(chosen, schema, session.directory)
    if json_only:
        _refuse_json_only(session, chosen)
    conversation = _conversation(session, prompt, messages, attach or [])
    approve = approver(session.screen, approve_all=approve_tools)
    shown = _Shown(cost=cost, json_only=json_only)
    incomplete = asyncio.run(_run(session, workspace, chosen, conversation, shown, approve=approve))
    if incomplete is not None:
        session.screen.warn(f"the answer is incomplete: {incomplete}")
        raise typer.Exit(1)


def _addressed(
    workspace: Workspace, gateway: str | None, words: list[str]
) -> tuple[LoadedGateway, str | None]:
    """Which of the words names the gateway, and which is the prompt."""
    if gateway is not None:
        if len(words) > 1:
            raise UsageError("with --gateway there is one argument, the prompt", fix="put it in quotes")
        return workspace.load(gateway), words[0] if words else None
    if len(words) > 2:
        raise UsageError(f"{len(words)} arguments were given", fix="put the prompt in quotes")
    if len(words) == 2:
        return workspace.load(words[0]), words[1]
    if not words:
        return workspace.load_only(), None
    return _named_or_asked(workspace, words[0])


def _named_or_asked(workspace: Workspace, word: str) -> tuple[LoadedGateway, str | None]:
    """One argument alone: a gateway's name where there is such a gateway, else the prompt."""
    try:
        return workspace.load(word), None
    except NotFoundError:
        names = [file.stem for file in workspace.gateway_files()]
        is_slip = " " not in word and difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)
        if is_slip or (" " not in word and len(names) != 1):
            raise
    return workspace.load_only(), word


def _conversation(
    session: Session, prompt: str | None, messages: str | None, attach: list[str]
) -> Conversation:
    from aivax_cli.cli.attachments import STDIN, attached_to, read_attachment
    from aivax_cli.cli.conversation_input import messages_conversation, piped_text, prompt_conversation

    if attach.count(STDIN) + (messages == STDIN) > 1:
        raise UsageError("stdin can be read once", fix="put one of the two into a file")
    if messages is not None and prompt is not None:
        raise UsageError("--messages and a prompt exclude each other", fix="put the prompt into the messages")
    if messages is not None:
        conversation = messages_conversation(messages)
    else:
        conversation = prompt_conversation(prompt, None if STDIN in attach else piped_text(sys.stdin))
    stdin = getattr(sys.stdin, "buffer", None)
    attachments = [read_attachment(place, session.directory, stdin) for place in attach]
    for note in (note for attachment in attachments for note in attachment.notes):
        session.screen.warn(note)
    return attached_to(conversation, attachments)


def _refuse_json_only(session: Session, gateway: LoadedGateway) -> None:
    """Where `--json-only` means nothing. Raises UsageError."""
    if session.screen.json_output:
        raise UsageError("--json and --json-only exclude each other", fix="--json has it under 'structured'")
    if gateway.definition.response_schema is None:
        raise UsageError(
            "--json-only needs a schema",
            fix="give one with --schema, or write response_schema in the gateway",
        )


class _Shown(Struct, frozen=True):
    """What is printed of a turn."""

    cost: bool
    json_only: bool


async def _run(
    session: Session,
    workspace: Workspace,
    gateway: LoadedGateway,
    conversation: Conversation,
    shown: _Shown,
    *,
    approve: Approve,
) -> str | None:
    """Runs the turn and shows it; returns why the answer is incomplete, if it is."""
    from aivax_cli.render.answer_json import turn_object
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.render.turn_view import show_turn
    from aivax_cli.wiring import open_gateway

    screen = session.screen
    as_data, screen.json_output = screen.json_output, screen.json_output or shown.json_only
    progress = download_progress(screen.note)
    async with open_gateway(workspace, gateway, on_download=progress, approve=approve) as runtime:
        try:
            result = await show_turn(
                screen,
                runtime.turn(conversation),
                cost_table=shown.cost,
                question=conversation[-1].content,
                root=workspace.root,
                as_json=gateway.definition.response_schema is not None,
                spent=lambda: runtime.charges,
            )
        except AivaxError as error:
            so_far = runtime.so_far
            if as_data and so_far and so_far.charges:
                screen.data(turn_object(replace(so_far, incomplete=str(error))))
            raise
    if result is None:
        return "the turn ended without a result"
    if as_data:
        screen.data(turn_object(result))
    elif shown.json_only:
        print_value(screen, result.structured)
    return result.incomplete
