"""The program inside of the test's own process: the same commands without the time that a start takes."""

from __future__ import annotations

from pathlib import Path

from support.command_line import Done
from typer.testing import CliRunner

from aivax_cli.cli.app import app


def aivax_here(*arguments: str, cwd: Path, stdin: str | None = None) -> Done:
    """Runs `aivax -C cwd …` with `stdin` piped in. What no command may let out fails the test."""
    result = CliRunner().invoke(app, ["-C", str(cwd), *arguments], input=stdin, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
