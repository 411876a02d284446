"""How well the knowledge store finds passages, on any set in the BEIR layout.

    python benchmarks/retrieval.py --dataset DIR [--dataset DIR …] [--sweep]

DIR holds `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv`. Every line of the corpus becomes one document
of one passage, in a temporary workspace, through the product's own catalogue, indexes and search. Printed
are, in percent, Recall@1, Recall@5, MRR@10 and nDCG@10 for each side alone and for every ranking; and the
time of a query, embedding included. `--sweep` varies each constant of the rankings while the others stay.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.core.types import RetrievalLimits
from aivax_cli.ingest.embed import EmbeddingPass
from aivax_cli.retrieval import ranking
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.records import EmbedderTag, FileStamp, NewChunk, NewDocument
from aivax_cli.retrieval.search import Evidence, KnowledgeBase

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedder

DEPTH = 10
COLLECTION = "benchmark"
NO_FILE = FileStamp(0, 0, 0)

SWEEP: Mapping[str, Sequence[float]] = {
    "lexical": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "reach": (0.3, 0.4, 0.5, 0.6, 0.7),
    "ceiling": (1.0, 1.2, 1.5, 2.0),
}
"""Values tried for each constant of `ranking.Weights`; `dense` is what `lexical` leaves of 1."""

BOOSTS = (0.3, 0.5, 0.7, 1.0, 1.5)
"""Values tried for `ranking.LEXICAL_BOOST`."""

Order = Callable[[Evidence], Iterable[ranking.Hit]]
"""Hits of a question, best first."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A retrieval set: passages and questions by id, and for each question its relevant passages' gains."""

    name: str
    corpus: Mapping[str, str]
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        """Reads the BEIR layout. Questions without a relevant passage are left out."""
        relevant: dict[str, dict[str, int]] = {}
        with (folder / "qrels" / "test.tsv").open(encoding="utf-8") as lines:
            next(lines)
            for line in lines:
                query, passage, gain = line.split("\t")
                if int(gain) > 0:
                    relevant.setdefault(query, {})[passage] = int(gain)
        corpus = {
            row["_id"]: "\n".join(part for part in (row.get("title", ""), row["text"]) if part)
            for row in _rows(folder / "corpus.jsonl")
        }
        queries = {
            row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl") if row["_id"] in relevant
        }
        return cls(folder.name, corpus, queries, relevant)


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over all questions, from 0 to 1."""

    recall_1: float
    recall_5: float
    mrr_10: float
    ndcg_10: float

    @classmethod
    def of(cls, dataset: Dataset, found: Mapping[str, Sequence[str]]) -> Quality:
        """`found` are each question's passages, best first."""
        rows = [_measure(dataset.relevant[query], list(found[query])[:DEPTH]) for query in dataset.queries]
        return cls(*(statistics.fmean(column) for column in zip(*rows, strict=True)))


def _measure(gains: Mapping[str, int], found: Sequence[str]) -> tuple[float, float, float, float]:
    places = [place for place, passage in enumerate(found) if passage in gains]
    ideal = sorted(gains.values(), reverse=True)[:DEPTH]
    best = sum(gain / log2(place + 2) for place, gain in enumerate(ideal))
    got = sum(gains[found[place]] / log2(place + 2) for place in places)
    return (
        sum(place < 1 for place in places) / len(gains),
        sum(place < 5 for place in places) / len(gains),
        1 / (places[0] + 1) if places else 0.0,
        got / best,
    )


def index(dataset: Dataset, directory: Path, embedder: Embedder) -> float:
    """Stores and embeds the corpus; gives the passages embedded per second."""
    catalogue = Catalogue.create(directory)
    with catalogue.writing() as writer:
        tag = EmbedderTag(embedder.name, embedder.fingerprint, embedder.dimension)
        collection = writer.create_collection(COLLECTION, tag)
        for name, text in dataset.corpus.items():
            document = NewDocument(name, "", "text", name.encode(), NO_FILE, 0)
            chunk = NewChunk(text, "", None, None, None, len(text.split()))
            writer.put_document(collection.id, document, [chunk])
    embedding = EmbeddingPass(catalogue, embedder)
    embedding.ensure_background(collection)
    embedding.run(collection, lambda _: None)
    with catalogue.reading() as reader:
        stored = reader.collection(COLLECTION)
    assert stored is not None
    embedding.measure_background(stored)
    catalogue.close()
    return embedding.chunks / embedding.seconds


