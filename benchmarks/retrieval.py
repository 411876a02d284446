"""How well the knowledge store finds passages, on any set in the BEIR layout.

    python benchmarks/retrieval.py --dataset DIR [--dataset DIR …] [--sweep] [--others DIR]
                                   [--smart MODEL [--smart-kind chat|endpoint] [--smart-questions N]]

DIR holds `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv`. Every line of the corpus becomes one document
of one passage, in a temporary workspace, through the product's own catalogue, indexes and search. Printed
are, in percent, Recall@1, Recall@5, MRR@10 and nDCG@10 for each side alone and for every ranking; and the
time of a query, embedding included. `--sweep` varies each constant of the rankings while the others stay.
`--others` asks the questions of another set, which the passages do not answer, and prints how many find
something at several values of `min_score`. `--smart` reranks with a model, an `@provider/name` or the name of
one at `--smart-url`, and prints `fused` for the same few questions beside it.
"""

from __future__ import annotations

import argparse
import asyncio
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

import msgspec

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
    "words": (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7),
    "power": (1.0, 1.125, 1.25, 1.375, 1.5, 2.0),
    "pool": (10, 20, 50, 100),
}
"""Values tried for each constant of `ranking.Weights`."""

BOOSTS = (0.3, 0.5, 0.7, 1.0, 1.5)
REACHES = (0.3, 0.4, 0.5, 0.6, 0.7)
RANK_CONSTANTS = (10, 30, 60, 100)
EXPECTED = (0.0, 0.04, 0.08, 0.12, 0.16)
"""Values tried for `ranking.LEXICAL_BOOST`, `LEXICAL_REACH`, `RRF_K` and `EXPECTED_WORDS`."""

CUTS = (0.1, 0.15, 0.2, 0.25, 0.3)
"""Values of `min_score`."""

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
    directory.mkdir(exist_ok=True)
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


def benchmark(dataset: Dataset, embedder: Embedder, options: Options) -> None:
    """Prints the figures of one set."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / ".aivax"
        speed = index(dataset, directory, embedder)
        base = KnowledgeBase(directory, embedder)
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
        if options.sweep:
            _sweep(dataset, evidence)
        _print_scores(dataset, evidence)
        for others in options.others:
            asked = [base.evidence(COLLECTION, text)[0] for text in others.queries.values()]
            _print_others(dataset, evidence, others.name, asked, sweep=options.sweep)
        base.close()
        if options.smart is not None:
            _print_smart(dataset, Path(folder), options.smart)


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
            weights = msgspec.structs.replace(ranking.DEFAULT_WEIGHTS, **{field: value})
            quality = _quality(dataset, evidence, lambda e, w=weights: ranking.fused(e.dense, e.lexical, w))
            _print_row(_named(f"fused, {field}", value, getattr(ranking.DEFAULT_WEIGHTS, field)), quality)
    variants: list[tuple[str, Order]] = [
        *((_named("lexical, boost", v, ranking.LEXICAL_BOOST), _boosted(v)) for v in BOOSTS),
        *((_named("lexical, reach", v, ranking.LEXICAL_REACH), _reaching(v)) for v in REACHES),
        *((_named("rrf, k", v, ranking.RRF_K), _by_ranks(v)) for v in RANK_CONSTANTS),
    ]
    for name, order in variants:
        _print_row(name, _quality(dataset, evidence, order))


def _named(what: str, value: float, default: float) -> str:
    return f"{what} {value}{' *' if value == default else ''}"


def _boosted(boost: float) -> Order:
    return lambda e: ranking.boosted(e.dense, e.lexical, boost)


def _reaching(reach: float) -> Order:
    return lambda e: ranking.boosted(e.dense, e.lexical, reach=reach)


def _by_ranks(k: int) -> Order:
    return lambda e: ranking.rrf(e.dense, e.lexical, k)


def _print_scores(dataset: Dataset, evidence: Found) -> None:
    """Where right passages lie on the scale that users see, and where passages at random."""
    right, others = [], []
    for query, (sides, documents) in evidence.items():
        for hit in sides.dense:
            (right if documents[hit] in dataset.relevant[query] else others).append(sides.score(hit))
    for name, values in (("right passages", right), ("other hits", others)):
        if len(values) > 1:
            cuts = statistics.quantiles(values, n=20)
            print(f"  score of {name}: 5% {cuts[0]:.2f}, median {cuts[9]:.2f}, 95% {cuts[18]:.2f}")


def _print_others(
    dataset: Dataset, evidence: Found, name: str, others: Sequence[Evidence], *, sweep: bool
) -> None:
    """How many right passages each `min_score` leaves out; how many questions of another set find some."""
    print(f"  {'min_score':36}" + "".join(f"{cut:>7}" for cut in CUTS))
    for expected in EXPECTED if sweep else (ranking.EXPECTED_WORDS,):
        right = [_right(dataset, query, *found, expected) for query, found in evidence.items()]
        best = [max((e.score(hit, expected) for hit in e.dense), default=0.0) for e in others]
        label = _named("expected", expected, ranking.EXPECTED_WORDS)
        _print_shares(f"right ones left out, {label}", [[value < cut for value in right] for cut in CUTS])
        _print_shares(f"{name} finds, {label}", [[value >= cut for value in best] for cut in CUTS])


def _right(
    dataset: Dataset, query: str, sides: Evidence, documents: Mapping[ranking.Hit, str], expected: float
) -> float:
    """The score of the best right passage; 0 when neither side has found one."""
    hits = [hit for hit, document in documents.items() if document in dataset.relevant[query]]
    return max((sides.score(hit, expected) for hit in hits), default=0.0)


def _print_shares(name: str, columns: Sequence[Sequence[bool]]) -> None:
    print(
        f"  {name:36}" + "".join(f"{100 * statistics.fmean(column):>7.1f}" for column in columns), flush=True
    )


def _print_smart(dataset: Dataset, folder: Path, smart: Smart) -> None:
    """`smart` and `fused` on the same questions, through a gateway of a workspace around the index."""
    (folder / "gateways").mkdir()
    (folder / "gateways" / "benchmark.yaml").write_text(json.dumps(smart.gateway()), encoding="utf-8")
    queries = dict(list(dataset.queries.items())[:: max(1, len(dataset.queries) // smart.questions)])
    some = replace(dataset, queries=queries)
    for name in ("fused", "smart"):
        found, times, problems = asyncio.run(_asked(folder, queries, name))
        _print_row(f"{name}, {len(queries)} questions", Quality.of(some, found), times)
        for problem in sorted(set(problems)):
            print(f"    {problems.count(problem)} times: {problem}")


async def _asked(
    folder: Path, queries: Mapping[str, str], reranker: str
) -> tuple[dict[str, list[str]], list[float], list[str]]:
    """The documents that a gateway's search gives each question, the seconds it took, and what went wrong."""
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.wiring import open_gateway

    workspace = find_workspace(folder)
    gateway = workspace.load("benchmark")
    knowledge = gateway.definition.knowledge
    assert knowledge is not None
    changed = knowledge.model_copy(update={"reranker": reranker})
    gateway = gateway.with_definition(gateway.definition.model_copy(update={"knowledge": changed}))
    found, times, problems = {}, [], []
    async with open_gateway(workspace, gateway) as opened:
        for query, text in queries.items():
            start = time.perf_counter()
            retrieval = await opened.search([text])
            times.append(time.perf_counter() - start)
            found[query] = [passage.source.document for passage in retrieval.passages]
            problems.extend(retrieval.problems)
    return found, times, problems


