"""A message written in the person's own editor."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aivax_cli.core.errors import UsageError

_FIX = "set VISUAL or EDITOR to an editor's command, such as EDITOR=nano"


def edited(text: str, environ: Mapping[str, str]) -> str:
    """What is saved of the text when the editor ends.

    The editor is `$VISUAL`, `$EDITOR`, or one that is there. Its file is nobody else's to read, and is gone
    with what the editor leaves beside it. Blocks until then. Raises UsageError when no editor can be started,
    and when it ends with a failure: that is how editors say that nothing is to be done.
    """
    command = _command(environ)
    with tempfile.TemporaryDirectory(prefix="aivax-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "message.md"
        file.touch(mode=0o600)
        file.write_text(text and text.rstrip("\n") + "\n", encoding="utf-8", errors="replace")
        try:
            ended = subprocess.run([*command, str(file)], check=False)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot start the editor '{command[0]}': {reason}", fix=_FIX) from error
        if ended.returncode != 0:
            raise UsageError(f"the editor '{command[0]}' failed; the message is as it was")
        try:
            return file.read_text(encoding="utf-8-sig", errors="replace").rstrip("\n")
        except FileNotFoundError:
            return text


def _command(environ: Mapping[str, str]) -> list[str]:
    chosen = environ.get("VISUAL", "").strip() or environ.get("EDITOR", "").strip()
    if chosen:
        try:
            return _split(chosen)
        except ValueError as error:
            raise UsageError(f"the editor '{chosen}' is no command: {error}", fix=_FIX) from error
    usual = ("notepad",) if sys.platform == "win32" else ("editor", "nano", "vim", "vi")
    path = environ.get("PATH")
    for name in usual:
        if found := shutil.which(name, path=path):
            return [found]
    raise UsageError("there is no editor", fix=_FIX)


def _split(command: str) -> list[str]:
    windows = sys.platform == "win32"
    # A backslash parts folders there, and what is quoted keeps its quotes otherwise.
    return [part.strip('"') if windows else part for part in shlex.split(command, posix=not windows)]
