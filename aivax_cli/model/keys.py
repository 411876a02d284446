"""API keys: from the environment or from a command, never from a file of ours, never into a message."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from aivax_cli.core.errors import KeyMissingError
from aivax_cli.core.types import ModelTarget

_COMMAND_TIMEOUT_S = 10.0


def resolve_key(
    target: ModelTarget,
    environ: Mapping[str, str],
    folder: Path | None = None,
    *,
    command_timeout_s: float = _COMMAND_TIMEOUT_S,
) -> str | None:
    """The key for a model, or None when it needs none.

    `api_key_command` (a list of words, run without a shell; the first line of its output is the key) wins
    over `api_key_env`. It runs in `folder`, by default the current one. Raises KeyMissingError, which names
    the variable or the command and never a value.
    Blocks while a command runs.
    """
    if target.api_key_command:
        return _usable(_from_command(target, folder, command_timeout_s), f"api_key_command of {target.label}")
    if target.api_key_env is None:
        return None
    key = environ.get(target.api_key_env, "").strip()
    if not key:
        raise KeyMissingError(
            f"no API key for {target.label}: the environment variable {target.api_key_env} is not set",
            fix=f"set it: export {target.api_key_env}=…",
        )
    return _usable(key, f"the environment variable {target.api_key_env}")


class Keys:
    """Keys of models, from the environment or a command, which runs once, in `folder`.

    Safe to share between threads.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path | None = None) -> None:
        self._environ = environ
        self._folder = folder
        self._from_commands: dict[tuple[str, ...], str | None] = {}
        self._lock = Lock()

    def key(self, target: ModelTarget) -> str | None:
        """The model's key, None when it needs none. Raises KeyMissingError. Blocks while a command runs."""
        command = target.api_key_command
        if not command:
            return resolve_key(target, self._environ)
        with self._lock:
            if command not in self._from_commands:
                self._from_commands[command] = resolve_key(target, self._environ, self._folder)
            return self._from_commands[command]

    def forget(self, target: ModelTarget) -> None:
        """Runs the model's command anew next time: the key that it gave was refused."""
        if target.api_key_command:
            with self._lock:
                self._from_commands.pop(target.api_key_command, None)


def key_source(target: ModelTarget) -> str | None:
    """Where a model's key comes from, in words for a message; None when it has none."""
    if target.api_key_command:
        return f"api_key_command ('{target.api_key_command[0]}')"
    return target.api_key_env


def program_of(command: tuple[str, ...], folder: Path | None) -> str:
    """What a command runs: a path is relative to `folder`, a bare name is looked for on the PATH."""
    program = command[0]
    is_path = os.sep in program or (os.altsep is not None and os.altsep in program)
    return str(folder / program) if is_path and folder is not None else program


def _from_command(target: ModelTarget, folder: Path | None, timeout_s: float) -> str:
    command = target.api_key_command or ()
    name = f"api_key_command of {target.label} ('{command[0]}')"
    fix = "run the command in a terminal: its first output line must be the key"
    try:
        done = subprocess.run(
            (program_of(command, folder), *command[1:]),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # The exception holds the output so far, so it is no cause to be shown.
        raise KeyMissingError(f"{name} gave no key within {timeout_s:g} s", fix=fix) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid command"
        raise KeyMissingError(f"{name} cannot be run: {reason}", fix=fix) from error
    if done.returncode != 0:
        raise KeyMissingError(f"{name} ended with exit code {done.returncode}", fix=fix)
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    if not lines:
        raise KeyMissingError(f"{name} printed nothing", fix=fix)
    return lines[0].strip()


def _usable(key: str, source: str) -> str:
    if key.isascii() and key.isprintable() and " " not in key:
        return key
    raise KeyMissingError(
        f"{source} holds characters that an API key cannot have",
        fix="look for pasted quotation marks, spaces or line breaks in it",
    )
