"""`aivax log`: the conversations that have been kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from aivax_cli.cli.command import Session, command
from aivax_cli.cli.completing import conversation_ids, gateway_names
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from aivax_cli.conversations.log import ConversationLog
    from aivax_cli.render.log_view import Mask
    from aivax_cli.render.screen import Screen

Format = Literal["markdown", "json"]

Redact = Annotated[
    bool,
    typer.Option("--redact", help="Mask keys, e-mail addresses, telephone numbers and long numbers."),
]
ConversationId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Its id, or a unique beginning of it.", autocompletion=conversation_ids
    ),
]
OfGateway = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only conversations with this gateway.", autocompletion=gateway_names),
]


class _ListByDefault(TyperGroup):
    """`aivax log` lists; only a subcommand's name is one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


log = typer.Typer(cls=_ListByDefault, help="Kept conversations: list, show, search, export, delete, on, off.")


@command(log, "list")
def list_conversations(
    session: Session,
    gateway: OfGateway = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 20,
    redact: Redact = False,
) -> None:
    """List conversations, the latest first.

    `aivax chat --conversation ID` goes on with one. What a conversation cost includes turns that were taken
    back.
    """
    from aivax_cli.conversations.switch import keeping
    from aivax_cli.render.log_view import conversation_table, kept_object

    screen = session.screen
    mask = _mask(redact)
    state_dir = _state_dir(session)
    with _opened(state_dir) as kept:
        found = kept.list(gateway=gateway, limit=limit or -1)
    if screen.json_output:
        screen.data({"conversations": [kept_object(each, mask) for each in found]})
    elif found:
        screen.show(conversation_table(found, mask))
    else:
        screen.note("no conversation has been kept yet")
    if not keeping(state_dir):
        screen.note("nothing is kept at present; `aivax log on` changes that")


@command(log, "show")
def show(session: Session, conversation: ConversationId, redact: Redact = False) -> None:
    """Show a conversation, as it stands now. Turns that were taken back are in its JSON export."""
    from aivax_cli.render.log_view import conversation_object, markdown_export, show_conversation

    screen = session.screen
    with _opened(_state_dir(session)) as kept:
        found = kept.named(conversation)
        messages = kept.messages(found)
    if screen.json_output:
        screen.data(conversation_object(found, messages, _mask(redact)))
    else:
        show_conversation(screen, markdown_export(found, messages, _mask(redact)))


@command(log, "search")
def search(
    session: Session,
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="All of them, in any order.")],
    gateway: OfGateway = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many messages.")] = 20,
    redact: Redact = False,
) -> None:
    """Find messages by their words, or by the beginnings of words; case and accents do not matter."""
    from aivax_cli.render.log_view import print_said, said_object

    screen = session.screen
    with _opened(_state_dir(session)) as kept:
        found = kept.search(" ".join(words), gateway=gateway, limit=limit)
    if screen.json_output:
        screen.data({"messages": [said_object(each, _mask(redact)) for each in found]})
    elif found:
        print_said(screen, found, _mask(redact))
    else:
        screen.note("nothing matches")


@command(log, "export")
def export(
    session: Session,
    conversation: ConversationId,
    form: Annotated[
        Format, typer.Option("--format", help="`json` has every branch of the conversation.")
    ] = "markdown",
    redact: Redact = False,
) -> None:
    """Write a conversation to stdout as Markdown, or as JSON with every turn that was taken back."""
    from aivax_cli.render.log_view import conversation_object, markdown_export

    screen = session.screen
    with _opened(_state_dir(session)) as kept:
        found = kept.named(conversation)
        messages = kept.messages(found)
    if form == "json" or screen.json_output:
        screen.data(conversation_object(found, messages, _mask(redact)))
    else:
        screen.write(markdown_export(found, messages, _mask(redact)))


@command(log, "delete")
def delete(
    session: Session,
    conversation: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Its id, or a unique beginning of it.", autocompletion=conversation_ids
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All conversations.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a conversation, or all. What a fork shares with it stays with the fork."""
    if (conversation is None) != everything:
        raise UsageError("name one conversation, or --all", fix="aivax log lists the ids")
    screen = session.screen
    with _opened(_state_dir(session)) as kept:
        if conversation is None:
            count = len(kept.list())
            what = f"{count} conversation{'' if count == 1 else 's'}"
            if count and not yes:
                _confirm(session.screen, what)
            kept.delete_all()
        else:
            found = kept.named(conversation)
            what = f"{found.id} ({found.title})" if found.title else found.id
            if not yes:
                _confirm(session.screen, what)
            kept.delete(found.id)
    if screen.json_output:
        screen.data({"deleted": count if conversation is None else 1})
    else:
        screen.note(f"deleted {what}")


@command(log, "off")
def off(session: Session) -> None:
    """Keep nothing from now on, in this workspace. What has been kept stays: see `aivax log delete`."""
    _switch(session, wanted=False)


@command(log, "on")
def on(session: Session) -> None:
    """Keep conversations again."""
    _switch(session, wanted=True)


def _switch(session: Session, *, wanted: bool) -> None:
    from aivax_cli.conversations.switch import keep

    keep(_state_dir(session), wanted)
    if session.screen.json_output:
        session.screen.data({"keeping": wanted})
    else:
        session.screen.note("conversations are kept" if wanted else "nothing is kept from now on")


def _confirm(screen: Screen, what: str) -> None:
    import sys

    if not sys.stdin.isatty():
        raise UsageError(f"{what} would be deleted for good", fix="add --yes to do it")
    if not typer.confirm(screen.words(f"Delete {what} for good?"), err=True):
        raise UsageError("nothing was deleted")


def _state_dir(session: Session) -> Path:
    from aivax_cli.gateway.workspace import find_workspace

    return find_workspace(session.directory).state_dir


@contextmanager
def _opened(state_dir: Path) -> Iterator[ConversationLog]:
    from aivax_cli.conversations.log import ConversationLog

    kept = ConversationLog(state_dir)
    try:
        yield kept
    finally:
        kept.close()


def _mask(redact: bool) -> Mask:
    if not redact:
        return str
    from aivax_cli.conversations.redaction import redacted

    return redacted
