"""How long a grounded search takes: p50 and p95 in a warm process, and the first one in a new process.

    python benchmarks/query.py [--chunks 10000 100000] [--questions 200] [--index auto] [--store DIR]
    python benchmarks/query.py --cold [--runs 15] [--chunks 10000]

The collections are synthetic (see `synthetic.py`): Zipf-distributed words, clustered vectors. Every question
has eight words, drawn as the documents' are, and is embedded by the built-in model as a real one is; then the
synthetic vector takes the place of its result. In turns with ours, each question is also answered by the
peer: a plain scan with numpy and a plain FTS5 query of all its words. With `--store` collections are kept.

`--cold` times whole processes of `aivax complete`, with knowledge and without, in turns, against an endpoint
on loopback that answers at once.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import synthetic

from aivax_cli.core.types import RetrievalLimits
from aivax_cli.retrieval.analysis import Analyzer
from aivax_cli.retrieval.catalogue import CATALOGUE_FILE
from aivax_cli.retrieval.embedding.base import Embedder
from aivax_cli.retrieval.indexes import VectorIndex
from aivax_cli.retrieval.records import EmbedderTag
from aivax_cli.retrieval.search import KnowledgeBase

LIMITS = RetrievalLimits(top=5, min_score=0.0)
WARM_UP = 20
DEPTH = 100

FIRST = """
import sys, time
sys.path.insert(0, sys.argv[1])
started = time.perf_counter()
from pathlib import Path
import query
with query.opened(Path(sys.argv[2]), query.built_in_embedder(), sys.argv[4]) as base:
    base.search([query.synthetic.COLLECTION], [sys.argv[3]], query.LIMITS)
    print(time.perf_counter() - started)
"""


def built_in_embedder() -> Embedder:
    """The default embedder, its weights fetched if need be."""
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.retrieval.embedding.e5 import E5Embedder

    return E5Embedder.from_store(AssetStore.from_environment(os.environ))


@contextmanager
def opened(directory: Path, embedder: Embedder, index: VectorIndex) -> Iterator[KnowledgeBase]:
    """The collection, for searching; `embedder` is paid for each question, its vectors are not used."""
    paid = synthetic.SyntheticEmbedder(embedder.embed_queries)
    base = KnowledgeBase(directory, paid, vector_index=index)
    try:
        yield base
    finally:
        base.close()


class Times(NamedTuple):
    """Milliseconds: by the clock, and of processors, which other programs on the machine do not stretch."""

    wall: float
    cpu: float


class Peer:
    """What a few lines of numpy and SQL would do: every vector, every word."""

    def __init__(self, directory: Path) -> None:
        import numpy as np

        self._db = sqlite3.connect(f"{(directory / CATALOGUE_FILE).as_uri()}?mode=ro", uri=True)
        rows = [row[0] for row in self._db.execute("SELECT vector FROM vectors_1 ORDER BY id")]
        self._matrix = np.frombuffer(b"".join(rows), dtype="<f4").reshape(-1, synthetic.DIMENSION)
        self._analyzer = Analyzer()
        self._embedder = synthetic.SyntheticEmbedder()

    def search(self, question: str) -> None:
        """The nearest vectors and the best passages by BM25."""
        import numpy as np

        # Not `@`, whose threads go on spinning into what is timed next.
        scores = np.einsum("ij,j->i", self._matrix, self._embedder.embed_queries([question]).vectors[0])
        np.argpartition(-scores, DEPTH)[:DEPTH]
        match = " OR ".join(f'"{token}"' for token in self._analyzer.query(question))
        self._db.execute(
            "SELECT rowid, rank FROM lexical_1 WHERE lexical_1 MATCH ? ORDER BY rank LIMIT ?", (match, DEPTH)
        ).fetchall()


def questions(count: int) -> list[str]:
    drawn = synthetic.words(count * synthetic.QUESTION_WORDS, seed=7)
    size = synthetic.QUESTION_WORDS
    return [" ".join(drawn[place * size : (place + 1) * size]) for place in range(count)]


def timed(work: Callable[[], object]) -> Times:
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return Times((time.perf_counter() - start) * 1000, (time.process_time() - cpu) * 1000)


def warm(directory: Path, chunks: int, asked: Sequence[str], index: VectorIndex) -> None:
    """Prints the times of searches in this process, ours and the peer's in turns."""
    embedder = built_in_embedder()
    peer = Peer(directory)
    ours, theirs, embedding = [], [], []
    with opened(directory, embedder, index) as base:
        for place, question in enumerate(asked):
            embedded = timed(lambda question=question: embedder.embed_queries([question]))
            took = timed(lambda question=question: base.search([synthetic.COLLECTION], [question], LIMITS))
            peers = timed(lambda question=question: peer.search(question))
            if place >= WARM_UP:
                embedding.append(embedded)
                ours.append(took)
                theirs.append(Times(peers.wall + embedded.wall, peers.cpu + embedded.cpu))
    print(f"{chunks:,} chunks, index {index}, {len(ours)} questions")
    for name, times in (
        ("search, embedding included", ours),
        ("  the embedding alone", embedding),
        ("numpy scan + FTS5 of all words", theirs),
    ):
        _print_times(name, times)
    ratios = [mine.wall / other.wall for mine, other in zip(ours, theirs, strict=True)]
    print(f"  {'ratio to it, median':32} {statistics.median(ratios):.2f}", flush=True)


