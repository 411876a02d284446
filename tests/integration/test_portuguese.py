"""The program in Portuguese: help, errors, tables, the chat; and what stays as it is for programs."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Done, aivax
from support.upstream import Upstream, says
from support.workspaces import write_gateway
from typer.main import get_command

from aivax_cli.cli.app import app
from aivax_cli.cli.spoken_help import speaking
from aivax_cli.messages.language import Language

PORTUGUESE = {"AIVAX_LANG": "pt"}
ENGLISH_WORDS = re.compile(
    r"\b(the|of|and|with|which|this|that|from|is|are|its|it|not|to|when|what|Usage|Options)\b"
)
IN_CODE = re.compile(r"--[a-z-]+|`[^`]*`|\"[^\"]*\"|'[^']*'")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("loja")
    assert run(root, "init").code == 0
    return root


def run(root: Path, *arguments: str, env: dict[str, str] | None = None, stdin: str | None = None) -> Done:
    return aivax(*arguments, cwd=root, home=root, env=PORTUGUESE if env is None else env, stdin=stdin)


def _helps(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context)
    for name in getattr(command, "commands", ()):
        below = command.get_command(context, name)
        yield from _helps(below, below.context_class(below, info_name=name, parent=context))


def test_no_help_of_any_command_has_english_left() -> None:
    program = speaking(get_command(app), Language("pt"))
    helps = dict(_helps(program, program.context_class(program, info_name="aivax")))

    assert len(helps) > 30
    left = {path: sorted(set(ENGLISH_WORDS.findall(IN_CODE.sub("", text)))) for path, text in helps.items()}
    assert {path: words for path, words in left.items() if words} == {}


def test_help_comes_from_the_program_in_portuguese(workspace: Path) -> None:
    said = run(workspace, "usage", "--help").out

    assert said.startswith("Uso: aivax usage [OPÇÕES]")
    assert "--since QUANDO" in said
    assert "Mostra esta mensagem e sai." in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["gateways", "show", "nope"],
            "erro: nenhum gateway chamado 'nope'; escolha um destes: my-gateway\n",
        ),
        (["search", "kb"], "erro: falta o argumento 'TERMO...'; uso: aivax search [OPÇÕES] {collection} "),
        (
            ["serve", "--port", "x"],
            "erro: valor inválido para '--port': precisa ser um número inteiro; veja aivax",
        ),
        (["usage", "--by"], "erro: a opção '--by' exige um valor; veja aivax --help\n"),
        (
            ["usage", "--untl", "7d"],
            "não existe a opção: --untl; você quis dizer --html ou --quiet ou --until?",
        ),
        (["serv"], "erro: não existe o comando 'serv'"),
        (["usage"], "as cobranças vêm com o primeiro turno."),
    ],
)
def test_what_goes_to_stderr_is_in_portuguese(workspace: Path, arguments: list[str], said: str) -> None:
    assert said in run(workspace, *arguments).err


def test_every_fault_of_a_definition_is_said_in_portuguese(tmp_path: Path) -> None:
    run(tmp_path, "init")
    broken = tmp_path / "gateways" / "broken.yaml"
    broken.write_text("name: Bad Name\nmodel: gpt-5\nknowledge:\n  top: 900\n", encoding="utf-8")

    done = run(tmp_path, "gateways", "validate")

    assert done.code == 2
    assert "broken.yaml:1: name: precisa ter só letras minúsculas, dígitos" in done.out
    assert "e não 'Bad Name'; você quis dizer 'bad-name'?" in done.out
    assert "broken.yaml:4: knowledge.top: precisa estar entre 1 e 128, e não 900" in done.out
    assert "\n5 erros em 1 de 3 arquivos" in "\n" + done.err


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": "", "AIVAX_LANG": ""}, "erro:"),
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": "", "AIVAX_LANG": "en"}, "error:"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "", "AIVAX_LANG": ""}, "error:"),
    ],
)
def test_the_system_chooses_unless_the_user_does(
    workspace: Path, variables: dict[str, str], word: str
) -> None:
    assert run(workspace, "gateways", "show", "nope", env=variables).err.startswith(word)


def _without_times(data: Any) -> str:
    return re.sub(r"[0-9a-f]{8,}|[0-9]+", "0", json.dumps(data))


@pytest.mark.parametrize(
    "arguments", [["gateways"], ["gateways", "validate"], ["usage"], ["collections"], ["models", "local"]]
)
def test_json_and_exit_codes_are_the_same_in_every_language(workspace: Path, arguments: list[str]) -> None:
    english = run(workspace, *arguments, "--json", env={"AIVAX_LANG": "en"})
    portuguese = run(workspace, *arguments, "--json")

    assert (portuguese.code, _without_times(portuguese.json)) == (english.code, _without_times(english.json))


def test_a_chat_speaks_portuguese_and_leaves_the_answer_as_it_is(tmp_path: Path) -> None:
    with Upstream(says("The answer is not empty; total: 3 turns")) as upstream:
        write_gateway(tmp_path, "talk", f"{{base_url: {upstream.url}, name: big}}")
        done = run(tmp_path, "chat", stdin="Oi\n/help\n/cost\n/undo\n/nope\n")

    assert "The answer is not empty; total: 3 turns" in done.out
    assert "Faz de novo a última pergunta, para obter outra resposta." in done.err
    assert "este chat até agora: $0.00" in done.err
    assert "desfeito: Oi" in done.err
    assert "erro: não existe o comando '/nope'" in done.err


def test_english_loads_no_catalogue(workspace: Path) -> None:
    probe = (
        "import sys\nfrom aivax_cli.cli.app import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name.startswith('aivax_cli.messages.c')], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, "gateways"],
        cwd=workspace,
        env={"AIVAX_LANG": "en", "HOME": str(workspace)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.splitlines()[-1] == "[]"
