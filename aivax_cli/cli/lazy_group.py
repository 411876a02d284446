"""A group whose commands are loaded when they are called: a start pays for one command, not for all."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

from aivax_cli.cli.command import command
from aivax_cli.cli.plain_values import check_late

Built = Any
"""A command as Typer builds it; the type's name is private there."""


class LazyCommands(MutableMapping[str, Built]):
    """Commands by name, each imported and built when it is first asked for."""

    def __init__(self, places: dict[str, str]) -> None:
        """`places` holds each command's `module:name`, a function of a Session or a Typer group."""
        self._places = dict(places)
        self._built: dict[str, Built] = {}

    def __getitem__(self, name: str) -> Built:
        if name not in self._built:
            self._built[name] = _build(name, self._places[name])
        return self._built[name]

    def __setitem__(self, name: str, built: Built) -> None:
        self._places.setdefault(name, "")
        self._built[name] = built

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._built.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places  # the inherited way would load the command to answer


def lazy_group(places: dict[str, str]) -> type[TyperGroup]:
    """The class of a group with these commands; see `LazyCommands`."""

    class LazyGroup(TyperGroup):
        """What Typer makes of the program."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            check_late(self)
            self.commands = LazyCommands(places)

        def list_commands(self, ctx: Any) -> list[str]:
            """Their names, which loads none of them."""
            del ctx
            return list(self.commands)

    return LazyGroup


def _build(name: str, place: str) -> Built:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    part = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    if isinstance(found, typer.Typer):
        part.add_typer(found, name=name)
    else:
        command(part, name)(found)
    built = typer.main.get_group(part).commands[name]
    check_late(built)
    return built
