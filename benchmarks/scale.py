"""What a large collection takes: to write, to keep, to search, and to bring up to date.

    python benchmarks/scale.py [--chunks 1000000] [--folder DIR] [--questions 100]

Writes Markdown files of synthetic text (see `synthetic.py`), ten chunks each, and ingests them with the
product's own ingest, into its own catalogue, lexical index and Chroma; only the vectors are synthetic, and
cost nothing. Then come searches, each with the built-in model's work for its question: the first one of a new
process, with the files in the system's memory and after they were dropped from it, and many of a warm
process. Then ingests: nothing has changed; 100 files have; 1.2 % have come. Memory is that of the highest
process and of all together. With `--folder` everything is kept there, and what is there is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ingest as ingesting
import query
import synthetic

from aivax_cli.ingest.run import IngestRequest, ingest

BYTES_A_CHUNK = 9_000
"""Room that a chunk takes on the disk: its text, twice, its words, and its vector in two places, one of which
may be copied."""

MEMORY_A_CHUNK = 2_500
"""Memory that a chunk takes in a process that searches, once its files are read."""

CHANGED_FILES = 100
COMING = 0.012
COLLECTION = "kb"


def check_room(folder: Path, chunks: int) -> None:
    """Stops the program where there is not enough disk or memory."""
    free = shutil.disk_usage(folder).free
    if free < chunks * BYTES_A_CHUNK:
        sys.exit(f"{folder}: {free / 1e9:.0f} GB free, {chunks * BYTES_A_CHUNK / 1e9:.0f} GB needed")
    memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if memory < chunks * MEMORY_A_CHUNK:
        sys.exit(f"{memory / 1e9:.0f} GB of memory free, {chunks * MEMORY_A_CHUNK / 1e9:.1f} GB needed")


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file())


def step_ingest(base: Path) -> dict[str, float]:
    """Ingests, and says what it took."""
    phases: dict[str, float] = {}
    start = last = time.perf_counter()
    phase = "reading"

    def watch(progress: object) -> None:
        nonlocal phase, last
        now = time.perf_counter()
        phases[phase] = phases.get(phase, 0.0) + now - last
        phase, last = getattr(progress, "phase", ""), now

    request = IngestRequest((base / "docs",), COLLECTION, base)
    summary = ingest(request, base / ".aivax", synthetic.SyntheticEmbedder(), on_progress=watch)
    end = time.perf_counter()
    phases[phase] = phases.get(phase, 0.0) + end - last
    assert not summary.warnings, summary.warnings
    changed = summary.added + summary.changed
    seconds = {"seconds": end - start, "cpu": processors()}
    return {"chunks": summary.chunks, "changed": changed, **seconds, **phases}


def processors() -> float:
    """Seconds of processors that this process and those that it has started took."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(each) for each in who]
    return sum(each.ru_utime + each.ru_stime for each in used)


def step_first(base: Path) -> dict[str, float]:
    """The first search, imports and opening included; this process has only just begun."""
    start = time.perf_counter()
    with query.opened(base / ".aivax", query.built_in_embedder(), "auto") as knowledge:
        opened = time.perf_counter()
        knowledge.search([COLLECTION], [query.questions(1)[0]], query.LIMITS)
        return {"opening": opened - start, "seconds": time.perf_counter() - start}


def step_warm(base: Path, questions: int) -> dict[str, float]:
    """Many searches in one process."""
    embedder = query.built_in_embedder()
    took, embedding = [], []
    with query.opened(base / ".aivax", embedder, "auto") as knowledge:
        for place, asked in enumerate(query.questions(questions + query.WARM_UP)):
            embedded = query.timed(lambda asked=asked: embedder.embed_queries([asked]))
            times = query.timed(lambda asked=asked: knowledge.search([COLLECTION], [asked], query.LIMITS))
            if place >= query.WARM_UP:
                took.append(times)
                embedding.append(embedded.wall)
    wall, cpu = ([getattr(each, kind) for each in took] for kind in ("wall", "cpu"))
    return {
        "p50": statistics.median(wall),
        "p95": statistics.quantiles(wall, n=20)[18],
        "cpu p50": statistics.median(cpu),
        "cpu p95": statistics.quantiles(cpu, n=20)[18],
        "embedding p50": statistics.median(embedding),
    }


def own_process(step: str, base: Path, questions: int = 0) -> dict[str, float]:
    """Does a step in a process of its own, and adds its memory to what it says."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(base), "--questions", str(questions)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        tree, most = ingesting.watched(process)
        assert process.stdout is not None
        said: dict[str, float] = json.loads(process.stdout.read())
    return said | {"tree": max(tree, said["peak"]), "processes": most}


def drop_from_memory(folder: Path) -> None:
    """Has the system forget what it keeps of files, so that the next to read them reads the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            number = os.open(path, os.O_RDONLY)
            try:
                os.fsync(number)
                os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(number)


