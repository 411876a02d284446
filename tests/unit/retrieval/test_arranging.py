"""The order in which passages are read."""

from __future__ import annotations

from aivax_cli.core.types import Passage, Source
from aivax_cli.retrieval.arranging import in_document_order


def passage(document: str, position: int | None, collection: str = "kb") -> Passage:
    name = f"{collection}/{document}#{position}"
    return Passage(name, name, Source(collection, document), 0.5, 0, position=position)


def order(*passages: Passage) -> list[str]:
    arranged = in_document_order(passages)
    assert [one.rank for one in arranged] == list(range(1, len(arranged) + 1))
    return [one.id.removeprefix("kb/") for one in arranged]


def test_passages_that_are_not_adjacent_keep_their_ranking():
    assert order(passage("a", 7), passage("b", 3), passage("a", 2), passage("a", 4)) == [
        "a#7", "b#3", "a#2", "a#4",
    ]  # fmt: skip


def test_adjacent_passages_are_one_run_in_document_order_at_the_place_of_the_best():
    assert order(passage("b", 1), passage("a", 3), passage("c", 1), passage("a", 2), passage("a", 4)) == [
        "b#1", "a#2", "a#3", "a#4", "c#1",
    ]  # fmt: skip


def test_a_passage_between_two_runs_joins_them():
    assert order(passage("a", 1), passage("b", 9), passage("a", 3), passage("a", 2)) == [
        "a#1", "a#2", "a#3", "b#9",
    ]  # fmt: skip


def test_documents_of_one_name_in_two_collections_are_two():
    assert order(passage("a", 2), passage("a", 1, "other")) == ["a#2", "other/a#1"]


def test_without_positions_the_ranking_stands():
    assert order(passage("a", None), passage("b", None)) == ["a#None", "b#None"]


def test_a_passage_that_stands_twice_is_kept_once_where_it_came_first():
    assert order(passage("a", 5), passage("b", 1), passage("a", 5)) == ["a#5", "b#1"]
