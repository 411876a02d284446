"""The program: its commands, in the order a newcomer meets them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aivax_cli import __version__
from aivax_cli.cli.chat import chat
from aivax_cli.cli.check import check
from aivax_cli.cli.collections import collections
from aivax_cli.cli.command import DebugOption, JsonOption, NoColorOption, QuietOption, command, run
from aivax_cli.cli.compare import compare
from aivax_cli.cli.complete import complete
from aivax_cli.cli.doctor import doctor
from aivax_cli.cli.gateways import gateways
from aivax_cli.cli.ingest import ingest
from aivax_cli.cli.init import init
from aivax_cli.cli.log import log
from aivax_cli.cli.mcp import mcp
from aivax_cli.cli.models import models
from aivax_cli.cli.schema import schema
from aivax_cli.cli.search import search
from aivax_cli.cli.serve import serve
from aivax_cli.cli.server_keys import keys
from aivax_cli.cli.tools import tools
from aivax_cli.cli.usage import usage

app = typer.Typer(
    name="aivax",
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
    debug: DebugOption = False,
) -> None:
    pass


command(app, "init")(init)
command(app, "ingest")(ingest)
command(app, "search")(search)
command(app, "chat")(chat)
command(app, "complete")(complete)
app.add_typer(gateways, name="gateways")
app.add_typer(collections, name="collections")
command(app, "check")(check)
command(app, "compare")(compare)
command(app, "tools")(tools)
command(app, "serve")(serve)
app.add_typer(keys, name="keys")
command(app, "mcp")(mcp)
command(app, "schema")(schema)
app.add_typer(models, name="models")
app.add_typer(log, name="log")
command(app, "usage")(usage)
command(app, "doctor")(doctor)


def main() -> None:
    """Entry point of the `aivax` script."""
    raise SystemExit(run(app, "aivax"))
