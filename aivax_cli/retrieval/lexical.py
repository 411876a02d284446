"""The lexical index of one collection: an FTS5 table of tokens, ranked by BM25.

The table is contentless: it holds postings alone, and forgetting a passage takes the very tokens that were
stored. They are made anew from the passage's text, which is why the analysis has a version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from math import log, sqrt
from threading import Lock

from msgspec import Struct

TABLE = "fts5(tokens, content='')"
"""What the virtual table is made with."""

K1 = 1.2
"""BM25's term saturation, as FTS5 has it built in."""

IDF_FLOOR = 1e-6
"""What FTS5 counts a token as that more than half of the passages hold."""

MAX_QUERY_TOKENS = 128
"""A pasted page is searched by its rarest tokens alone; more of them find nothing else, only later."""

MAX_POSTINGS = 15_000
"""Passages that the tokens of a question may touch before its most common ones no longer choose candidates.

FTS5 scores every passage that holds any token, at about 1 µs each; this bounds a search in 100,000 passages
to some 10 ms. XQuAD's English questions over its passages and 100,000 others found, by words alone, an MRR@10
of 88.3 % with it, 88.4 % with 60,000, 83.9 % with 8,000 and 71.0 % with 3,000.
"""

POSTINGS_PASSAGES = 100_000
"""Passages up to which `MAX_POSTINGS` holds. In more, a token of the same worth touches more of them, and the
bound grows with the square root: halfway between a search's time and what it finds."""


class LexicalQuery(Struct, frozen=True):
    """A question as FTS5 takes it. `reach` is U, the highest BM25 that any passage could have for it."""

    match: str
    reach: float


def idf(passages: int, holding: int) -> float:
    """FTS5's inverse document frequency of a token that `holding` of `passages` hold."""
    return max(IDF_FLOOR, log((passages - holding + 0.5) / (holding + 0.5)))


def reach(passages: int, holding: Iterable[int]) -> float:
    """U: the sum over a question's distinct tokens of idf · (k1 + 1), tokens that nothing holds included."""
    return sum(idf(passages, count) * (K1 + 1) for count in holding)


def plan(counts: Sequence[tuple[str, int]], passages: int) -> LexicalQuery:
    """Which tokens to match and what they could reach. `counts` are distinct tokens with their passages."""
    total = reach(passages, (count for _, count in counts))
    rarest = sorted((item for item in counts if item[1]), key=lambda item: item[1])
    present = rarest[:MAX_QUERY_TOKENS]
    # Tokens at the floor add nothing to a score but match half of the collection.
    telling = [item for item in present if idf(passages, item[1]) > IDF_FLOOR] or present
    most = MAX_POSTINGS * max(1.0, sqrt(passages / POSTINGS_PASSAGES))
    chosen: list[str] = []
    touched = 0
    for token, count in telling:
        touched += count
        if chosen and touched > most:
            break
        chosen.append(token)
    # A quoted string is a literal to FTS5, so no token can be taken for its syntax.
    return LexicalQuery(" OR ".join('"' + token.replace('"', '""') + '"' for token in chosen), total)


class TermCounts:
    """Remembers how many passages hold a token, for as long as a collection stays as it is.

    FTS5 counts by going through all of a token's passages, which takes some 10 ms for the words of a question
    in 10,000 passages and 30 to 100 ms in 100,000. Safe to share between threads.
    """

    MOST = 100_000
    """Tokens remembered of a collection, some 10 MB; then it begins anew."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[int, tuple[int, dict[str, int]]] = {}

    def get(
        self, connection: sqlite3.Connection, collection_id: int, generation: int, tokens: Sequence[str]
    ) -> list[tuple[str, int]]:
        """For each token, how many passages hold it, as `connection` sees the collection: at `generation`."""
        with self._lock:
            newest, known = self._known.get(collection_id, (-1, {}))
            if newest < generation or (newest == generation and len(known) > self.MOST):
                known = {}
                self._known[collection_id] = (generation, known)
            elif newest > generation:
                known = {}  # a view from before: what it counts is nobody else's
        counts = [(token, known.get(token, -1)) for token in tokens]
        counted = count_passages(connection, collection_id, [token for token, count in counts if count < 0])
        with self._lock:
            known.update(counted)
        return [(token, known[token]) for token in tokens]


def count_passages(
    connection: sqlite3.Connection, collection_id: int, tokens: Sequence[str]
) -> list[tuple[str, int]]:
    """For each token, how many passages hold it."""
    statement = f"SELECT doc FROM terms_{collection_id} WHERE term = ?"
    counts = []
    for token in tokens:
        row = connection.execute(statement, (token,)).fetchone()
        counts.append((token, int(row[0]) if row else 0))
    return counts


def search(
    connection: sqlite3.Connection, collection_id: int, match: str, limit: int
) -> list[tuple[int, float]]:
    """Chunk ids with their BM25, highest first."""
    if not match:
        return []
    table = f"lexical_{collection_id}"
    # FTS5's own `ORDER BY rank` sorts every row that matches before it gives the first: a third slower.
    rows = connection.execute(
        f"SELECT rowid, bm25({table}) AS score FROM {table} WHERE {table} MATCH ? ORDER BY score LIMIT ?",
        (match, limit),
    )
    return [(int(rowid), -float(rank)) for rowid, rank in rows]


def add(connection: sqlite3.Connection, collection_id: int, rows: Iterable[tuple[int, str]]) -> None:
    """Adds passages: chunk id and tokens, separated by spaces."""
    connection.executemany(f"INSERT INTO lexical_{collection_id}(rowid, tokens) VALUES (?, ?)", rows)


def forget(connection: sqlite3.Connection, collection_id: int, rows: Iterable[tuple[int, str]]) -> None:
    """Removes passages; the tokens must be those that were added."""
    table = f"lexical_{collection_id}"
    connection.executemany(f"INSERT INTO {table}({table}, rowid, tokens) VALUES ('delete', ?, ?)", rows)


def remake(connection: sqlite3.Connection, collection_id: int) -> None:
    """Puts an empty table in the place of this one, however damaged it is."""
    table = f"lexical_{collection_id}"
    connection.execute(f"DROP TABLE {table}")
    connection.execute(f"CREATE VIRTUAL TABLE {table} USING {TABLE}")


def indexed_passages(connection: sqlite3.Connection, collection_id: int) -> set[int]:
    """The ids of the passages that the index knows of."""
    return {row[0] for row in connection.execute(f"SELECT id FROM lexical_{collection_id}_docsize")}


def all_terms(connection: sqlite3.Connection, collection_id: int) -> Iterator[tuple[str, int, int]]:
    """Every token with how many passages hold it, and how often it occurs in all of them."""
    return iter(connection.execute(f"SELECT term, doc, cnt FROM terms_{collection_id}"))