def _print_header() -> None:
    print(f"  {'':36}{'R@1':>7}{'R@5':>7}{'MRR@10':>8}{'nDCG@10':>9}{'p50 ms':>9}{'p95 ms':>9}")


def _print_row(name: str, quality: Quality, times: Sequence[float] = ()) -> None:
    figures = (quality.recall_1, quality.recall_5, quality.mrr_10, quality.ndcg_10)
    text = "".join(f"{100 * value:>{width}.1f}" for value, width in zip(figures, (7, 7, 8, 9), strict=True))
    if times:
        cuts = statistics.quantiles(times, n=20)
        text += f"{1000 * cuts[9]:>9.1f}{1000 * cuts[18]:>9.1f}"
    print(f"  {name:36}{text}", flush=True)


def built_in_embedder() -> Embedder:
    """The default embedder, its weights fetched if need be."""
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.retrieval.embedding.e5 import E5Embedder

    return E5Embedder.from_store(AssetStore.from_environment(os.environ))


@dataclass(frozen=True, slots=True)
class Smart:
    """The model that `--smart` measures. `url` is where it is served; "" for an `@provider/name`."""

    model: str
    url: str
    kind: str
    candidates: int
    questions: int

    def gateway(self) -> dict[str, object]:
        """A gateway whose searches it reranks; the model is never asked for an answer."""
        model = {"base_url": self.url, "name": self.model} if self.url else self.model
        rerank = {"model": model, "kind": self.kind, "candidates": self.candidates, "timeout_s": 600}
        knowledge = {"collections": [COLLECTION], "reranker": "smart", "rerank": rerank}
        return {
            "id": "0199c3f0-0000-7000-8000-000000000001",
            "name": "benchmark",
            "model": model,
            "knowledge": {**knowledge, "top": DEPTH, "min_score": 0},
        }


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure beside the rankings."""

    sweep: bool
    others: Sequence[Dataset]
    smart: Smart | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark with the built-in embedder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--sweep", action="store_true", help="vary the constants of the rankings")
    parser.add_argument("--others", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--smart", metavar="MODEL", help="rerank with this model")
    parser.add_argument("--smart-url", default="", metavar="URL", help="where MODEL is served")
    parser.add_argument("--smart-kind", choices=("chat", "endpoint"), default="chat")
    parser.add_argument("--smart-candidates", type=int, default=30, metavar="N")
    parser.add_argument("--smart-questions", type=int, default=50, metavar="N")
    given = parser.parse_args(arguments)
    smart = None
    if given.smart:
        smart = Smart(
            given.smart, given.smart_url, given.smart_kind, given.smart_candidates, given.smart_questions
        )
    options = Options(given.sweep, [Dataset.load(folder) for folder in given.others], smart)
    embedder = built_in_embedder()
    for folder in given.dataset:
        benchmark(Dataset.load(folder), embedder, options)


if __name__ == "__main__":
    main()
