"""What is slow is loaded late: commands that do not need a heavy library never import it."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.upstream import Upstream, says
from support.workspaces import write_gateway

LATE = ("chromadb", "onnxruntime", "numpy", "tiktoken", "starlette", "uvicorn", "prompt_toolkit")

NOT_FOR_CHECKS = (
    "httpx",
    "rich",
    "platformdirs",
    "importlib.metadata",
    "genai_prices",
    "aivax_cli.assets.store",
    "aivax_cli.checks.reports.html",
)
"""What a run of checks in a pipe does without, where all pass: each takes 5 to 50 ms."""

_PROBE = """
import sys
from aivax_cli.__main__ import main
try:
    main()
except SystemExit as stop:
    code = stop.code or 0
print("loaded:", *[name for name in {late!r} if name in sys.modules], file=sys.stderr)
raise SystemExit(code)
"""


def loaded_by(
    *arguments: str, cwd: Path, environ: dict[str, str] | None = None, late: tuple[str, ...] = LATE
) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(late=late), *arguments],
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


def test_a_run_of_checks_loads_only_what_it_uses(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    tests = [f"  - {{id: t{n}, input: 'The capital?', expect: [{{contains: Paris}}]}}" for n in range(50)]
    (tmp_path / "checks" / "t.yaml").write_text("\n".join(["gateway: g", "tests:", *tests]))
    with Upstream(says("It is Paris.")) as upstream:
        write_gateway(tmp_path, "g", f"{{base_url: {upstream.url}, name: m}}")
        assert loaded_by("check", "--live", cwd=tmp_path, late=(*LATE, *NOT_FOR_CHECKS)) == []


def test_a_command_ends_without_looking_for_garbage() -> None:
    # Python does that after what was registered first, and that is done last.
    told = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count()));"
        "from aivax_cli.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", told, "--version"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout.splitlines()[-1]) > 10_000