def _print_times(name: str, times: Sequence[Times]) -> None:
    columns = []
    for kind, values in zip(("wall", "CPU"), zip(*times, strict=True), strict=True):
        p95 = statistics.quantiles(values, n=20)[18]
        columns.append(f"{kind} p50 {statistics.median(values):6.1f}   p95 {p95:6.1f} ms")
    print(f"  {name:32} {'      '.join(columns)}")


def first(directory: Path, index: VectorIndex, question: str, runs: int) -> None:
    """Prints the time of the first search in a new process, imports included."""
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", FIRST, here, str(directory), question, index]
    times = [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(runs)
    ]
    print(
        f"  {'first search of a new process':32} median {statistics.median(times) * 1000:.0f} ms", flush=True
    )


GATEWAY = """id: 0199c3f0-0000-7000-8000-00000000000{number}
name: {name}
model: {{base_url: "{url}", name: test-model}}
{more}"""
KNOWLEDGE = f"knowledge: {{collections: [{synthetic.COLLECTION}]}}\n"


def cold(workspace: Path, chunks: int, runs: int) -> None:
    """Prints what knowledge adds to a whole process of `aivax complete`."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from support.upstream import Upstream, says

    embedder = built_in_embedder()
    embedder.embed_queries(["warm"])  # converts the weights, which is done once on a machine
    tag = EmbedderTag(embedder.name, embedder.fingerprint, embedder.dimension)
    synthetic.build(workspace / ".aivax", chunks, tag=tag)
    (workspace / "gateways").mkdir(exist_ok=True)
    with Upstream(says("Paris")) as upstream:
        for number, (name, more) in enumerate((("plain", ""), ("grounded", KNOWLEDGE))):
            text = GATEWAY.format(number=number, name=name, url=upstream.url, more=more)
            (workspace / "gateways" / f"{name}.yaml").write_text(text, encoding="utf-8")
        pairs = []
        for question in questions(runs + 1):
            plain, grounded = (_complete(workspace, name, question) for name in ("plain", "grounded"))
            pairs.append((plain, grounded))
        assert len(upstream.requests) == 2 * (runs + 1)
    pairs = pairs[1:]  # the first warms the file cache
    print(f"{chunks:,} chunks, {runs} pairs of new processes")
    print(f"  aivax complete, ungrounded  median {statistics.median(plain for plain, _ in pairs):5.0f} ms")
    print(f"  aivax complete, grounded    median {statistics.median(mine for _, mine in pairs):5.0f} ms")
    print(f"  grounding adds              median {statistics.median(b - a for a, b in pairs):5.0f} ms")


def _complete(workspace: Path, gateway: str, question: str) -> float:
    command = [sys.executable, "-m", "aivax_cli", "-C", str(workspace), "complete", "-g", gateway, question]
    environ = {**os.environ, "AIVAX_OFFLINE": "1"}
    return timed(lambda: subprocess.run(command, check=True, capture_output=True, env=environ)).wall


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--index", choices=("auto", "exact", "chroma"), default="auto")
    parser.add_argument("--store", type=Path, help="keep the collections here")
    parser.add_argument("--runs", type=int, default=5, help="new processes")
    parser.add_argument("--cold", action="store_true", help="time whole processes of aivax complete")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.cold:
            cold(options.store or Path(temporary), options.chunks[0], options.runs)
            return
        for chunks in options.chunks:
            directory = (options.store or Path(temporary)) / f"q{chunks}"
            synthetic.build(directory, chunks, chroma=options.index != "exact")
            asked = questions(options.questions + WARM_UP)
            warm(directory, chunks, asked, options.index)
            first(directory, options.index, asked[0], options.runs)


if __name__ == "__main__":
    main()
