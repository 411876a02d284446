"""Documents from stdin, and folders that are watched."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.knowledge import write_files
from support.patience import PATIENT_S

TIMEOUT_S = 2 * PATIENT_S


def aivax(base: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "aivax_cli", "-C", str(base), *arguments],
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess([], done.returncode, done.stdout.decode(), done.stderr.decode())


def first_hit(base: Path, question: str) -> dict:
    return json.loads(aivax(base, "search", "kb", question, "--top", "1", "--json").stdout)["hits"][0]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    text = "# Cats\n\nCats sleep most of the day and hunt small animals at night.\n"
    return write_files(tmp_path, {"aivax.yaml": "", "docs/a.md": text})


def test_a_document_from_stdin_stays_until_it_is_given_again(base):
    note = b"# Zebras\n\nZebras graze in the savannah as long as there is any grass to be found.\n"
    done = aivax(base, "ingest", "-", "--name", "notes.md", "-c", "kb", "--json", stdin=note)
    assert (done.returncode, json.loads(done.stdout)["added"]) == (0, 1)
    aivax(base, "ingest", ".", "-c", "kb")  # nothing of it is below any folder
    hit = first_hit(base, "zebras graze")
    assert (hit["source"], hit["heading"], hit["lines"]) == ("notes.md", "Zebras", [1, 3])
    again = aivax(base, "ingest", "-", "--name", "notes.md", "-c", "kb", "--json", stdin=note)
    assert json.loads(again.stdout)["unchanged"] == 1
    other = aivax(base, "ingest", "-", "--name", "notes.md", "-c", "kb", "--json", stdin=b"Lions sleep.")
    assert json.loads(other.stdout)["changed"] == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("-",), b"text", "needs a name"),
        (("-", "--name", "a\nb"), b"text", "printable"),
        (("-", "--name", "a.md"), b" \n", "stdin is empty"),
        (("-", "docs", "--name", "a.md"), b"text", "nothing else"),
        (("-", "--name", "a.md", "--watch"), b"text", "nothing else"),
        (("docs", "--name", "a.md"), b"", "from stdin"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(base, arguments, stdin, said):
    done = aivax(base, "ingest", *arguments, "-c", "kb", stdin=stdin)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr


def test_a_watched_folder_is_ingested_again_when_a_file_changes_and_ctrl_c_ends_it_well(base):
    process = subprocess.Popen(
        [sys.executable, "-m", "aivax_cli", "-C", str(base), "ingest", "docs", "-c", "kb", "--watch"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "200"},
    )

    def line_with(words: str) -> str:
        assert process.stderr is not None
        for _ in range(20):
            assert select.select([process.stderr], [], [], TIMEOUT_S)[0], "nothing was said"
            line = os.read(process.stderr.fileno(), 4096).decode()
            if words in line:
                return line
        raise AssertionError(f"no line with {words}")

    try:
        line_with("1 added")
        write_files(base, {"docs/b.md": "# Zebras\n\nZebras graze in the savannah while there is grass.\n"})
        assert "1 unchanged" in line_with("1 added")
        (base / "docs/b.md").unlink()
        line_with("1 removed")
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()
