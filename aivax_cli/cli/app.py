"""The program: its commands, in the order a newcomer meets them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from aivax_cli import __version__
from aivax_cli.cli.command import DebugOption, JsonOption, NoColorOption, PlainOption, QuietOption, run
from aivax_cli.cli.lazy_group import lazy_group

COMMANDS = {
    name: f"aivax_cli.cli.{module}"
    for name, module in {
        "init": "init:init",
        "ingest": "ingest:ingest",
        "search": "search:search",
        "chat": "chat:chat",
        "complete": "complete:complete",
        "gateways": "gateways:gateways",
        "collections": "collections:collections",
        "check": "check:check",
        "compare": "compare:compare",
        "tools": "tools:tools",
        "serve": "serve:serve",
        "keys": "server_keys:keys",
        "mcp": "mcp:mcp",
        "schema": "schema:schema",
        "models": "models:models",
        "log": "log:log",
        "usage": "usage:usage",
        "doctor": "doctor:doctor",
        "man": "man:man",
    }.items()
}
"""Where each command is. It is loaded when it is called, or its help is shown."""

_COMPLETING = "_AIVAX_COMPLETE"
"""The environment variable by which a shell asks what may follow."""

app = typer.Typer(
    name="aivax",
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Typer's boxed help loads rich's Markdown and Pygments, which takes longer than all the rest of --help.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn a folder of documents into an AI gateway.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aivax {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    directory: Annotated[
        Path | None, typer.Option("--directory", "-C", help="Work as if started in this folder.")
    ] = None,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
    no_color: NoColorOption = False,
    plain: PlainOption = False,
    debug: DebugOption = False,
) -> None:
    pass


def _leave_markup_alone() -> None:
    """For the shell Typer takes rich's markup out of every help text. There is none in ours, and to load what
    would look for it takes as long as all the rest of an answer to Tab."""
    markup = ModuleType("typer.rich_utils")
    markup.rich_render_text = str  # type: ignore[attr-defined]
    sys.modules.setdefault(markup.__name__, markup)


def main() -> None:
    """Entry point of the `aivax` script."""
    if _COMPLETING in os.environ:
        _leave_markup_alone()
    raise SystemExit(run(app, "aivax"))
