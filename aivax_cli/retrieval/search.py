"""Questions become passages: both indexes asked, their hits fused, scored and cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from msgspec import Struct

from aivax_cli.core.errors import AivaxError, KnowledgeError, NotFoundError, unknown_name
from aivax_cli.core.types import EmbeddingUse, Passage, Retrieval, RetrievalLimits
from aivax_cli.retrieval import ranking
from aivax_cli.retrieval.backgrounds import Backgrounds
from aivax_cli.retrieval.calibration import similarity
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma_server import ServerAddress
from aivax_cli.retrieval.filtering import Searcher
from aivax_cli.retrieval.indexes import VectorIndex, VectorIndexes
from aivax_cli.retrieval.ranking import POOL, Hit
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection, StoredChunk
from aivax_cli.retrieval.references import passage_of, with_references
from aivax_cli.retrieval.served_search import ServedIndexes
from aivax_cli.retrieval.vectors import NearestVectors

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedded, Embedder
    from aivax_cli.retrieval.vectors import Vectors

WIDEN = 4
"""How much further to look when too many of the nearest vectors are no longer in use."""

TELLING_REACH = 2.2
"""The least U (see `lexical`) with which words are evidence: that of one word, in two stems of idf 0.5, which
one of three passages holds. Below it every word of the question stands in about half of the passages."""


class Evidence(Struct, frozen=True):
    """What both sides say of the passages, for one search term. See `ranking` for the scales.

    `found` is, for each collection in which the term's words set passages apart, the part of U that the words
    make up which some document holds; in other collections words are no evidence for a score.
    """

    dense: Mapping[Hit, float]
    lexical: Mapping[Hit, float]
    found: Mapping[int, float]

    def score(self, hit: Hit, expected: float = ranking.EXPECTED_WORDS) -> float:
        """The score of a passage for this term; see `ranking.score`."""
        similarity = self.dense.get(hit)
        found = self.found.get(hit[0])
        if found is None:
            return ranking.score(similarity, None)
        return ranking.score(similarity, self.lexical.get(hit, 0.0), found, expected)


class Asked(Struct, frozen=True):
    """One search term in one collection: its vector, and the cosine of what has nothing to do with it."""

    vector: Vectors
    background: float | None


class KnowledgeBase:
    """The collections of a workspace, for searching. Safe to share between threads; writers are noticed."""

    def __init__(
        self,
        directory: Path,
        embedder: Embedder | Callable[[str], Embedder],
        *,
        vector_index: VectorIndex = "auto",
        server: ServerAddress | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """`directory` is the workspace's `.aivax`; `embedder` is that of all collections, or gives each its
        own by name; `server` is where vectors are indexed, when it is not here. Nothing is opened before the
        first search. `on_close` ends what embedders wait for.
        """
        self._directory = directory
        self._on_close = on_close
        self._embedder_of = embedder if callable(embedder) else lambda _: embedder
        self._catalogue: Catalogue | None = None
        self._lock = Lock()
        served = ServedIndexes(server, self._newest) if server is not None else None
        self._indexes = VectorIndexes(directory, vector_index, served)
        self._backgrounds = Backgrounds()

    def ready(self, collections: Sequence[str]) -> None:
        """Raises what `search` raises of the collections themselves; embeds nothing."""
        with self._open().reading() as reader:
            self._usable(reader, collections)

    def search(self, collections: Sequence[str], terms: Sequence[str], limits: RetrievalLimits) -> Retrieval:
        """The passages of several terms as a ranked union by best match.

        Raises NotFoundError for an unknown collection or reranker, KnowledgeError for a collection that is
        empty or that another embedder built. An error's `spent` is what was embedded before it.
        """
        uses: list[EmbeddingUse] = []
        try:
            return self._search(collections, terms, limits, uses)
        except AivaxError as error:
            error.spent = tuple(uses)
            raise

    def _search(
        self,
        collections: Sequence[str],
        terms: Sequence[str],
        limits: RetrievalLimits,
        uses: list[EmbeddingUse],
    ) -> Retrieval:
        ranker = ranking.RANKERS.get(limits.reranker)
        if ranker is None:
            raise unknown_name("reranker", limits.reranker, ranking.RANKERS, otherwise="")
        distinct = list(dict.fromkeys(term.strip() for term in terms if term.strip()))
        with self._open().reading() as reader:
            usable = self._usable(reader, collections)
        if not distinct:
            return Retrieval(())
        questions = self._embedded(usable, distinct, uses)
        problems: dict[str, None] = {}
        with self._open().reading() as every:
            reader = Searcher.over(every, limits.tags, limits.match)
            usable = [each for each in self._usable(reader, collections) if each.id in questions]
            evidence = self._evidence(reader, usable, distinct, questions, problems)
            ranked = ranking.union_by_best([ranker(one.dense, one.lexical) for one in evidence])
            names = {collection.id: collection.name for collection in usable}
            found = _passages(reader, names, _scores(ranked, evidence), limits)
            passages = _select(found, limits)
        return Retrieval(passages, tuple(uses), tuple(problems))

    def evidence(self, collection: str, term: str) -> tuple[Evidence, dict[Hit, str]]:
        """What both sides find for one term before any ranking, and the document of each hit.

        For benchmarks and for explaining a search. Raises as `search` does.
        """
        with self._open().reading() as every:
            reader = Searcher.over(every, (), "any")
            questions = self._embedded(self._usable(reader, [collection]), [term], [])
            usable = self._usable(reader, [collection])
            (found,) = self._evidence(reader, usable, [term], questions, {})
            chunks = _chunks(reader, {usable[0].id: collection}, [*found.dense, *found.lexical])
        return found, {hit: chunk.document for hit, chunk in chunks.items()}

    def expanded(self, passages: Sequence[Passage], limits: RetrievalLimits) -> tuple[Passage, ...]:
        """The passages of a search with what they bring along; see `references.with_references`."""
        with self._open().reading() as reader:
            return with_references(Searcher.over(reader, limits.tags, limits.match), passages, limits)

    def some_chunks(self, collection: str, count: int) -> list[StoredChunk]:
        """About `count` chunks, spread over the collection. Raises as `search` does for its name."""
        with self._open().reading() as reader:
            return reader.some_chunks(find_collection(reader, collection).id, count)

    def embedder_of(self, collection: str) -> Embedder:
        """The embedder of a collection of this name, the one that searches of it have, too."""
        return self._embedder_of(collection)

    def close(self) -> None:
        """Lets go of files and memory."""
        self._on_close()
        with self._lock:
            if self._catalogue is not None:
                self._catalogue.close()
            self._catalogue = None
        self._indexes.close()

    def _open(self) -> Catalogue:
        with self._lock:
            if self._catalogue is None:
                self._catalogue = Catalogue.open(self._directory)
            if self._catalogue is None:
                raise KnowledgeError(
                    "nothing has been ingested in this workspace",
                    fix="run: aivax ingest FOLDER --collection NAME",
                )
            return self._catalogue

    def _newest(self, name: str) -> Collection | None:
        with self._open().reading() as reader:
            return reader.collection(name)

    def _usable(self, reader: Reader, names: Sequence[str]) -> list[Collection]:
        found = [find_collection(reader, name) for name in dict.fromkeys(names)]
        for collection in found:
            embedder = self._embedder_of(collection.name)
            if collection.embedder.fingerprint != embedder.fingerprint:
                raise other_embedder(collection, reader.sources(collection.id), embedder.name)
        filled = [collection for collection in found if collection.chunks]
        if not filled:
            listed = ", ".join(f"'{name}'" for name in names) or "no collection was named"
            name = names[0] if names else "NAME"
            raise KnowledgeError(
                f"nothing to search in {listed}: empty", fix=f"run: aivax ingest FOLDER --collection {name}"
            )
        return filled

    def _embedded(
        self, collections: Sequence[Collection], terms: Sequence[str], uses: list[EmbeddingUse]
    ) -> dict[int, Vectors]:
        """The terms as each collection's embedder sees them: a row a term, by the collection's id.

        Every embedder is asked once; `uses` grows by each.
        """
        embedded: dict[str, Embedded] = {}
        for collection in collections:
            if collection.embedder.fingerprint not in embedded:
                embedder = self._embedder_of(collection.name)
                found = embedder.embed_queries(terms)
                embedded[collection.embedder.fingerprint] = found
                uses.append(EmbeddingUse(embedder.name, found.tokens, found.prices))
        return {each.id: embedded[each.embedder.fingerprint].vectors for each in collections}

    def _evidence(
        self,
        reader: Searcher,
        collections: Sequence[Collection],
        terms: Sequence[str],
        questions: Mapping[int, Vectors],
        problems: dict[str, None],
    ) -> list[Evidence]:
        dense: list[dict[Hit, float]] = [{} for _ in terms]
        asked: list[dict[int, Asked]] = [{} for _ in terms]
        for collection in collections:
            rows = questions[collection.id]
            backgrounds = self._backgrounds.of(reader, collection, rows)
            nearest = self._indexes.get(reader, collection, problems.setdefault)
            for place, found in enumerate(_dense(reader, collection, nearest, rows, backgrounds)):
                dense[place].update(found)
                asked[place][collection.id] = Asked(rows[place], backgrounds[place])
        return [
            _with_words(reader, collections, term, asked[place], dense[place])
            for place, term in enumerate(terms)
        ]


class CollectionSearch:
    """A gateway's collections as the turn's `Retriever`."""

    def __init__(self, base: KnowledgeBase, collections: Sequence[str]) -> None:
        self._base = base
        self._collections = tuple(collections)

    async def ready(self) -> None:
        """See `KnowledgeBase.ready`, which runs in a thread."""
        await asyncio.to_thread(self._base.ready, self._collections)

    async def retrieve(self, terms: Sequence[str], limits: RetrievalLimits) -> Retrieval:
        """See `KnowledgeBase.search`, which runs in a thread; cancelling leaves nothing half done."""
        return await asyncio.to_thread(self._base.search, self._collections, terms, limits)

    async def expanded(self, passages: Sequence[Passage], limits: RetrievalLimits) -> tuple[Passage, ...]:
        """See `KnowledgeBase.expanded`, which runs in a thread."""
        return await asyncio.to_thread(self._base.expanded, passages, limits)


def find_collection(reader: Reader, name: str) -> Collection:
    """The collection of that name. Raises NotFoundError with the nearest one."""
    collection = reader.collection(name)
    if collection is None:
        known = [other.name for other in reader.collections()]
        create = f"create it with: aivax ingest FOLDER --collection {name}"
        error = unknown_name("collection", name, known, otherwise=create)
        fix = error.fix if error.fix == create else f"{error.fix} or {create}"
        raise NotFoundError(error.message, fix=fix)
    return collection


def other_embedder(collection: Collection, sources: Sequence[str], wanted: str) -> KnowledgeError:
    """The error for a collection whose vectors another embedder made, with the command that mends it."""
    folders = " ".join(sources) or "FOLDER"
    made_by = f"{collection.embedder.name}, not with {wanted}"
    if collection.embedder.name == wanted:
        made_by = f"{wanted} at another address, or with other dimensions or prefixes"
    return KnowledgeError(
        f"collection '{collection.name}' was indexed with {made_by}",
        fix=f"index it anew: aivax ingest {folders} --collection {collection.name} --reindex",
    )


def _dense(
    reader: Searcher,
    collection: Collection,
    nearest: NearestVectors,
    questions: Vectors,
    backgrounds: Sequence[float | None],
) -> list[dict[Hit, float]]:
    """Similarities of the nearest `POOL` vectors that are in use, for each question."""
    nearest = reader.few_vectors(collection) or nearest
    count = POOL
    while True:
        found = nearest.nearest(questions, count)
        every = list({number for hits in found for number in hits})
        used = reader.first_chunks_of(collection.id, every)
        living = [{number: cos for number, cos in hits.items() if number in used} for hits in found]
        if count >= nearest.size or all(len(hits) >= POOL for hits in living):
            break
        count *= WIDEN
    return [
        {(collection.id, number): similarity(cos, background) for number, cos in list(hits.items())[:POOL]}
        for hits, background in zip(living, backgrounds, strict=True)
    ]


def _with_words(
    reader: Searcher,
    collections: Sequence[Collection],
    term: str,
    asked: Mapping[int, Asked],
    dense: dict[Hit, float],
) -> Evidence:
    """Adds what the words of a term find. Passages that only they have found get their similarity, too."""
    lexical: dict[Hit, float] = {}
    lacking: dict[Hit, float] = {}
    found: dict[int, float] = {}
    for collection in collections:
        hits, reach = reader.lexical(collection, term, POOL)
        if reach >= TELLING_REACH:
            found[collection.id] = reader.found(collection, term)
        vectors = reader.vector_ids_of([chunk for chunk, _ in hits])
        for chunk, bm25 in hits:
            vector = vectors.get(chunk)
            lexical.setdefault((collection.id, -chunk if vector is None else vector), bm25 / reach)
        unseen = [hit for hit in lexical if hit not in dense]
        lacking.update(_similarities(reader, collection, asked[collection.id], unseen))
    return Evidence(dense | lacking, lexical, found)


def _similarities(
    reader: Reader, collection: Collection, asked: Asked, hits: Sequence[Hit]
) -> dict[Hit, float]:
    """Similarities of passages that only their words have found."""
    import numpy as np

    numbers = [number for owner, number in hits if owner == collection.id and number > 0]
    vectors = reader.vectors_by_id(collection.id, numbers)
    return {
        (collection.id, number): similarity(
            float(np.frombuffer(blob, dtype="<f4") @ asked.vector), asked.background
        )
        for number, blob in vectors.items()
    }


def _scores(ranked: Mapping[Hit, float], evidence: Sequence[Evidence]) -> dict[Hit, float]:
    """The score of every ranked passage, by its best term, in the order of the ranking."""
    return {hit: max(one.score(hit) for one in evidence) for hit in ranked}


def _passages(
    reader: Reader, names: Mapping[int, str], scored: Mapping[Hit, float], limits: RetrievalLimits
) -> Iterator[tuple[StoredChunk, str, float]]:
    """Chunks with their collection's name and score, in the order of the ranking, cut by score.

    Rows are read a few at a time: most hits are never shown.
    """
    hits = [hit for hit, value in scored.items() if value >= limits.min_score]
    for start in range(0, len(hits), limits.top):
        some = hits[start : start + limits.top]
        chunks = _chunks(reader, names, some)
        for hit in some:
            yield chunks[hit], names[hit[0]], scored[hit]


def _chunks(reader: Reader, collections: Iterable[int], hits: Sequence[Hit]) -> dict[Hit, StoredChunk]:
    """The chunk of each hit: the first of those that share its vector."""
    chunk_of: dict[Hit, int] = {hit: -hit[1] for hit in hits if hit[1] < 0}
    for collection in collections:
        vectors = [number for owner, number in hits if owner == collection and number > 0]
        first = reader.first_chunks_of(collection, vectors)
        chunk_of.update({(collection, number): chunk for number, chunk in first.items()})
    rows = reader.chunks(list(chunk_of.values()))
    return {hit: rows[chunk] for hit, chunk in chunk_of.items()}


def _select(found: Iterator[tuple[StoredChunk, str, float]], limits: RetrievalLimits) -> tuple[Passage, ...]:
    """The first `top` passages of different text that fit into `max_tokens`; others are passed over."""
    chosen: list[Passage] = []
    seen: set[str] = set()
    room = limits.max_tokens
    for chunk, collection, value in found:
        text = " ".join(chunk.text.split())
        if text in seen or (room is not None and chunk.tokens > room):
            continue
        seen.add(text)
        room = None if room is None else room - chunk.tokens
        chosen.append(passage_of(chunk, collection, value, len(chosen) + 1))
        if len(chosen) == limits.top:
            break
    return tuple(chosen)
