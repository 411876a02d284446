"""A large collection's Chroma index in parts, and the processes that write them."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from support.knowledge import HashEmbedder, run_ingest, run_repair, write_files

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
import sys
from pathlib import Path
from support.knowledge import run_ingest
from aivax_cli.retrieval import part_building
part_building.OWN_PROCESS = 0
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


def builders() -> Iterator[int]:
    """The processes of this machine that write parts."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if part_building.__name__.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                yield int(process.name)


def wait_for(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def to_builders(what: Callable[[int], None]) -> Iterator[None]:
    """Does something to every process that writes a part, as soon as it is there."""
    done = Event()
    known = set(builders())

    def look() -> None:
        while not done.wait(0.005):
            for pid in set(builders()) - known:
                known.add(pid)
                with suppress(ProcessLookupError):
                    what(pid)

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


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


def test_when_the_process_that_writes_is_killed_the_index_stays_and_the_next_ingest_writes_it(base, apart):
    run_ingest(base)
    before = folders(base)
    write_files(base, {"docs/new.md": "# New\n\nbrand new item7\n"})
    with to_builders(lambda pid: os.kill(pid, signal.SIGKILL)):
        (warning,) = index_warnings(run_ingest(base))
    assert "signal 9" in warning
    assert folders(base) == before
    assert answers(base, "chroma") == answers(base, "exact")
    assert index_warnings(run_ingest(base)) == []
    assert folders(base) != before
    assert answers(base, "chroma") == answers(base, "exact")


def test_when_an_ingest_is_killed_the_process_that_writes_for_it_ends_too(base):
    command = [sys.executable, "-c", INGEST, str(base)]
    known = set(builders())
    with subprocess.Popen(command, cwd=Path(__file__).parents[1]) as ingest:
        wait_for(lambda: set(builders()) - known or ingest.poll() is not None)
        (builder,) = set(builders()) - known
        os.kill(builder, signal.SIGSTOP)
        ingest.kill()
    os.kill(builder, signal.SIGCONT)
    wait_for(lambda: builder not in set(builders()))
    assert not list((base / ".aivax/chroma").rglob("*.bin"))
    assert index_warnings(run_ingest(base)) == []
    assert sum(part.vectors for part in parts(base)) == COUNT
    assert set(folders(base)) == {path.name for path in (base / ".aivax/chroma").iterdir()}


def test_while_a_part_is_written_nobody_else_may_write(base):
    command = [sys.executable, "-c", INGEST, str(base)]
    known = set(builders())
    with subprocess.Popen(command, cwd=Path(__file__).parents[1]) as ingest:
        wait_for(lambda: set(builders()) - known or ingest.poll() is not None)
        waited: list[str] = []
        summary = run_ingest(base, on_wait=waited.append)
        assert ingest.wait() == 0
    assert len(waited) == 1
    assert summary.unchanged == COUNT
    assert answers(base, "chroma") == answers(base, "exact")


def test_when_the_disk_is_full_for_the_index_it_stays_and_the_next_ingest_writes_it(base, apart):
    run_ingest(base)
    before = folders(base)
    write_files(base, {"docs/new.md": "# New\n\nbrand new item7\n"})
    with to_builders(lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (10_000, 10_000))):
        assert index_warnings(run_ingest(base))
    assert folders(base) == before
    assert {path.name for path in (base / ".aivax/chroma").iterdir()} == set(before)
    assert answers(base, "auto") == answers(base, "exact")
    assert index_warnings(run_ingest(base)) == []
    assert answers(base, "chroma") == answers(base, "exact")
