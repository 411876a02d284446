"""A large collection's Chroma index in parts, and the processes that write them."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.knowledge import HashEmbedder, run_ingest, run_repair, write_files
from support.patience import until
from support.tool_boxes import is_running

from aivax_cli.core.types import RetrievalLimits
from aivax_cli.ingest.progress import IngestSummary, Progress
from aivax_cli.retrieval import part_building, partition, snapshots
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.partition import Part
from aivax_cli.retrieval.search import KnowledgeBase
from aivax_cli.retrieval.snapshots import sound_snapshot

LIMITS = RetrievalLimits(top=8, min_score=0.0, reranker="none")
SIZE = 20
COUNT = 50
QUESTIONS = ("item7 of word0", "word3", "item40 item61")

INGEST = """
import os, signal, subprocess, sys
from pathlib import Path
from support.knowledge import run_ingest
from aivax_cli.retrieval import part_building

class Stopped(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        os.kill(self.pid, signal.SIGSTOP)
        self.stdin.flush, self.hand_over = self.tell, self.stdin.flush

    def tell(self):
        self.hand_over()
        print(self.pid, flush=True)

part_building.OWN_PROCESS = 0
part_building.subprocess.Popen = Stopped
run_ingest(Path(sys.argv[1]))
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of documents, not ingested yet, of which a part holds `SIZE`."""
    monkeypatch.setattr(partition, "PART", SIZE)
    write_files(
        tmp_path, {f"docs/{n:03}.md": f"# Number {n}\n\nitem{n} of word{n % 7}\n" for n in range(COUNT)}
    )
    return tmp_path


@pytest.fixture
def apart(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index is one part, written by a process of its own."""
    monkeypatch.setattr(partition, "PART", 1_000)
    monkeypatch.setattr(part_building, "OWN_PROCESS", 0)


def index_warnings(summary: IngestSummary) -> list[str]:
    return [warning.reason for warning in summary.warnings if "vector index" in warning.reason]


def answers(base: Path, index: str) -> list[list[tuple[str, float]]]:
    knowledge = KnowledgeBase(base / ".aivax", HashEmbedder(), vector_index=index)
    found = [knowledge.search(["kb"], [question], LIMITS).passages for question in QUESTIONS]
    knowledge.close()
    return [[(each.source.document, round(each.score, 4)) for each in passages] for passages in found]


def parts(base: Path) -> tuple[Part, ...]:
    with Catalogue.open(base / ".aivax").reading() as reader:
        return sound_snapshot(reader.collection("kb"), base / ".aivax" / "chroma") or ()


def folders(base: Path) -> list[str]:
    return [part.folder for part in parts(base)]


def to_builders(monkeypatch: pytest.MonkeyPatch, what: Callable[[int], None]) -> None:
    """Does something to every process that is started to write a part, before it has written anything."""

    class Met(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            what(self.pid)

    monkeypatch.setattr(part_building.subprocess, "Popen", Met)


@contextmanager
def stopped_builder(base: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """An ingest in a process of its own, and the one that writes a part: it has its job, and is stopped."""
    command = [sys.executable, "-c", INGEST, str(base)]
    where = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=where, stdout=subprocess.PIPE, text=True) as ingest:
        assert ingest.stdout is not None
        builder = int(ingest.stdout.readline())
        try:
            yield ingest, builder
        except BaseException:
            ingest.kill()
            os.kill(builder, signal.SIGKILL)
            raise


def test_parts_are_searched_as_one(base):
    run_ingest(base)
    assert [part.vectors for part in parts(base)] == [20, 20, 10]
    assert answers(base, "chroma") == answers(base, "exact")


def test_a_new_document_is_written_to_the_last_part_alone(base):
    run_ingest(base)
    before = folders(base)
    write_files(base, {"docs/new.md": "# New\n\nitem7 new\n"})
    run_ingest(base)
    assert folders(base)[:-1] == before[:-1]
    assert folders(base)[-1] != before[-1]
    assert answers(base, "chroma") == answers(base, "exact")


def test_a_removed_document_is_taken_out_of_its_part_alone(base):
    run_ingest(base)
    before = folders(base)
    (base / "docs/025.md").unlink()
    run_ingest(base)
    after = folders(base)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert parts(base)[1].vectors == SIZE - 1
    assert answers(base, "chroma") == answers(base, "exact")


def test_of_a_damaged_index_only_the_damaged_part_is_made_again(base):
    run_ingest(base)
    before = folders(base)
    for path in (base / ".aivax/chroma" / before[1]).rglob("data_level0.bin"):
        os.truncate(path, 10)
    run_ingest(base)
    assert [old == new for old, new in zip(before, folders(base), strict=True)] == [True, False, True]
    assert answers(base, "chroma") == answers(base, "exact")


def test_through_many_changes_parts_and_the_scan_agree(base):
    run_ingest(base)
    for step in range(5):
        for number in range(step * 9, step * 9 + 9):
            (base / f"docs/{number:03}.md").unlink()
        numbers = range(100 + 20 * step, 115 + 20 * step)
        write_files(base, {f"docs/{n}.md": f"# More\n\nitem{n} of word{n % 5}\n" for n in numbers})
        run_ingest(base)
        assert answers(base, "chroma") == answers(base, "exact")


def test_interrupted_between_parts_the_next_ingest_goes_on_after_them(base, monkeypatch):
    made = []

    def interrupted(catalogue, job, on_written):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(job)
        return part_building.build(catalogue, job, on_written)

    monkeypatch.setattr(snapshots, "build", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_ingest(base)
    first = folders(base)
    assert len(first) == 2
    assert {path.name for path in (base / ".aivax/chroma").iterdir()} == set(first)
    assert answers(base, "chroma") == answers(base, "exact")
    monkeypatch.undo()
    monkeypatch.setattr(partition, "PART", SIZE)
    run_ingest(base)
    assert folders(base)[:2] == first
    assert sum(part.vectors for part in parts(base)) == COUNT


def indexing(base: Path) -> list[tuple[int, int]]:
    """What an ingest tells while it writes the index."""
    seen: list[Progress] = []
    run_ingest(base, on_progress=seen.append)
    return [(each.chunks_done, each.chunks_total) for each in seen if each.phase == "indexing"]


def test_writing_the_index_is_told_part_by_part(base):
    told = indexing(base)
    assert told[0] == (0, 0)
    assert [done for done, _ in told[1:]] == [*range(SIZE, COUNT, SIZE), COUNT]
    assert {total for _, total in told[1:]} == {COUNT}


@pytest.mark.usefixtures("apart")
def test_a_process_of_its_own_tells_what_it_has_written(base):
    assert indexing(base)[-1] == (COUNT, COUNT)


def test_a_repair_makes_only_the_parts_anew_that_are_cut_short(base):
    run_ingest(base)
    first, second, third = parts(base)
    damaged = base / ".aivax/chroma" / second.folder / next(iter(second.files))
    damaged.write_bytes(damaged.read_bytes()[:10])
    done = run_repair(base)
    assert [problem.part for problem in done.before] == ["Chroma"]
    assert done.after.problems == ()
    kept, made, last = folders(base)
    assert (kept, last) == (first.folder, third.folder)
    assert made != second.folder


def test_an_open_searcher_opens_new_parts_alone(base):
    run_ingest(base)
    knowledge = KnowledgeBase(base / ".aivax", HashEmbedder(), vector_index="chroma")
    knowledge.search(["kb"], [QUESTIONS[0]], LIMITS)
    before = dict(knowledge._indexes._open[1][1]._folders)
    write_files(base, {"docs/new.md": "# New\n\nbrand new item7\n"})
    run_ingest(base)
    found = knowledge.search(["kb"], ["brand new"], LIMITS).passages
    assert found[0].source.document == "docs/new.md"
    after = knowledge._indexes._open[1][1]._folders
    assert sum(after.get(name) is folder for name, folder in before.items()) == len(before) - 1
    knowledge.close()


def test_a_part_written_by_a_process_of_its_own_is_found(base, apart):
    assert index_warnings(run_ingest(base)) == []
    assert answers(base, "chroma") == answers(base, "exact")


def test_the_process_that_writes_takes_no_module_from_the_users_folder(base, apart, monkeypatch):
    write_files(base, {"json.py": "raise SystemExit('mine')", "numpy.py": "raise SystemExit('mine')"})
    monkeypatch.chdir(base)
    assert index_warnings(run_ingest(base)) == []


def test_when_the_process_that_writes_is_killed_the_index_stays_and_the_next_ingest_writes_it(
    base, apart, monkeypatch
):
    run_ingest(base)
    before = folders(base)
    write_files(base, {"docs/new.md": "# New\n\nbrand new item7\n"})
    with monkeypatch.context() as patched:
        to_builders(patched, lambda pid: os.kill(pid, signal.SIGKILL))
        (warning,) = index_warnings(run_ingest(base))
    assert "signal 9" in warning
    assert folders(base) == before
    assert answers(base, "chroma") == answers(base, "exact")
    assert index_warnings(run_ingest(base)) == []
    assert folders(base) != before
    assert answers(base, "chroma") == answers(base, "exact")


def test_when_an_ingest_is_killed_the_process_that_writes_for_it_ends_too(base):
    with stopped_builder(base) as (ingest, builder):
        ingest.kill()
    os.kill(builder, signal.SIGCONT)
    until(lambda: not is_running(builder))
    assert not list((base / ".aivax/chroma").rglob("*.bin"))
    assert index_warnings(run_ingest(base)) == []
    assert sum(part.vectors for part in parts(base)) == COUNT
    assert set(folders(base)) == {path.name for path in (base / ".aivax/chroma").iterdir()}


def test_while_a_part_is_written_nobody_else_may_write(base):
    waited: list[str] = []
    with stopped_builder(base) as (ingest, builder):

        def waits(told: str) -> None:
            waited.append(told)
            os.kill(builder, signal.SIGCONT)

        summary = run_ingest(base, on_wait=waits)
        assert ingest.wait() == 0
    assert len(waited) == 1
    assert summary.unchanged == COUNT
    assert answers(base, "chroma") == answers(base, "exact")


def test_when_the_disk_is_full_for_the_index_it_stays_and_the_next_ingest_writes_it(base, apart, monkeypatch):
    run_ingest(base)
    before = folders(base)
    write_files(base, {"docs/new.md": "# New\n\nbrand new item7\n"})
    with monkeypatch.context() as patched:
        to_builders(
            patched, lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (10_000, 10_000)) and None
        )
        assert index_warnings(run_ingest(base))
    assert folders(base) == before
    assert {path.name for path in (base / ".aivax/chroma").iterdir()} == set(before)
    assert answers(base, "auto") == answers(base, "exact")
    assert index_warnings(run_ingest(base)) == []
    assert answers(base, "chroma") == answers(base, "exact")
