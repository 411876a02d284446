"""What is slow is loaded late: commands that do not need a heavy library never import it."""

import subprocess
import sys
from pathlib import Path

import pytest

LATE = ("chromadb", "onnxruntime", "numpy", "tiktoken", "starlette", "uvicorn", "prompt_toolkit")

_PROBE = """
import sys
from aivax_cli.cli.app import app
try:
    app(sys.argv[1:], prog_name="aivax")
except SystemExit as stop:
    code = stop.code or 0
print("loaded:", *[name for name in {late!r} if name in sys.modules], file=sys.stderr)
raise SystemExit(code)
"""


def loaded_by(*arguments: str, cwd: Path, environ: dict[str, str] | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(late=LATE), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )
    return done.stderr.splitlines()[-1].removeprefix("loaded:").split()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ws")
    subprocess.run([sys.executable, "-m", "aivax_cli", "init"], cwd=root, check=True, capture_output=True)
    return root


HELP = ("--help", "--version", "chat --help", "complete --help", "ingest --help", "search --help")
LISTS = (
    "gateways",
    "gateways show my-gateway",
    "gateways validate",
    "collections",
    "usage",
    "schema gateway",
)


@pytest.mark.parametrize("command", [*HELP, *LISTS])
def test_commands_that_do_not_search_load_no_heavy_library(command: str, workspace: Path) -> None:
    assert loaded_by(*command.split(), cwd=workspace) == []


def test_shell_completion_loads_no_heavy_library(workspace: Path) -> None:
    import os

    environ = {**os.environ, "_AIVAX_COMPLETE": "complete_bash", "COMP_WORDS": "aivax ", "COMP_CWORD": "1"}
    assert loaded_by(cwd=workspace, environ=environ) == []
