"""How a function becomes a command: shared options, a Session, errors as exit codes."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from aivax_cli.core.errors import AivaxError
from aivax_cli.render.screen import Screen

_SHARED_PANEL = "Options of every command"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_SHARED_PANEL)]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no notes.", rich_help_panel=_SHARED_PANEL)
]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colour.", rich_help_panel=_SHARED_PANEL)]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=_SHARED_PANEL)
]

_SHARED = {
    "json_output": JsonOption,
    "quiet": QuietOption,
    "no_color": NoColorOption,
    "debug": DebugOption,
}


@dataclass(frozen=True, slots=True)
class Session:
    """What every command gets: where it writes and where it stands."""

    screen: Screen
    directory: Path


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers `function(session, …)` as a command.

    The function's parameters after `session` are the command's own, as Typer reads them; the options
    of every command are added. An AivaxError becomes its line on stderr and its exit code.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        app.command(name)(_runner(function))
        return function

    return register


def group_default(group: typer.Typer) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers `function(session, …)` as what a group does when it is called without a command.

    The function may take options, no arguments: those would be read as commands. Its docstring is the
    group's help. Options given before a command of the group hold for that command too.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        group.callback(invoke_without_command=True)(_runner(function, unless_command=True))
        return function

    return register


def _runner(function: Callable[..., None], *, unless_command: bool = False) -> Callable[..., None]:
    """What Typer calls: it has the function's own parameters and the shared ones, and makes the Session."""
    own = inspect.signature(function, eval_str=True)
    parameters = [parameter for key, parameter in own.parameters.items() if key != "session"]
    shared = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for key, annotation in _SHARED.items()
    ]

    def run(ctx: typer.Context, **values: object) -> None:
        if unless_command and ctx.invoked_subcommand is not None:
            return
        above = _params_above(ctx)
        flags = {key: bool(values.pop(key)) or any(params.get(key) for params in above) for key in _SHARED}
        screen = Screen(
            json_output=flags["json_output"],
            quiet=flags["quiet"],
            no_color=flags["no_color"],
            debug=flags["debug"],
        )
        session = Session(screen, _directory(ctx.find_root().params.get("directory")))
        guard(screen, lambda: function(session, **values))

    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    run.__signature__ = inspect.Signature([context, *keyword_only, *shared])  # type: ignore[attr-defined]
    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
    return run


def _params_above(ctx: typer.Context) -> list[dict[str, Any]]:
    """The options given to the program and to the group, before the command's name."""
    found = []
    above = ctx.parent
    while above is not None:
        found.append(above.params)
        above = above.parent
    return found


def _directory(given: object) -> Path:
    directory = Path(str(given)) if given else Path.cwd()
    if not directory.is_dir():
        raise typer.BadParameter(f"no such folder: {directory}", param_hint="--directory")
    return directory.resolve()


def guard(screen: Screen, work: Callable[[], None]) -> None:
    """Runs `work` and turns whatever it raises into one line and the right exit code."""
    try:
        work()
    except AivaxError as error:
        if screen.debug:
            screen.err.print_exception()
        screen.error(error)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as stop:
        screen.err.print()
        raise typer.Exit(130) from stop
    except BrokenPipeError as gone:
        # The reader of a pipe left (`aivax … | head`): nothing is wrong, and nothing can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from gone
    except typer.Exit:
        raise
    except Exception as error:
        if screen.debug:
            screen.err.print_exception()
        unexpected = AivaxError(
            f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            fix="run it again with --debug to see where",
        )
        screen.error(unexpected)
        raise typer.Exit(1) from error
