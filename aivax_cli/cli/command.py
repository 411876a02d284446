"""How a function becomes a command: shared options, a Session, errors as exit codes."""

from __future__ import annotations

import errno
import inspect
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import Struct

from aivax_cli.core.errors import AivaxError, UsageError
from aivax_cli.messages.language import Language
from aivax_cli.render.debug_log import debug_log
from aivax_cli.render.screen import Screen

# The one error of the command line that Typer exports; its base is the base of them all.
_CommandLineError: type[Exception] = typer.BadParameter.__bases__[0]

_SHARED_PANEL = "Options of every command"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_SHARED_PANEL)]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no notes.", rich_help_panel=_SHARED_PANEL)
]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colour.", rich_help_panel=_SHARED_PANEL)]
PlainOption = Annotated[
    bool,
    typer.Option("--plain", help="Lines of text alone, for screen readers.", rich_help_panel=_SHARED_PANEL),
]
DebugOption = Annotated[
    bool,
    typer.Option(
        "--debug", help="Show every request, and the traceback of an error.", rich_help_panel=_SHARED_PANEL
    ),
]

_SHARED = {
    "json_output": JsonOption,
    "quiet": QuietOption,
    "no_color": NoColorOption,
    "plain": PlainOption,
    "debug": DebugOption,
}

_FIELDS_OF_OTHER_TOOLS = {
    "m": "model",
    "s": "instructions",
    "system": "instructions",
    "max_tokens": "max_completion_tokens",
}
"""Gateway fields by the options that llm, aichat and mods have for them."""


class Session(Struct, frozen=True):
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
            plain=flags["plain"],
            debug=flags["debug"],
            language=Language.of(os.environ),
        )
        given = ctx.find_root().params.get("directory")
        with debug_log(screen):
            guard(screen, lambda: function(Session(screen, _directory(given)), **values))

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
    try:
        directory = Path(str(given)) if given else Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current folder is gone", fix="change to one that is there: cd ~") from error
    if not directory.is_dir():
        raise UsageError(f"--directory: no such folder: {directory}", fix="check the path")
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
        _discard_output()
        raise typer.Exit(1) from gone
    except typer.Exit:
        raise
    except Exception as error:
        if screen.debug:
            screen.err.print_exception()
        screen.error(_in_words(error))
        raise typer.Exit(1) from error


def _in_words(error: Exception) -> AivaxError:
    """What nobody foresaw, as an error of one line; what the system refused, in the system's words."""
    again = "run it again with --debug to see where"
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            again = "free some space, then again"
        elif isinstance(error, PermissionError):
            again = "check its permissions"
        return AivaxError(f"{place}{error.strerror}", fix=again)
    said = " ".join(str(error).split())[:300]
    return AivaxError(f"unexpected {type(error).__name__}: {said}", fix=again)


def _own_screen() -> Screen:
    """The screen for what goes wrong outside of a command; rich is loaded for nothing less."""
    return Screen(
        no_color="--no-color" in sys.argv, plain="--plain" in sys.argv, language=Language.of(os.environ)
    )


def run(app: typer.Typer, name: str) -> int:
    """Runs the program and returns its exit code; a slip on the command line is an error of one line."""
    _open_closed_streams()
    _bear_every_character()
    code = 0
    try:
        code = int(_spoken(app)(prog_name=name, standalone_mode=False) or 0)
        sys.stdout.flush()
    except typer.Abort:
        return 130
    except BrokenPipeError:
        _discard_output()
        return 1
    except OSError as error:
        _discard_output()
        if not code:  # else it has been said
            _own_screen().error(_in_words(error))
        return code or 1
    except _CommandLineError as slip:
        return _refused(_own_screen(), slip)
    return code


def _spoken(app: typer.Typer) -> Callable[..., Any]:
    """The program, with its help in the reader's language."""
    language = Language.of(os.environ)
    if language.is_english:
        return app
    from typer.main import get_command

    from aivax_cli.cli.spoken_help import speaking

    spoken: Callable[..., Any] = speaking(get_command(app), language)
    return spoken


def _refused(screen: Screen, slip: Any) -> int:
    """A slip on the command line, with the command's usage or where its help is."""
    said = slip.format_message()
    if "\n" in said:  # a program called without a command says its whole help
        slip.show()
        return int(slip.exit_code)
    if field := _field_meant(slip):
        screen.error(UsageError(f"no such option: {slip.option_name}", fix=f"write --set {field}=VALUE"))
        return int(slip.exit_code)
    problem, _, fix = said.replace("Value error, ", "").rstrip(".").partition(". ")
    near = getattr(slip, "possibilities", None)
    if near:
        problem, fix = slip.message, f"did you mean {' or '.join(sorted(near))}?"
    elif problem.startswith("Missing") and slip.ctx:
        # The usage begins with "Usage:", in the reader's language.
        fix = "usage: " + " ".join(slip.ctx.get_usage().split()[1:])
    fix = fix or f"see {slip.ctx.command_path if slip.ctx else 'aivax'} --help"
    screen.error(UsageError(problem[0].lower() + problem[1:], fix=fix[0].lower() + fix[1:]))
    return int(slip.exit_code)


def _field_meant(slip: Any) -> str | None:
    """The gateway's field that an unknown option is named like (`--model`, `-m`), where `--set` is known."""
    unknown = hasattr(slip, "possibilities") and hasattr(slip, "option_name") and slip.ctx
    if not unknown or not any("--set" in each.opts for each in slip.ctx.command.params):
        return None
    from aivax_cli.gateway.settable import settable_fields

    name = slip.option_name.lstrip("-").replace("-", "_")
    name = _FIELDS_OF_OTHER_TOOLS.get(name, name)
    return name if any(field.rpartition(".")[2] == name for field in settable_fields()) else None


def _open_closed_streams() -> None:
    """A program started with `<&-`, `>&-` or `2>&-` has no such stream: it gets one that leads nowhere.

    Else the next file it opens takes the number, and whoever writes to "stderr" writes into that file.
    """
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _bear_every_character() -> None:
    """What a console of Windows, or `LC_ALL=C`, has no sign for becomes a question mark, and no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _discard_output() -> None:
    """Has Python's last flush of a stdout that cannot be written write nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
