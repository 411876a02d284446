"""What a search must find: measures of a ranking against the documents that are right. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log2

from aivax_cli.checks.assertions.base import Found
from aivax_cli.checks.assertions.values import names
from aivax_cli.core.types import Passage
from aivax_cli.gateway.check_file import Retrieve


def findings(wanted: Retrieve, passages: Sequence[Passage]) -> Iterator[tuple[str, Found]]:
    """The name and the finding of each thing that is asked of the ranking, best passage first."""
    ranked = sorted(passages, key=lambda passage: passage.rank)[: wanted.k]
    found = list(dict.fromkeys(passage.source.document for passage in ranked))
    shown = ", ".join(found) or "nothing"
    if wanted.must:
        missing = [each for each in wanted.must if not _in(each, found)]
        yield "must", Found(not missing, _listed(wanted.must), shown, f"not found: {_listed(missing)}")
    if wanted.any:
        holds = any(_in(each, found) for each in wanted.any)
        yield "any", Found(holds, _listed(wanted.any, " or "), shown, "none of them was found")
    if wanted.must_not:
        wrong = [each for each in found if any(names(each, pattern) for pattern in wanted.must_not)]
        yield (
            "must_not",
            Found(not wrong, f"without {_listed(wanted.must_not)}", shown, f"found {_listed(wrong)}"),
        )
    if wanted.first is not None:
        first = found[0] if found else "nothing"
        holds = bool(found) and names(first, wanted.first)
        yield "first", Found(holds, wanted.first, first, f"the first is {first}")
    right = [*wanted.must, *wanted.any]
    for name, least, value in (
        ("recall", wanted.recall, recall(right, found)),
        ("mrr", wanted.mrr, reciprocal_rank(right, found)),
        ("ndcg", wanted.ndcg, ndcg(right, found)),
    ):
        if least is not None:
            yield (
                name,
                Found(value >= least, f"at least {least:g}", f"{value:.2f}", f"is {value:.2f} of {shown}"),
            )
    if wanted.none_above is not None:
        best = max((passage.score for passage in ranked), default=0.0)
        above = f"{shown.split(', ')[0]} scores {best:.2f}"
        yield (
            "none_above",
            Found(best <= wanted.none_above, f"at most {wanted.none_above:g}", f"{best:.2f}", above),
        )


def recall(right: Sequence[str], found: Sequence[str]) -> float:
    """The share of the right documents that were found; 1 where nothing is asked for."""
    return sum(_in(each, found) for each in right) / len(right) if right else 1.0


def reciprocal_rank(right: Sequence[str], found: Sequence[str]) -> float:
    """1 / the rank of the first right document, 0 when none was found."""
    hits = (1 / rank for rank, document in enumerate(found, start=1) if _right(document, right))
    return next(hits, 0.0)


def ndcg(right: Sequence[str], found: Sequence[str]) -> float:
    """nDCG with a gain of 1 for each right document (Järvelin and Kekäläinen, 2002)."""
    gained = sum(
        1 / log2(rank + 1) for rank, document in enumerate(found, start=1) if _right(document, right)
    )
    ideal = sum(1 / log2(rank + 1) for rank in range(1, len(right) + 1))
    return min(1.0, gained / ideal) if ideal else 1.0


def _in(pattern: str, found: Sequence[str]) -> bool:
    return any(names(document, pattern) for document in found)


def _right(document: str, right: Sequence[str]) -> bool:
    return any(names(document, pattern) for pattern in right)


def _listed(names_: Sequence[str], word: str = ", ") -> str:
    return word.join(names_)
