"""What surrounds the program may be odd: closed streams, a full disk, a folder that is gone, slips."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import aivax
from support.upstream import Upstream, chunk, says, sse, tool_call, usage
from support.workspaces import write_gateway


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with Upstream(says("Paris.")) as upstream:
        write_gateway(tmp_path, "g", f"{{base_url: {upstream.url}, name: m}}")
        yield tmp_path


def shell(line: str, cwd: Path) -> tuple[int, str, str]:
    """Runs a line of sh, in which `aivax` is the program."""
    program = f'aivax() {{ "{sys.executable}" -m aivax_cli "$@"; }}\n'
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd), "AIVAX_CACHE_DIR": str(cwd / "cache")}
    done = subprocess.run(
        ["sh", "-c", program + line], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("complet", "error: no such command 'complet'; did you mean 'complete', 'compare'?"),
        ("search kb x --topp 3", "error: no such option: --topp; did you mean --top?"),
        ("complete g hi -m x", "error: no such option: -m; write --set model=VALUE"),
        ("complete g hi --set", "error: option '--set' requires an argument; see aivax --help"),
        ("search kb", "error: missing argument 'TERM...'; usage: aivax search [OPTIONS]"),
        ("usage 7d", "error: got unexpected extra argument(s) (7d); see aivax usage --help"),
        ("usage --by mode", "error: no grouping named 'mode'; did you mean 'model'?"),
        ("-C nowhere usage", "error: --directory: no such folder: nowhere; check the path"),
    ],
)
def test_a_slip_on_the_command_line_is_an_error_of_one_line(place: Path, line: str, said: str) -> None:
    done = aivax(*line.split(), cwd=place, home=place)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(said)
    assert done.err.count("\n") == 1


def test_without_a_command_the_help_is_shown(place: Path) -> None:
    done = aivax(cwd=place, home=place)
    assert "Commands:" in done.out + done.err


def test_with_stderr_closed_nothing_is_mixed_into_the_answer(place: Path) -> None:
    assert shell("aivax complete g hi 2>&- </dev/null", place) == (0, "Paris.\n", "")


def test_with_all_streams_closed_a_turn_still_works(place: Path) -> None:
    assert shell("aivax complete g hi <&- >&- 2>&-; echo $?", place) == (0, "0\n", "")


@pytest.mark.parametrize("line", ["complete g hi -q", "complete g hi -q --json", "schema gateway", "--help"])
def test_an_output_that_cannot_be_written_is_an_error_of_one_line(place: Path, line: str) -> None:
    code, _, err = shell(f"aivax {line} </dev/null >/dev/full", place)
    assert code == 1
    assert err == "error: No space left on device; free some space, then again\n"


@pytest.mark.parametrize("line", ["complete g hi -q", "schema gateway", "--help", "gateways"])
def test_a_reader_that_leaves_is_no_error(place: Path, line: str) -> None:
    code, _, err = shell(f"{{ aivax {line} </dev/null; echo $? >code; }} | head -c 1; cat code", place)
    assert (code, err) == (0, "")


def test_a_current_folder_that_is_gone_is_an_error_of_one_line(place: Path) -> None:
    code, _, err = shell("mkdir a; cd a; rmdir ../a; aivax usage", place)
    assert code == 2
    assert err == "error: the current folder is gone; change to one that is there: cd ~\n"


@pytest.mark.parametrize("count", [10**29, 2**63])
def test_an_impossible_usage_report_is_replaced_by_an_estimate(tmp_path: Path, count: int) -> None:
    answer = sse([chunk("hi"), chunk(finish="stop"), {"choices": [], "usage": usage(count, count)}])
    with Upstream(answer) as upstream:
        write_gateway(tmp_path, "g", f"{{base_url: {upstream.url}, name: m}}")
        done = aivax("complete", "g", "hi", "--json", cwd=tmp_path, home=tmp_path, stdin="")
    assert (done.code, done.json["text"]) == (0, "hi")
    assert done.json["usage"]["estimated"] is True


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://x", "http://127.0.0.1:9"])
def test_proxies_do_not_matter_to_endpoints_on_this_machine(place: Path, proxy: str) -> None:
    environ = {"ALL_PROXY": proxy, "HTTP_PROXY": proxy}
    assert aivax("complete", "g", "hi", cwd=place, home=place, stdin="", env=environ).out == "Paris.\n"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, "error: the environment names a SOCKS proxy"),
        ({"HTTPS_PROXY": "ftp://x"}, "error: the environment names a proxy that is no address"),
        ({"SSL_CERT_FILE": "/nowhere"}, "error: the certificates that the environment names cannot be read"),
    ],
)
def test_what_the_environment_says_wrong_is_an_error_of_one_line(
    tmp_path: Path, environ: dict[str, str], said: str
) -> None:
    write_gateway(tmp_path, "g", "{base_url: https://192.0.2.1/v1, name: m}")
    done = aivax("complete", "g", "hi", cwd=tmp_path, home=tmp_path, stdin="", env=environ)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith(said)


def test_a_gateway_that_cannot_be_written_leaves_nothing(place: Path) -> None:
    # Python itself would leave half a .pyc in the package, for every later start to stumble over.
    line = "ulimit -f 1; PYTHONDONTWRITEBYTECODE=1 aivax gateways new other"
    code, _, err = shell(line, place)
    assert (code, err.count("\n")) == (1, 1)
    assert not (place / "gateways" / "other.yaml").exists()


def test_a_workspace_is_validated_by_its_folder(place: Path) -> None:
    (place / "gateways" / "bad.yaml").write_text("name: bad\n")
    done = aivax("gateways", "validate", ".", cwd=place, home=place)
    assert (done.code, "gateways/bad.yaml:1" in done.out) == (2, True)


def test_a_folder_without_definitions_is_no_success(place: Path) -> None:
    (place / "empty").mkdir()
    assert aivax("gateways", "validate", "empty", cwd=place, home=place).code == 2


@pytest.mark.parametrize(
    "arguments", ["[" * 100_000, '{"search_terms": ["' + "x " * 100_000 + '"]}', "{no json", "9" * 9999]
)
def test_a_tool_call_of_garbage_neither_ends_the_turn_nor_floods_the_screen(
    tmp_path: Path, arguments: str
) -> None:
    asks = sse([tool_call("search_knowledge", arguments), chunk(finish="tool_calls")])
    with Upstream(asks, says("Paris.")) as upstream:
        more = "knowledge: {collections: [kb], strategy: QueryFunction}\n"
        write_gateway(tmp_path, "g", f"{{base_url: {upstream.url}, name: m}}", more=more)
        done = aivax("complete", "g", "hi", cwd=tmp_path, home=tmp_path, stdin="")
    assert (done.code, done.out) == (0, "Paris.\n")
    assert len(done.err) < 1500
    assert upstream.bodies[1]["messages"][-1]["content"].startswith("The search was not run")


def test_messages_nested_beyond_reason_are_refused(place: Path) -> None:
    done = aivax("complete", "g", "--messages", "-", cwd=place, home=place, stdin="[" * 100_000)
    assert (done.code, done.err[:40]) == (2, "error: stdin is nested beyond all reason")


def test_forced_colour_does_not_make_a_terminal_of_a_pipe(place: Path) -> None:
    environ = {"FORCE_COLOR": "1"}
    done = aivax("complete", "g", "hi", cwd=place, home=place, stdin="", env=environ)
    assert done.out == "Paris.\n"
    assert "\x1b[K" not in done.err
    listed = aivax("gateways", cwd=place, home=place, env=environ)
    assert "\x1b[1m" in listed.out