def benchmark(dataset: Dataset, embedder: Embedder, *, sweep: bool) -> None:
    """Prints the figures of one set."""
    with tempfile.TemporaryDirectory() as folder:
        speed = index(dataset, Path(folder), embedder)
        base = KnowledgeBase(Path(folder), embedder)
        print(
            f"\n{dataset.name}: {len(dataset.corpus)} passages ({speed:.0f}/s with {embedder.name}), "
            f"{len(dataset.queries)} questions"
        )
        evidence = {query: base.evidence(COLLECTION, text) for query, text in dataset.queries.items()}
        _print_header()
        _print_row("lexical alone", _quality(dataset, evidence, lambda e: ranking.best(e.lexical)))
        _print_row("dense alone", _quality(dataset, evidence, lambda e: ranking.best(e.dense)))
        for name in ranking.RANKERS:
            limits = RetrievalLimits(top=DEPTH, min_score=0.0, reranker=name)
            found, times = {}, []
            for query, text in dataset.queries.items():
                start = time.perf_counter()
                passages = base.search([COLLECTION], [text], limits).passages
                times.append(time.perf_counter() - start)
                found[query] = [passage.source.document for passage in passages]
            _print_row(name, Quality.of(dataset, found), times)
        if sweep:
            _sweep(dataset, evidence)
        _print_scores(dataset, evidence)
        base.close()


Found = Mapping[str, tuple[Evidence, Mapping[ranking.Hit, str]]]
"""For each question what both sides found, and the passage of each hit."""


def _quality(dataset: Dataset, evidence: Found, order: Order) -> Quality:
    found = {
        query: [documents[hit] for hit in list(order(sides))[:DEPTH]]
        for query, (sides, documents) in evidence.items()
    }
    return Quality.of(dataset, found)


def _sweep(dataset: Dataset, evidence: Found) -> None:
    for field, values in SWEEP.items():
        for value in values:
            weights = replace(ranking.DEFAULT_WEIGHTS, **{field: value})
            if field == "lexical":
                weights = replace(weights, dense=1 - value)
            default = " *" if value == getattr(ranking.DEFAULT_WEIGHTS, field) else ""
            quality = _quality(dataset, evidence, lambda e, w=weights: ranking.fused(e.dense, e.lexical, w))
            _print_row(f"fused, {field} {value}{default}", quality)
    for boost in BOOSTS:
        default = " *" if boost == ranking.LEXICAL_BOOST else ""
        quality = _quality(dataset, evidence, lambda e, b=boost: ranking.boosted(e.dense, e.lexical, b))
        _print_row(f"lexical, boost {boost}{default}", quality)


def _print_scores(dataset: Dataset, evidence: Found) -> None:
    """Where right passages lie on the scale that users see, and where passages at random."""
    right, others = [], []
    for query, (sides, documents) in evidence.items():
        for hit, value in sides.dense.items():
            (right if documents[hit] in dataset.relevant[query] else others).append(value)
    for name, values in (("right passages", right), ("other hits", others)):
        if len(values) > 1:
            cuts = statistics.quantiles(values, n=20)
            print(f"  score of {name}: 5% {cuts[0]:.2f}, median {cuts[9]:.2f}, 95% {cuts[18]:.2f}")


def _print_header() -> None:
    print(f"  {'':28}{'R@1':>7}{'R@5':>7}{'MRR@10':>8}{'nDCG@10':>9}{'p50 ms':>9}{'p95 ms':>9}")


def _print_row(name: str, quality: Quality, times: Sequence[float] = ()) -> None:
    figures = (quality.recall_1, quality.recall_5, quality.mrr_10, quality.ndcg_10)
    text = "".join(f"{100 * value:>{width}.1f}" for value, width in zip(figures, (7, 7, 8, 9), strict=True))
    if times:
        cuts = statistics.quantiles(times, n=20)
        text += f"{1000 * cuts[9]:>9.1f}{1000 * cuts[18]:>9.1f}"
    print(f"  {name:28}{text}", flush=True)


def built_in_embedder() -> Embedder:
    """The default embedder, its weights fetched if need be."""
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.retrieval.embedding.e5 import E5Embedder

    return E5Embedder.from_store(AssetStore.from_environment(os.environ))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark with the built-in embedder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--sweep", action="store_true", help="vary the constants of the rankings")
    options = parser.parse_args(arguments)
    embedder = built_in_embedder()
    for folder in options.dataset:
        benchmark(Dataset.load(folder), embedder, sweep=options.sweep)


if __name__ == "__main__":
    main()
