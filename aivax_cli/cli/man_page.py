"""The manual page, in the language of man(7), made from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from aivax_cli import __version__
from aivax_cli.messages.paragraphs import paragraphs

Command = Any
"""A command as Typer builds it; the type's name is private there."""

_EXIT_CODES = {
    "0": "Done.",
    "1": "The work failed: the model could not be reached, refused, or broke off in the middle.",
    "2": "Bad usage or a bad definition.",
    "3": "Checks ran and some failed.",
    "130": "Interrupted with Ctrl-C.",
}
_ENVIRONMENT = {
    "AIVAX_CACHE_DIR": "Where model weights and other downloads are kept.",
    "AIVAX_LANG": "en or pt; else LC_ALL, LC_MESSAGES and LANG decide.",
    "AIVAX_OFFLINE": "1 forbids downloads.",
    "AIVAX_PLAIN": "1 has the effect of --plain.",
    "AIVAX_THEME": "terminal, dark or light: the colours.",
    "NO_COLOR, FORCE_COLOR, CLICOLOR, CLICOLOR_FORCE": "Whether there is colour.",
    "VISUAL, EDITOR": "The editor of /edit in a chat.",
    "OPENAI_API_KEY, …": "The providers' keys; `aivax models` lists them.",
}
_FILES = {
    "gateways/*.yaml": "The gateways of a workspace.",
    "collections/*.yaml": "Its collections.",
    "aivax.yaml": "Its settings: providers, prices.",
    ".aivax/": "Its indexes, ledger and conversations. Not for version control.",
}


def man_page(root: Command) -> str:
    """The page of the program and all of its commands, for `man -l` or a folder of man(1) pages."""
    context = _context(root, "aivax", None)
    lines = [
        f'.TH AIVAX 1 "" "aivax {__version__}" "User Commands"',
        ".SH NAME",
        _text(f"aivax - {_sentence(root.help)}"),
        ".SH SYNOPSIS",
        f".B aivax\n{_text(_usage(context))}",
        ".SH OPTIONS",
        *_parameters(context),
        ".SH COMMANDS",
        *_commands(context),
        ".SH EXIT STATUS",
        *_listed(_EXIT_CODES),
        ".SH ENVIRONMENT",
        *_listed(_ENVIRONMENT),
        ".SH FILES",
        *_listed(_FILES),
    ]
    return "\n".join(lines) + "\n"


def _commands(above: typer.Context) -> Iterator[str]:
    for name, command in getattr(above.command, "commands", {}).items():
        if command.hidden:
            continue
        context = _context(command, name, above)
        yield f".SS {_text(f'{context.command_path} {_usage(context)}'.strip())}"
        for number, paragraph in enumerate(paragraphs(command.help or "")):
            yield from ([".PP"] if number else [])
            yield _text(paragraph)
        yield from _parameters(context)
        yield from _commands(context)


def _context(command: Command, name: str, above: typer.Context | None) -> typer.Context:
    settings = command.context_settings
    found: typer.Context = command.context_class(command, info_name=name, parent=above, **settings)
    return found


def _usage(context: typer.Context) -> str:
    return " ".join(context.command.collect_usage_pieces(context))


def _parameters(context: typer.Context) -> Iterator[str]:
    """Each option with what it does; those of every command are told once, at the top."""
    told = (
        {tuple(each.opts) for each in context.parent.find_root().command.params} if context.parent else set()
    )
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or tuple(parameter.opts) in told or (context.parent and "--help" in parameter.opts):
            continue
        names, about = record
        yield f".TP\n.B {_text(names)}\n{_text(' '.join(about.split())) or chr(92) + '&'}"


def _listed(entries: dict[str, str]) -> Iterator[str]:
    for name, about in entries.items():
        yield f".TP\n.B {_text(name)}\n{_text(about)}"


def _sentence(text: str | None) -> str:
    first = next(iter(paragraphs(text or "")), "")
    return first[:1].lower() + first[1:].rstrip(".")


def _text(text: str) -> str:
    """Text that roff prints as it is: its own signs escaped, and no line that would be a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    escaped = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in escaped)
    return re.sub(r"^(?=\.)", r"\\&", escaped, flags=re.MULTILINE)
