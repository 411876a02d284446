"""The documents that are made from the program itself: docs/cli.md and the tables of docs/gateways.md.

`python -m aivax_cli.cli.reference` writes them anew; with `--check` it only says which are stale.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_HEAD = """# Commands

Made from `aivax --help` and the help of every command.
"""
_WIDTH = "100"


def page() -> str:
    """The whole page: the program's help, then each command's."""
    parts = [_HEAD]
    for words in (["aivax"], *_commands()):
        help_text = _help(words[1:])
        parts.append(f"## `{' '.join(words)}`\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def _commands() -> Iterator[list[str]]:
    """Every command and subcommand, as typed."""
    import typer.main

    from aivax_cli.cli.app import app

    def below(command: object, words: list[str]) -> Iterator[list[str]]:
        for name, child in getattr(command, "commands", {}).items():
            if not child.hidden:
                yield [*words, name]
                yield from below(child, [*words, name])

    return below(typer.main.get_command(app), ["aivax"])


def _help(words: list[str]) -> str:
    environ = {**os.environ, "COLUMNS": _WIDTH, "NO_COLOR": "1", "TERM": "dumb", "TERMINAL_WIDTH": _WIDTH}
    environ.pop("FORCE_COLOR", None)
    shown = subprocess.run(
        [sys.executable, "-m", "aivax_cli", *words, "--help"],
        capture_output=True,
        check=True,
        env=environ,
        text=True,
        encoding="utf-8",
    )
    return "\n".join(line.rstrip() for line in shown.stdout.strip("\n").splitlines()).strip("\n")


def stale(docs: Path) -> dict[Path, str]:
    """The generated pages below `docs` that are not what they should be, with what they should be."""
    from aivax_cli.gateway.reference import renewed

    gateways = docs / "gateways.md"
    wanted = {docs / "cli.md": page(), gateways: renewed(gateways.read_text("utf-8"))}
    return {
        file: text for file, text in wanted.items() if not file.exists() or file.read_text("utf-8") != text
    }


def _main(arguments: list[str]) -> int:
    found = stale(Path("docs"))
    for file, text in found.items():
        if "--check" in arguments:
            sys.stderr.write(f"{file} is stale; write it anew: make docs\n")
        else:
            file.write_text(text, encoding="utf-8")
    return 1 if found and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
