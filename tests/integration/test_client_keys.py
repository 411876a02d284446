"""Keys from the environment and from real commands."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from support.calling import QUICK, call, collect, target
from support.in_process import aivax_here
from support.upstream import Upstream, says, status
from support.workspaces import write_gateway

from aivax_cli.core.errors import KeyMissingError, ModelError
from aivax_cli.model.client import HttpChatModel
from aivax_cli.model.keys import resolve_key


def from_command(program: str, **fields) -> str | None:
    model = target("http://host/v1", api_key_command=(sys.executable, "-c", program))
    return resolve_key(model, {}, **fields)


def refused(program: str, **fields) -> str:
    with pytest.raises(KeyMissingError) as caught:
        from_command(program, **fields)
    assert "hush" not in str(caught.value)
    return caught.value.message


def test_a_model_without_key_settings_needs_no_key() -> None:
    assert resolve_key(target("http://host/v1"), {"OPENAI_API_KEY": "x"}) is None


def test_the_variable_s_value_is_the_key_without_white_space_around_it() -> None:
    assert resolve_key(target("http://host/v1", api_key_env="K"), {"K": " abc\n"}) == "abc"


@pytest.mark.parametrize("environ", [{}, {"K": ""}, {"K": "  "}])
def test_an_unset_or_empty_variable_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(KeyMissingError) as caught:
        resolve_key(target("http://host/v1", api_key_env="K"), environ)
    assert str(caught.value) == (
        "no API key for @test/m: the environment variable K is not set; set it: export K=…"
    )


@pytest.mark.parametrize("value", ["hush\nhush", "“hush”", "hush hush", "hush\x00"])
def test_a_value_that_can_be_no_key_is_refused_unseen(value: str) -> None:
    with pytest.raises(KeyMissingError, match="characters that an API key cannot have") as caught:
        resolve_key(target("http://host/v1", api_key_env="K"), {"K": value})
    assert "hush" not in str(caught.value)


def test_the_first_line_of_a_command_s_output_is_the_key() -> None:
    assert from_command("print('abc'); print('more')") == "abc"


def test_a_command_that_fails_is_named_with_its_exit_code_and_without_its_output() -> None:
    message = refused("import sys; print('hush'); sys.stderr.write('hush'); sys.exit(3)")
    assert message.endswith("ended with exit code 3")


def test_a_command_that_prints_nothing_is_an_error() -> None:
    assert refused("pass").endswith("printed nothing")


def test_a_command_that_hangs_is_ended() -> None:
    message = refused("import time; print('hush', flush=True); time.sleep(30)", command_timeout_s=0.5)
    assert message.endswith("gave no key within 0.5 s")


def test_a_command_runs_in_its_folder_whose_programs_and_files_it_may_name(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "tell"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncat "$1"\n')
    program.chmod(0o755)
    (tmp_path / "secret.txt").write_text("abc\n")
    model = target("http://host/v1", api_key_command=("bin/tell", "secret.txt"))
    assert resolve_key(model, {}, tmp_path) == "abc"


def test_a_command_of_a_gateway_runs_in_the_workspace_wherever_the_user_stands(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("abc\n")
    (tmp_path / "docs").mkdir()
    with Upstream(says("x")) as upstream:
        model = f"{{base_url: {upstream.url}, name: m, api_key_command: [cat, secret.txt]}}"
        write_gateway(tmp_path, "g", model)
        done = aivax_here("complete", "g", "hi", cwd=tmp_path / "docs")
        assert done.code == 0, done.err
        assert upstream.requests[0].headers["authorization"] == "Bearer abc"


def test_a_command_that_is_not_there_is_an_error() -> None:
    model = target("http://host/v1", api_key_command=("no-such-command-here",))
    with pytest.raises(KeyMissingError, match="cannot be run: No such file or directory"):
        resolve_key(model, {})


async def two_calls(url: str, command: tuple[str, ...]) -> list[str]:
    texts = []
    async with HttpChatModel({}, retry=QUICK) as model:
        for _ in range(2):
            try:
                texts.append((await collect(model, call(target(url, api_key_command=command)))).text)
            except ModelError as error:
                texts.append(str(error.status))
    return texts


def counting(tmp_path: Path) -> tuple[str, ...]:
    """A command whose key tells how often it ran."""
    program = (
        "import sys, pathlib; file = pathlib.Path(sys.argv[1]); "
        "runs = len(file.read_text()) + 1 if file.exists() else 1; "
        "file.write_text('x' * runs); print(f'key{runs}')"
    )
    return (sys.executable, "-c", program, str(tmp_path / "runs"))


def test_a_command_runs_once_for_many_calls(tmp_path) -> None:
    with Upstream(says("x")) as upstream:
        asyncio.run(two_calls(upstream.url, counting(tmp_path)))
        assert [r.headers["authorization"] for r in upstream.requests] == ["Bearer key1"] * 2


def test_a_refused_key_of_a_command_is_asked_for_anew(tmp_path) -> None:
    with Upstream(status(401), says("x")) as upstream:
        assert asyncio.run(two_calls(upstream.url, counting(tmp_path))) == ["401", "x"]
        assert [r.headers["authorization"] for r in upstream.requests] == ["Bearer key1", "Bearer key2"]
