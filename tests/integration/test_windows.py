"""What Windows lacks is needed nowhere: POSIX modules at import, signals, characters of its consoles."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.upstream import Upstream, says
from support.workspaces import write_gateway

ANSWER = "✓ ação – 日本 😀"

_IMPORT_EVERYTHING = """
import importlib, os, pkgutil, signal, sys
import asyncio, subprocess, multiprocessing  # Python's own find what they need

LACKING = {"termios", "fcntl", "pwd", "grp", "resource", "tty", "pty", "readline", "curses", "syslog"}

class Windows:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        if name in LACKING and frame.f_globals.get("__name__", "").startswith("aivax_cli"):
            raise ImportError(f"{name} at import of {frame.f_globals['__name__']}")
        return None

for name in LACKING:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Windows())
for holder, names in {signal: ("SIGKILL", "SIGHUP"), os: ("getuid", "sched_getaffinity", "statvfs")}.items():
    for name in names:
        delattr(holder, name)

import aivax_cli
for module in pkgutil.walk_packages(aivax_cli.__path__, "aivax_cli."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_every_module_can_be_imported_without_posix() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_EVERYTHING], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) > 300


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    with Upstream(says(ANSWER)) as server:
        write_gateway(tmp_path, "talk", f"{{base_url: {server.url}, name: big}}")
        yield tmp_path


def run(workspace: Path, encoding: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "PYTHONIOENCODING": encoding, "HOME": str(workspace)}
    command = [sys.executable, "-m", "aivax_cli", *arguments]
    return subprocess.run(command, cwd=workspace, env=environ, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("encoding", "printed"), [("cp1252", "? ação – ?? ?"), ("ascii", "? a??o ? ?? ?"), ("utf-8", ANSWER)]
)
def test_what_a_console_cannot_show_is_a_question_mark(workspace: Path, encoding: str, printed: str) -> None:
    done = run(workspace, encoding, "complete", "Hello")
    assert done.returncode == 0
    assert done.stdout.decode(encoding).strip() == printed
    assert b"Unicode" not in done.stderr


def test_json_loses_no_character(workspace: Path) -> None:
    done = run(workspace, "cp1252", "complete", "--json", "Hello")
    assert json.loads(done.stdout)["text"] == ANSWER


@pytest.mark.parametrize(
    "command", [["gateways"], ["usage"], ["schema", "gateway"], ["complete", "nobody", "Hi"]]
)
def test_tables_and_errors_are_printed_in_ascii(workspace: Path, command: list[str]) -> None:
    done = run(workspace, "ascii", *command)
    assert done.returncode in (0, 2)
    assert b"Unicode" not in done.stderr
