"""The commands of a chat: one visible table, one function each.

A command returns nothing, or what the chat does next: leave, or ask a question again.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from aivax_cli.cli import chat_files as files
from aivax_cli.cli import chat_history as history
from aivax_cli.cli.chat_copy import copy
from aivax_cli.cli.chat_next import AskAgain, Draft, Leave, Next, last_turn
from aivax_cli.core.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.gateway.definition import Gateway

__all__ = ["COMMANDS", "AskAgain", "Command", "Leave", "run_command", "split_command"]

_KEYS = (
    "Enter sends, Alt-Enter or Ctrl-J starts a new line, Ctrl-C stops an answer, Ctrl-D leaves.",
    "Up finds what began like this, Ctrl-R searches, Ctrl-X Ctrl-E opens an editor, Tab completes.",
    "%% is the last answer; the path of an image, pasted or dropped, sends the image.",
)
_NARROW = 64
"""Columns below which a command and what it does have a line each."""
_COMMAND = re.compile(r"/([a-z]+!?)(?:\s+(.*))?", re.DOTALL)


class Command(Struct, frozen=True):
    """`run(chat, argument)`; `usage` and `help` are what /help says."""

    usage: str
    help: str
    run: Callable[[Chat, str], Awaitable[Next]]


def split_command(text: str) -> tuple[str, str] | None:
    """`/name argument` → name and argument; None for a message. `//…` is a message that begins with /."""
    match = _COMMAND.fullmatch(text.strip())
    return (match[1], (match[2] or "").strip()) if match else None


async def run_command(chat: Chat, name: str, argument: str) -> Next:
    """Carries out a command. Raises NotFoundError for an unknown one, else whatever is wrong with it."""
    command = COMMANDS.get(name.removesuffix("!"))
    if command is None or (name.endswith("!") and name != "save!"):
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
        fix = f"did you mean '/{near[0]}'?" if near else "/help lists the commands"
        raise UsageError(f"no command '/{name}'", fix=fix)
    return await command.run(chat, f"! {argument}" if name.endswith("!") else argument)


async def _help(chat: Chat, _argument: str) -> Next:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    words = chat.screen.words
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    narrow = chat.screen.aside.width < _NARROW
    for command in COMMANDS.values():
        usage, means = Text(words(command.usage), "cyan"), Text(words(command.help), "dim")
        if narrow:
            chat.screen.aside.print(usage, Padding(means, (0, 0, 0, 3)))
        else:
            table.add_row(usage, means)
    if not narrow:
        chat.screen.aside.print(table)
    for line in _KEYS:
        chat.screen.note(line)
    return None


async def _exit(_chat: Chat, _argument: str) -> Next:
    return Leave()


async def _edit(chat: Chat, argument: str) -> Next:
    if not (sys.stdin.isatty() and chat.screen.interactive):
        raise UsageError("there is no terminal for an editor")
    return Draft(argument)


async def _search(chat: Chat, argument: str) -> Next:
    from aivax_cli.cli.chat_turn import InterruptedWork, interruptible
    from aivax_cli.render.hits import print_hits

    if not argument:
        raise UsageError("there is nothing to search", fix="write /search and the words to look for")
    try:
        found = await interruptible(chat.runtime.search([argument]))
    except InterruptedWork:
        chat.screen.note("interrupted")
        return None
    for problem in found.problems:
        chat.screen.warn(problem)
    if found.passages:
        print_hits(chat.screen, found.passages, root=chat.workspace.root)
    else:
        chat.screen.note("nothing matches")
    return None


async def _sources(chat: Chat, argument: str) -> Next:
    from aivax_cli.render.closing import Sources
    from aivax_cli.render.hits import print_hits

    turn = last_turn(chat)
    if not turn.passages:
        chat.screen.note("the last answer had no passages")
    elif not argument:
        chat.screen.aside.print(Sources(turn.passages, answer=turn.text, root=chat.workspace.root))
    else:
        chosen = [passage for passage in turn.passages if str(passage.rank) == argument.strip("[]")]
        if not chosen:
            raise UsageError(f"there is no passage '{argument}'", fix=f"choose 1 to {len(turn.passages)}")
        if chosen[0].text:
            print_hits(chat.screen, chosen, root=chat.workspace.root, full=True)
        else:
            chat.screen.aside.print(Sources(chosen, root=chat.workspace.root))
            chat.screen.note("of an earlier session's passages the places are kept, not the texts")
    return None


async def _why(chat: Chat, _argument: str) -> Next:
    from aivax_cli.render.reasons import reasons

    turn = last_turn(chat)
    sent = (turn.so_far.sent or None) if turn.so_far else None
    root = chat.workspace.root
    parts = reasons(turn.strategy, turn.search_terms, turn.passages, sent, root=root, result=turn.so_far)
    for part in parts:
        chat.screen.aside.print(part)
    if turn.stopped:
        chat.screen.note(f"\nthe turn did not come to its end: {turn.stopped}")
    elif sent is None:
        chat.screen.note("\nwhat was sent in an earlier session is not kept")
    return None


async def _cost(chat: Chat, _argument: str) -> Next:
    from aivax_cli.render.cost import cost_table
    from aivax_cli.render.money import cost

    turn = last_turn(chat)
    if turn.charges:
        chat.screen.aside.print(cost_table(turn.charges))
    else:
        chat.screen.note("the last turn cost nothing")
    if chat.spent:
        chat.screen.note(f"this chat so far: {cost(chat.spent)}")
    return None


async def _gateway(chat: Chat, argument: str) -> Next:
    if not argument:
        names = [file.stem for file in chat.workspace.gateway_files()]
        chat.screen.note(f"{chat.definition.name}; there are {', '.join(names)}")
        return None
    chat.runtime = chat.runtime.shared.gateway(chat.workspace.load(argument))
    chat.screen.note(f"{chat.definition.name} answers from now on, as its file says")
    return None


async def _strategy(chat: Chat, argument: str) -> Next:
    from aivax_cli.gateway.knowledge import STRATEGIES, canonical_strategy

    if chat.strategy is None:
        raise UsageError(
            f"gateway '{chat.definition.name}' searches nothing",
            fix="name collections under knowledge.collections",
        )
    if not argument:
        chat.screen.note(f"{chat.strategy}; there are {', '.join(STRATEGIES)}")
        return None
    name = canonical_strategy(argument)
    if name not in STRATEGIES:
        raise unknown_name("strategy", argument, STRATEGIES, otherwise="")
    _change(chat, f"knowledge.strategy={name}")
    return None


async def _model(chat: Chat, argument: str) -> Next:
    if not argument:
        _tell_models(chat)
        return None
    _change(chat, f"model={argument}")
    return None


def _tell_models(chat: Chat) -> None:
    """Who answers: the model, or who is asked after whom."""
    from aivax_cli.cli.gateway_models import model_lines
    from aivax_cli.wiring import plan_turn

    chat.screen.note(chat.model)
    for line in list(model_lines(plan_turn(chat.runtime.gateway, chat.workspace)))[1:]:
        chat.screen.note(line)


async def _set(chat: Chat, argument: str) -> Next:
    if argument:
        _change(chat, argument)
        return None
    from rich.table import Table
    from rich.text import Text

    from aivax_cli.gateway.settable import settable_fields

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    for field in settable_fields():
        value = _value(chat.definition, field)
        table.add_row(Text(field, style="" if value else "dim"), Text(value))
    chat.screen.aside.print(table)
    return None


COMMANDS: Mapping[str, Command] = {
    "help": Command("/help", "What can be typed here.", _help),
    "retry": Command("/retry", "Ask the last question again, for another answer.", history.retry),
    "continue": Command(
        "/continue", "Have the model go on with an answer that was cut off.", history.continue_answer
    ),
    "undo": Command("/undo", "Take back the last question and its answer.", history.undo),
    "fork": Command("/fork [N]", "Go on from turn N in a conversation of its own.", history.fork),
    "reset": Command("/reset", "Begin a new conversation.", history.reset),
    "title": Command("/title [TEXT]", "Show or change what the conversation is called.", history.title),
    "compact": Command("/compact", "Send a summary in place of older turns; charged.", history.compact),
    "edit": Command("/edit [TEXT]", "Write the next message in $VISUAL or $EDITOR.", _edit),
    "file": Command("/file FILE … -- QUESTION", "Send files, and ask about them at once.", files.file),
    "attach": Command("/attach [FILE|clear]", "Send a file with the next message.", files.attach),
    "copy": Command("/copy [N|code]", "Copy the last answer, or a code block of it.", copy),
    "sources": Command("/sources [N]", "The last answer's passages, or all of passage N.", _sources),
    "why": Command("/why", "What was searched and found, and exactly what was sent.", _why),
    "cost": Command("/cost", "What the last turn and the whole chat cost.", _cost),
    "search": Command("/search TERM", "Search the gateway's collections, without a model.", _search),
    "gateway": Command("/gateway [NAME]", "Have another gateway answer from now on.", _gateway),
    "strategy": Command("/strategy [NAME]", "Change the search strategy, for this chat.", _strategy),
    "model": Command("/model [REF]", "Change the model, for this chat.", _model),
    "set": Command("/set [FIELD=VALUE]", "Change a field of the gateway, for this chat.", _set),
    "save": Command("/save FILE", "Write the conversation: Markdown, or JSON for *.json.", history.save),
    "exit": Command("/exit", "Leave.", _exit),
}


def _change(chat: Chat, assignment: str) -> None:
    chat.runtime.changed(chat.runtime.gateway.with_settings([assignment]).definition)
    field, _, value = assignment.partition("=")
    chat.screen.note(f"{field.strip()} is now {value.strip() or 'as by default'}, for this chat")


def _value(definition: Gateway, field: str) -> str:
    """A field's value as it would be typed; nothing for one that is not set."""
    import yaml

    value: Any = definition.model_dump(mode="json", exclude_none=True, by_alias=True)
    for step in field.split("."):
        value = (value or {}).get(step)
    if value in (None, "", [], {}):
        return ""
    return " ".join(
        yaml.safe_dump(value, default_flow_style=True, width=1_000_000).removesuffix("...\n").split()
    )