def print_ingest(name: str, said: dict[str, float], base: Path) -> None:
    chroma = size(base / ".aivax" / "chroma") / 1e6
    print(
        f"  {name:34} {said['seconds']:7.1f} s, of processors {said['cpu']:.1f} s (reading "
        f"{said.get('reading', 0):.1f}, vectors {said.get('embedding', 0):.1f}, Chroma "
        f"{said.get('indexing', 0):.1f})   {memory(said)}   Chroma {chroma:,.0f} MB",
        flush=True,
    )


def memory(said: dict[str, float]) -> str:
    peak, tree = said["peak"] / 1e6, said["tree"] / 1e6
    return f"peak {peak:,.0f} MB, with {said['processes'] - 1:.0f} others {tree:,.0f} MB"


def new_folders(base: Path, before: set[str]) -> str:
    """What Chroma's folders have got since `before`."""
    home = base / ".aivax" / "chroma"
    new = [path for path in home.iterdir() if path.name not in before]
    return f"    Chroma: {len(new)} new folders, {sum(map(size, new)) / 1e6:,.0f} MB written"


def folders(base: Path) -> set[str]:
    return {path.name for path in (base / ".aivax" / "chroma").iterdir()}


def update(base: Path, name: str) -> None:
    """Ingests again and prints what it took."""
    before = folders(base)
    said = own_process("ingest", base)
    print_ingest(f"{name}: {said['changed']:.0f} files", said, base)
    print(new_folders(base, before), flush=True)


def change(base: Path, count: int) -> None:
    """Gives the first section of some files another text."""
    files = sorted((base / "docs").rglob("*.md"))
    for number, path in enumerate(files[:: max(1, len(files) // count)][:count]):
        head, _, rest = path.read_text(encoding="utf-8").partition("## Part 1")
        fresh = next(synthetic.texts(1, seed=1_000 + number))
        path.write_text(
            f"{head.splitlines()[0]}\n\n## Part 0\n\n{fresh}\n\n## Part 1{rest}", encoding="utf-8"
        )


def search(base: Path, questions: int) -> None:
    for name, dropped in (("first search of a new process", False), ("  the files not in memory", True)):
        times = []
        for _ in range(3):
            if dropped:
                drop_from_memory(base / ".aivax")
            times.append(own_process("first", base))
        middle = sorted(times, key=lambda each: each["seconds"])[1]
        print(f"  {name:34} {middle['seconds']:7.2f} s   {memory(middle)}", flush=True)
    said = own_process("warm", base, questions)
    print(
        f"  {'searches of a warm process':34} p50 {said['p50']:.1f}, p95 {said['p95']:.1f} ms; processors "
        f"p50 {said['cpu p50']:.1f}, p95 {said['cpu p95']:.1f} ms; embedding p50 "
        f"{said['embedding p50']:.1f} ms   {memory(said)}",
        flush=True,
    )


def run(base: Path, chunks: int, questions: int) -> None:
    """Every step, printed as it ends."""
    files = chunks // ingesting.CHUNKS_PER_FILE
    check_room(base, chunks)
    if not (base / "docs").exists():
        ingesting.write_documents(base, files, ingesting.CHUNKS_PER_FILE)
        time.sleep(2.1)  # a file is trusted by its stamp when it was hashed two seconds after its last change
    said = own_process("ingest", base)
    print(f"{said['chunks']:,.0f} chunks in {files:,} files, {size(base / 'docs') / 1e6:,.0f} MB of text")
    print_ingest("first ingest", said, base)
    print(f"  {'catalogue':34} {size(base / '.aivax' / 'catalogue.db') / 1e6:,.0f} MB", flush=True)
    search(base, questions)
    update(base, "nothing has changed")
    change(base, CHANGED_FILES)
    update(base, "changed")
    ingesting.write_documents(base, round(files * COMING), ingesting.CHUNKS_PER_FILE, "more", 2)
    update(base, "come")
    search(base, questions)


@contextmanager
def place(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="keep everything here")
    parser.add_argument("--step", choices=("ingest", "first", "warm"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step is None:
        with place(options.folder) as base:
            run(base, options.chunks, options.questions)
        return
    if options.step == "ingest":
        said = step_ingest(options.folder)
    elif options.step == "first":
        said = step_first(options.folder)
    else:
        said = step_warm(options.folder, options.questions)
    print(json.dumps(said | {"peak": ingesting.peak()}))


if __name__ == "__main__":
    main()
