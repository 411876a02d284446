"""What Tab and the menu offer in a chat: commands, and whatever may follow each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Final, Literal, Union, get_args, get_origin

from msgspec import Struct

from aivax_cli.cli.chat_paths import escaped, last_word
from aivax_cli.cli.chat_quoting import LAST_ANSWER
from aivax_cli.core.errors import AivaxError

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat

_MOST_FILES: Final = 2_000
"""Entries of a folder that are looked at."""
_MODEL_FIELDS: Final = ("model", "router", "low", "medium", "high")


class Offer(Struct, frozen=True):
    """Text that takes the place of what is typed from `start` on; `shown` stands for it in the menu."""

    text: str
    start: int = 0
    shown: str = ""
    about: str = ""


Follow = Callable[[str], Iterable[Offer]]
"""What may stand in the place of a command's argument as it is typed so far."""


class Offers:
    """For the text before the cursor, what may be meant; nothing for a message."""

    def __init__(self, chat: Chat) -> None:
        from aivax_cli.gateway.knowledge import STRATEGIES

        workspace = chat.workspace
        self._chat = chat
        self._following: Mapping[str, Follow] = {
            "strategy": partial(_words, lambda: STRATEGIES),
            "gateway": partial(_words, lambda: [file.stem for file in workspace.gateway_files()]),
            "model": partial(_words, lambda: self._models),
            "set": self._settings,
            "attach": lambda typed: [
                *_words(lambda: ["clear"], typed),
                *files_beginning(chat.directory, typed),
            ],
            "file": lambda typed: files_of_a_question(chat.directory, typed),
            "save": lambda typed: files_beginning(chat.directory, typed),
            "fork": partial(_words, lambda: [str(number + 1) for number in range(len(chat.turns))]),
            "sources": partial(
                _words, lambda: [str(p.rank) for p in chat.last.passages] if chat.last else ()
            ),
            "copy": partial(_words, lambda: _code_blocks(chat)),
        }

    def __call__(self, text: str) -> Iterator[Offer]:
        from aivax_cli.cli.chat_commands import COMMANDS

        if not text.startswith("/") or "\n" in text:
            return
        command, space, argument = text.partition(" ")
        if not space:
            for name, each in COMMANDS.items():
                if f"/{name}".startswith(command.lower()):
                    yield Offer(f"/{name}", about=each.help)
            return
        follow = self._following.get(command[1:].removesuffix("!"))
        if follow is None:
            return
        # A file that is being edited is wrong for a while: what it would offer is then not offered.
        with suppress(AivaxError):
            offset = len(command) + 1
            for offer in follow(argument):
                yield Offer(offer.text, offer.start + offset, offer.shown, offer.about)

    @cached_property
    def _models(self) -> Sequence[str]:
        """The models of the workspace's gateways, then the providers to begin a reference with.

        Read once a chat: every file of a workspace at every key would be felt.
        """
        from aivax_cli.cli.workspace_models import models_of

        workspace = self._chat.workspace
        used = [target.label for target, _ in models_of(workspace) if target.provider]
        return [*used, *(f"@{name}/" for name in workspace.providers())]

    def _settings(self, typed: str) -> list[Offer]:
        from aivax_cli.gateway.settable import settable_fields

        field, equals, value = typed.partition("=")
        if not equals:
            names = [f"{name}=" for name in settable_fields()]
            beginning = [name for name in names if name.startswith(typed.lower())]
            # The last part alone is enough to set a field: so it is to find it.
            last = [name for name in names if name.rpartition(".")[2].startswith(typed.lower())]
            return [Offer(name) for name in dict.fromkeys([*beginning, *last])]
        found = _words(lambda: self._values(field.strip()), value.lstrip())
        return [Offer(offer.text, len(typed) - len(value.lstrip())) for offer in found]

    def _values(self, field: str) -> Sequence[str]:
        """The values that a field can have, where they can be counted up."""
        from aivax_cli.gateway.definition import Gateway
        from aivax_cli.gateway.overrides import full_name
        from aivax_cli.gateway.settable import sections

        try:
            section, _, name = full_name(field).rpartition(".")
        except AivaxError:
            return ()
        if name in _MODEL_FIELDS:
            return self._models
        if name == "collections":
            return [f"[{file.stem}]" for file in self._chat.workspace.collection_files()]
        holder = sections().get(section, Gateway)
        return literals(holder.model_fields[name].annotation) if name in holder.model_fields else ()


def _words(choices: Callable[[], Iterable[str]], typed: str) -> list[Offer]:
    return [Offer(word) for word in choices() if word.lower().startswith(typed.lower())]


def literals(annotation: object) -> tuple[str, ...]:
    """The texts that an annotation lists, `true` and `false` for a truth value; () for anything else."""
    if annotation is bool:
        return ("true", "false")
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return tuple(text for form in get_args(annotation) for text in literals(form))
    return ()


def _code_blocks(chat: Chat) -> list[str]:
    from aivax_cli.cli.chat_copy import code_blocks

    count = len(code_blocks(chat.last.text)) if chat.last else 0
    return ["code", *map(str, range(1, count + 1))] if count else []


def files_of_a_question(directory: Path, typed: str) -> Iterator[Offer]:
    """The files of `/file …`: its last word, as a word; nothing after `--`."""
    if " -- " in f" {typed}":
        return
    start, word = last_word(typed)
    if not word:
        yield Offer(LAST_ANSWER, start, about="the last answer")
    for offer in files_beginning(directory, word):
        # A tilde means the home where it is not escaped, which it never is.
        yield Offer(escaped(offer.text), start, offer.shown)


def files_beginning(directory: Path, typed: str) -> Iterator[Offer]:
    """The files and folders whose names begin as the path does; hidden ones after a dot."""
    folder, name = os.path.split(typed)
    shown_as = typed[: len(typed) - len(name)]
    try:
        with os.scandir(directory / os.path.expanduser(folder)) as entries:  # noqa: PTH111
            found = [(each.name, each.is_dir()) for each in islice(entries, _MOST_FILES)]
    except (OSError, ValueError):
        return
    for entry, is_folder in sorted(found, key=lambda each: each[0].lower()):
        if entry.lower().startswith(name.lower()) and entry.startswith(".") <= name.startswith("."):
            end = os.sep if is_folder else ""
            yield Offer(f"{shown_as}{entry}{end}", shown=f"{entry}{end}")
