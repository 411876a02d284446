"""Processes that search while another one writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.knowledge import run_ingest, write_files
from support.patience import PATIENT_S

pytestmark = pytest.mark.usefixtures("vector_store")

READERS = 3
ROUNDS = 4

SEARCH = """
import sys
from pathlib import Path
from support.knowledge import open_knowledge
from aivax_cli.core.types import RetrievalLimits

base = open_knowledge(Path(sys.argv[1]))
for line in sys.stdin:
    found = base.search(["kb"], ["version of the text"], RetrievalLimits(top=20, min_score=0.0)).passages
    print(*sorted(passage.text.replace("\\n", " ") for passage in found), sep="|", flush=True)
"""


def write_version(base: Path, version: int) -> None:
    """A file of two sections that both say which version they are of, and one that stays."""
    part = f"the text in version {version}"
    write_files(base, {"docs/a.md": f"# A\n\n## One\n\nfirst of {part}\n\n## Two\n\nsecond of {part}\n"})
    write_files(base, {"docs/b.md": "# B\n\na text without\n"})


def ask(reader: subprocess.Popen[str]) -> str:
    reader.stdin.write("\n")
    reader.stdin.flush()
    return reader.stdout.readline()


def test_open_readers_in_other_processes_see_whole_files_and_every_new_version(tmp_path):
    write_version(tmp_path, 0)
    run_ingest(tmp_path)
    command = [sys.executable, "-c", SEARCH, str(tmp_path)]
    where = Path(__file__).parents[1]
    readers = [
        subprocess.Popen(command, cwd=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(READERS)
    ]
    try:
        for version in range(1, ROUNDS):
            for reader in readers:  # asked now, answered while the ingest below is at work
                reader.stdin.write("\n" * 10)
                reader.stdin.flush()
            write_version(tmp_path, version)
            run_ingest(tmp_path)
            for reader in readers:
                for answer in (reader.stdout.readline() for _ in range(10)):
                    assert sum(answer.count(f"version {seen}") == 2 for seen in range(version + 1)) == 1
                assert ask(reader).count(f"version {version}") == 2
    finally:
        for reader in readers:
            reader.stdin.close()
            reader.wait(PATIENT_S)
            reader.stdout.close()
