"""What an ingest takes beside the work that no ingest can do without.

    python benchmarks/ingest.py --throughput [--chunks 400]
    python benchmarks/ingest.py --unchanged [--files 10000] [--runs 5]
    python benchmarks/ingest.py --memory [--sizes 10000 100000]

`--throughput` ingests synthetic documents with the built-in embedder, from an empty folder to a searchable
collection, and has the embedder alone embed the same chunks: half of them before, half after, so that both
see the same machine. `--unchanged` ingests small files again that have not changed, against walking and
hashing them, in turns. `--memory` prints the peak memory of whole processes that ingest collections of
different sizes, with an embedder that costs nothing: of the highest process, and of all together.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import synthetic

from aivax_cli.ingest.progress import IngestSummary
from aivax_cli.ingest.run import IngestRequest, ingest
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.embedding.base import Embedder

CHUNKS_PER_FILE = 10
FILES_PER_FOLDER = 500
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def built_in_embedder() -> Embedder:
    """The default embedder, its weights fetched if need be."""
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.retrieval.embedding.e5 import E5Embedder

    return E5Embedder.from_store(AssetStore.from_environment(os.environ))


def write_documents(base: Path, files: int, sections: int, below: str = "", seed: int = 1) -> None:
    """Markdown files below `base/docs`, or a folder in it; a section is about one chunk."""
    every = synthetic.texts(files * sections, seed)
    for number in range(files):
        parts = [f"# Document {number}"]
        parts += [f"## Part {part}\n\n{next(every)}" for part in range(sections)]
        path = base / "docs" / below / f"{number // FILES_PER_FOLDER:03}" / f"{number:06}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(parts), encoding="utf-8")


def run(base: Path, embedder: Embedder) -> IngestSummary:
    return ingest(IngestRequest((base / "docs",), "kb", base), base / ".aivax", embedder)


def throughput(chunks: int) -> None:
    """Prints chunks a second of an ingest and of its embedder alone."""
    embedder = built_in_embedder()
    embedder.embed_passages(["warm"])
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        write_documents(base, chunks // CHUNKS_PER_FILE, CHUNKS_PER_FILE)
        cutter = synthetic.SyntheticEmbedder()
        cutter.count_tokens = embedder.count_tokens  # type: ignore[method-assign]
        run(base, cutter)  # only to know the chunks
        texts = _embedded_texts(base)
        (base / ".aivax").rename(base / ".known")
        half = len(texts) // 2
        before = _seconds(embedder, texts[:half])
        start = time.perf_counter()
        summary = run(base, embedder)
        took = time.perf_counter() - start
        alone = before + _seconds(embedder, texts[half:])
    assert summary.chunks_embedded == len(texts)
    print(f"{len(texts)} chunks, {embedder.name}")
    print(f"  embedder alone {len(texts) / alone:6.1f} chunks/s")
    print(f"  whole ingest   {len(texts) / took:6.1f} chunks/s   ratio {alone / took:.2f}", flush=True)


def _embedded_texts(base: Path) -> list[str]:
    catalogue = Catalogue.open(base / ".aivax")
    assert catalogue is not None
    with catalogue.reading() as reader:
        collection = reader.collection("kb")
        assert collection is not None
        ids = reader.vector_ids(collection.id)
        chunks = reader.chunks(list(reader.first_chunks_of(collection.id, sorted(ids)).values()))
    catalogue.close()
    return [f"{chunk.heading}\n{chunk.text}" for chunk in chunks.values()]


def _seconds(embedder: Embedder, texts: list[str]) -> float:
    start = time.perf_counter()
    embedder.embed_passages(texts)
    return time.perf_counter() - start


def unchanged(files: int, runs: int) -> None:
    """Prints the time of an ingest that has nothing to do, against walking and hashing."""
    embedder = synthetic.SyntheticEmbedder()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        write_documents(base, files, 1)
        time.sleep(2.1)  # a file is trusted by its stamp when it was hashed two seconds after its last change
        run(base, embedder)
        plain, ours = [], []
        for _ in range(runs):
            plain.append(_timed(lambda: _walk_and_hash(base / "docs")))
            ours.append(_timed(lambda: run(base, embedder)))
        summary = run(base, embedder)
    assert summary.unchanged == files
    print(f"{files:,} unchanged files, {runs} runs, medians")
    for name, times in (("walking and hashing", plain), ("ingesting again", ours)):
        wall, cpu = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
        print(f"  {name:20} {wall:6.0f} ms, of processors {cpu:6.0f} ms")
    for place, name in enumerate(("ratio", "ratio of processor time")):
        ratio = statistics.median(mine[place] / other[place] for other, mine in zip(plain, ours, strict=True))
        print(f"  {name} {ratio:.2f}", flush=True)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of processors."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def _walk_and_hash(folder: Path) -> int:
    count = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with Path(directory, name).open("rb") as file:
                blake2b(file.read(), digest_size=32).digest()
            count += 1
    return count


def memory(sizes: list[int]) -> None:
    """Prints the peak memory of an ingest of each size, and the ratio of the last to the first."""
    peaks = []
    for chunks in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_documents(Path(folder), chunks // CHUNKS_PER_FILE, CHUNKS_PER_FILE)
            command = [sys.executable, __file__, "--child", folder]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                tree, most = watched(process)
                assert process.stdout is not None
                stored, before, highest, seconds = map(float, process.stdout.read().split())
        peaks.append((highest, max(tree, highest)))
        print(
            f"{stored:9,.0f} chunks: peak {highest / 1e6:5.0f} MB ({before / 1e6:.0f} MB before Chroma), "
            f"all its {most} processes together {max(tree, highest) / 1e6:5.0f} MB, {seconds:4.0f} s",
            flush=True,
        )
    for name, first, last in zip(
        ("the highest process", "all processes together"), peaks[0], peaks[-1], strict=True
    ):
        print(f"  ratio of the peaks, {name:22} {last / first:.2f}")


def watched(process: subprocess.Popen[str]) -> tuple[int, int]:
    """The highest sum of resident bytes of a process and all below it, and the most processes at once.

    Looked at every 100 ms, from `/proc`; (0, 1) where there is none.
    """
    highest, most = 0, 1
    while process.poll() is None:
        sizes = [_resident(number) for number in _tree(process.pid)]
        highest, most = max(highest, sum(sizes)), max(most, sum(size > 0 for size in sizes))
        time.sleep(0.1)
    return highest, most


def _tree(pid: int) -> list[int]:
    found = [pid]
    for number in found:
        for children in Path(f"/proc/{number}/task").glob("*/children"):
            with suppress(OSError):
                found.extend(map(int, children.read_text().split()))
    return found


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def child(base: Path) -> None:
    """Ingests and prints chunks, peak memory before Chroma's part and in all, seconds."""
    before = 0

    def watch(progress: object) -> None:
        nonlocal before
        if getattr(progress, "phase", "") != "indexing":
            before = peak()

    start = time.perf_counter()
    request = IngestRequest((base / "docs",), "kb", base)
    summary = ingest(request, base / ".aivax", synthetic.SyntheticEmbedder(), on_progress=watch)
    assert not summary.warnings, summary.warnings
    print(summary.chunks, before, peak(), time.perf_counter() - start)


def peak() -> int:
    """The most bytes that this process or one that it has started had in memory."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) * RSS_UNIT


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--throughput", action="store_true")
    parser.add_argument("--unchanged", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--chunks", type=int, default=400)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
    if options.throughput:
        throughput(options.chunks)
    if options.unchanged:
        unchanged(options.files, options.runs)
    if options.memory:
        memory(options.sizes)


if __name__ == "__main__":
    main()
