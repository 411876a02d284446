"""Tab in a shell, as the scripts of `aivax --show-completion` ask for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import Done, aivax
from support.workspaces import write_gateway

from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.records import EmbedderTag

AIVAX = Path(sys.executable).parent / "aivax"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ws")
    write_gateway(root, "support", "'@openai/gpt-5-mini'")
    write_gateway(root, "sales", "'@acme/big'", number=2)
    (root / "collections").mkdir()
    (root / "collections" / "handbook.yaml").write_text("description: A\n", encoding="utf-8")
    return root


def asked(workspace: Path, **variables: str) -> Done:
    return aivax(cwd=workspace, home=workspace, env=variables)


def bash(workspace: Path, line: str) -> list[str]:
    """What bash offers for the last word of the line."""
    words = line.split(" ")
    variables = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return asked(workspace, _AIVAX_COMPLETE="complete_bash", **variables).out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("aivax cha", ["chat"]),
        ("aivax chat ", ["sales", "support"]),
        ("aivax complete su", ["support"]),
        ("aivax usage --gateway s", ["sales", "support"]),
        ("aivax search ", ["handbook"]),
        ("aivax ingest --collection hand", ["handbook"]),
        (
            "aivax gateways new bot --model @",
            ["@acme/big", "@local/qwen2.5-coder-0.5b", "@openai/gpt-5-mini"],
        ),
        ("aivax collections sh", ["show"]),
        ("aivax chat --conv", ["--conversation"]),
    ],
)
def test_bash_is_offered(workspace: Path, line: str, offered: list[str]) -> None:
    found = bash(workspace, line)
    assert [name for name in found if name in offered] == offered
    assert "--model" in line or found == offered


def test_collections_without_a_file_of_their_own_are_offered(tmp_path: Path) -> None:
    write_gateway(tmp_path, "support", "'@local/any'")
    (tmp_path / ".aivax").mkdir()
    with Catalogue.create(tmp_path / ".aivax").writing() as writer:
        writer.create_collection("diary", EmbedderTag("any", "any/1", 2))
    assert bash(tmp_path, "aivax search ") == ["diary"]


def test_another_folder_is_looked_into(workspace: Path, tmp_path: Path) -> None:
    assert bash(tmp_path, f"aivax -C {workspace} chat sa") == ["sales"]


def test_where_no_workspace_is_nothing_is_offered_and_nothing_said(tmp_path: Path) -> None:
    line = {"COMP_WORDS": "aivax chat ", "COMP_CWORD": "2"}
    done = asked(tmp_path, _AIVAX_COMPLETE="complete_bash", **line)
    assert (done.out.strip(), done.err) == ("", "")


def test_zsh_is_told_what_each_word_is_for(workspace: Path) -> None:
    done = asked(workspace, _AIVAX_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="aivax cha")
    assert done.out.strip() == """_arguments '*: :(("chat":"Talk with a gateway."))'"""


def test_fish_is_told_what_each_word_is_for(workspace: Path) -> None:
    variables = {"_TYPER_COMPLETE_ARGS": "aivax cha", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = asked(workspace, _AIVAX_COMPLETE="complete_fish", **variables)
    assert done.out.strip() == "chat\tTalk with a gateway."


def test_powershell_is_told_what_each_word_is_for(workspace: Path) -> None:
    variables = {"_TYPER_COMPLETE_ARGS": "aivax cha", "_TYPER_COMPLETE_WORD_TO_COMPLETE": "cha"}
    done = asked(workspace, _AIVAX_COMPLETE="complete_powershell", **variables)
    assert done.out.strip() == "chat:::Talk with a gateway."


def from_shell(name: str, option: str, folder: Path) -> Done:
    """Runs `aivax OPTION` from a shell that goes by that name; which one it is, is told from its process."""
    shell = folder / name
    shutil.copy("/bin/bash", shell)
    done = subprocess.run(
        [shell, "--norc", "-c", f"{AIVAX} {option}; exit $?"],
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_the_script_works_in_bash_itself(workspace: Path, tmp_path: Path) -> None:
    script = from_shell("bash", "--show-completion", tmp_path).out
    press_tab = f"COMP_WORDS=(aivax chat su); COMP_CWORD=2; _aivax_completion {AIVAX}; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", f"{script}\n{press_tab}"],
        cwd=workspace,
        env={**os.environ, "HOME": str(workspace)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "support"


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".bash_completions/aivax.sh"),
        ("zsh", ".zfunc/_aivax"),
        ("fish", ".config/fish/completions/aivax.fish"),
    ],
)
def test_completion_is_installed_where_the_shell_looks(tmp_path: Path, shell: str, place: str) -> None:
    assert from_shell(shell, "--install-completion", tmp_path).code == 0
    assert f"_AIVAX_COMPLETE=complete_{shell}" in (tmp_path / place).read_text("utf-8")


def test_powershell_gets_a_script(tmp_path: Path) -> None:
    assert "Register-ArgumentCompleter" in from_shell("pwsh", "--show-completion", tmp_path).out


def test_tab_loads_no_markup(workspace: Path) -> None:
    variables = {"_AIVAX_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "aivax "}
    done = asked(workspace, PYTHONPROFILEIMPORTTIME="1", **variables)
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "typer" in loaded
    assert loaded.isdisjoint({"rich", "rich.markdown", "pydantic", "yaml", "asyncio"})


def test_tab_after_a_beginning_loads_the_commands_that_begin_so(workspace: Path) -> None:
    words = {"COMP_WORDS": "aivax ch", "COMP_CWORD": "1"}
    done = asked(workspace, PYTHONPROFILEIMPORTTIME="1", _AIVAX_COMPLETE="complete_bash", **words)
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "aivax_cli.cli.check_run" in loaded
    assert "aivax_cli.cli.doctor_machine" not in loaded
