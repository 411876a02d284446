"""Help in the reader's language: what our commands say of themselves, and what Typer adds."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import typer

from aivax_cli.messages.language import Language
from aivax_cli.messages.paragraphs import paragraphs

_Formatter: Any = typer.Context.formatter_class
_EXTRA = re.compile(r"(?P<help>.*?)(?P<gap> *)\[(?P<extra>[^\[\]]*)\]", re.DOTALL)
_TYPE = re.compile(r"<[a-z\[\] ]+>")
_WORD = re.compile(r"[A-Z]{3,}")

Command = Any
"""A command as Typer builds it; the type's name is private there."""


def speaking(command: Command, language: Language) -> Command:
    """The command, and every one below it, with its help in this language. Changes the command itself."""
    _speak(command, language, _context_class(language))
    return command


def _speak(command: Command, language: Language, context_class: type[typer.Context]) -> None:
    command.context_class = context_class
    command.help = _text(command.help, language)
    command.short_help = _text(command.short_help, language)
    for parameter in command.params:
        parameter.metavar = language.translate(parameter.metavar or "") or None
    if hasattr(command, "commands"):
        command.commands = _Speaking(command.commands, language, context_class)


class _Speaking(MutableMapping[str, Command]):
    """A group's commands, each made to speak when it is first asked for: they may be loaded late."""

    def __init__(
        self, commands: MutableMapping[str, Command], language: Language, context_class: type[typer.Context]
    ) -> None:
        self._commands = commands
        self._language = language
        self._context_class = context_class
        self._spoken: set[str] = set()

    def __getitem__(self, name: str) -> Command:
        command = self._commands[name]
        if name not in self._spoken:
            self._spoken.add(name)
            _speak(command, self._language, self._context_class)
        return command

    def __setitem__(self, name: str, command: Command) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)

    def __contains__(self, name: object) -> bool:
        return name in self._commands


def _context_class(language: Language) -> type[typer.Context]:
    """A Context whose help is written in this language: Click's own way to another formatter."""

    class SpokenFormatter(_Formatter):  # type: ignore[misc]  # its type's name is private in Typer
        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            said = _WORD.sub(lambda word: language.translate(word[0]), args)
            super().write_usage(prog, said, prefix or language.translate("Usage:") + " ")

        def write_heading(self, heading: str) -> None:
            super().write_heading(language.translate(heading))

        def write_dl(self, rows: Sequence[tuple[str, str]], *args: Any, **options: Any) -> None:
            super().write_dl([_row(row, language) for row in rows], *args, **options)

    class SpokenContext(typer.Context):
        formatter_class = SpokenFormatter

    return SpokenContext


def _row(row: tuple[str, str], language: Language) -> tuple[str, str]:
    """An option or a command, and its help with what Typer adds to it: `[default: 3; required]`."""
    name, said = row
    name = _TYPE.sub(lambda kind: language.translate(kind[0]), name)
    found = _EXTRA.fullmatch(said)
    if found is None:
        return name, _text(said, language)
    extra = "; ".join(language.translate(part) for part in found["extra"].split("; "))
    return name, f"{_text(found['help'], language)}{found['gap']}[{extra}]"


def _text(help_text: str | None, language: Language) -> Any:
    """Paragraph by paragraph, as they are kept in the catalogue: on one line."""
    if not help_text:
        return help_text
    return "\n\n".join(map(language.translate, paragraphs(help_text)))
