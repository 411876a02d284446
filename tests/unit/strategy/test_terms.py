"""Reading what a rewrite model answered."""

import pytest

from aivax_cli.strategy.terms import MAX_TERMS, MAX_TERMS_CHARACTERS, read_terms


@pytest.mark.parametrize(
    ("answer", "terms"),
    [
        ("how is cost computed", ("how is cost computed",)),
        ("first one\nsecond one\n", ("first one", "second one")),
        ("1. first\n2) second\n- third\n• fourth", ("first", "second", "third", "fourth")),
        ('"quoted question"', ("quoted question",)),
        ("Query: what is it", ("what is it",)),
        ("Search queries: what is it", ("what is it",)),
        ("Pergunta: o que é", ("o que é",)),
        ('["a b", "c d"]', ("a b", "c d")),
        ('```json\n{"queries": ["a b"]}\n```', ("a b",)),
        ("<think>hm\nhm</think>\nwhat is it", ("what is it",)),
        ("same\nsame", ("same",)),
        ("3 ways to pay", ("3 ways to pay",)),
        ("[unfinished", ("[unfinished",)),
        ("[" * 100_000, ()),
        ("", ()),
        ("<think>never closed", ()),
        ("[]", ()),
        ("\n \n", ()),
    ],
)
def test_terms_are_read_from_an_answer(answer: str, terms: tuple[str, ...]) -> None:
    assert read_terms(answer) == terms


def test_no_more_terms_than_a_search_allows() -> None:
    assert len(read_terms("\n".join(f"term {i}" for i in range(50)))) == MAX_TERMS


def test_no_more_characters_than_a_search_allows_and_whole_terms_only() -> None:
    terms = read_terms("\n".join(c * 200 for c in "abc"))
    assert terms == ("a" * 200, "b" * 200)
    assert sum(map(len, terms)) <= MAX_TERMS_CHARACTERS
