"""`aivax chat` without a person: every line of stdin is a turn."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import Done, aivax
from support.upstream import Upstream, says, status
from support.workspaces import write_gateway


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(says("**One**\n"), says("Two")) as server:
        yield server


def chat(root: Path, upstream: Upstream, stdin: str, *arguments: str) -> Done:
    write_gateway(root, "talk", f"{{base_url: {upstream.url}, name: big}}")
    return aivax("chat", *arguments, cwd=root, home=root, stdin=stdin)


def test_answers_are_raw_text_and_everything_else_goes_to_stderr(tmp_path: Path, upstream: Upstream) -> None:
    done = chat(tmp_path, upstream, "first\nsecond\n")
    assert (done.code, done.out) == (0, "**One**\nTwo\n")
    assert [line.split(" · ")[:2] for line in done.err.splitlines()] == [["10 in", "1 out"]] * 2


def test_lines_are_turns_of_one_conversation(tmp_path: Path, upstream: Upstream) -> None:
    chat(tmp_path, upstream, "first\n\nsecond")
    contents = [message["content"] for message in upstream.bodies[1]["messages"]]
    assert contents == ["first", "**One**\n", "second"]


def test_quiet_says_nothing_beside_the_answers(tmp_path: Path, upstream: Upstream) -> None:
    assert chat(tmp_path, upstream, "first\n", "--quiet").err == ""


def test_json_is_one_object_a_turn(tmp_path: Path, upstream: Upstream) -> None:
    done = chat(tmp_path, upstream, "first\nsecond\n", "--json")
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == ["**One**\n", "Two"]


def test_commands_work_in_scripts(tmp_path: Path, upstream: Upstream) -> None:
    done = chat(tmp_path, upstream, "/set temperature=0.5\nfirst\n/save talk.json\n/exit\nnever asked\n")
    assert done.code == 0
    assert [body["temperature"] for body in upstream.bodies] == [0.5]
    assert json.loads((tmp_path / "talk.json").read_text())["turns"][0]["text"] == "**One**\n"


def test_a_turn_that_failed_is_told_by_the_exit_code_and_the_rest_goes_on(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.answers(status(401), says("Two"))
    done = chat(tmp_path, upstream, "first\nsecond\n")
    assert (done.code, done.out) == (1, "Two\n")
    assert "error: " in done.err


def test_why_shows_what_a_failed_turn_had_sent(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(status(401))
    told = chat(tmp_path, upstream, "first\n/why\n").err
    assert "Sent  1 message\n[user]\nfirst\n" in told
    assert "the turn did not come to its end: " in told


def test_a_setting_of_the_command_line_holds_for_the_chat(tmp_path: Path, upstream: Upstream) -> None:
    chat(tmp_path, upstream, "first\n", "--set", "temperature=0.7")
    assert upstream.bodies[0]["temperature"] == 0.7


def test_an_unknown_gateway_is_a_usage_error_with_the_nearest_name(
    tmp_path: Path, upstream: Upstream
) -> None:
    done = chat(tmp_path, upstream, "first\n", "tlk")
    assert (done.code, done.out) == (2, "")
    assert "did you mean 'talk'?" in done.err
