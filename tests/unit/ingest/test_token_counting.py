"""Counting by words."""

from __future__ import annotations

from collections.abc import Sequence

from aivax_cli.ingest.tokens import WordCounter, estimate_tokens


class Recorded:
    """A counter, one token for each character, that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[int]:
        self.asked.extend(texts)
        return [len(text) for text in texts]


def test_a_text_counts_as_the_sum_of_its_words() -> None:
    assert WordCounter(Recorded())("one  three\n\tfive") == 12


def test_a_word_is_counted_once() -> None:
    counter = Recorded()
    count = WordCounter(counter)
    count("one two one")
    count("two one three")
    assert sorted(counter.asked) == ["one", "three", "two"]


def test_a_word_longer_than_any_language_has_never_reaches_the_counter() -> None:
    counter = Recorded()
    assert WordCounter(counter)("x" * 10_000) == 10_000
    assert counter.asked == []


def test_the_memory_of_words_is_bounded_and_counts_stay_right() -> None:
    count = WordCounter(Recorded())
    for start in range(0, 300_000, 1_000):
        text = " ".join(f"w{number}" for number in range(start, start + 1_000))
        assert count(text) == len("".join(text.split()))
    assert len(count._memo) <= 101_000


def test_an_estimate_gives_every_visible_character_its_share() -> None:
    assert estimate_tokens(["", "   ", "a", "word", "wonderful", "!?", "日本語", "1234567", "a_b"]) == [
        *(0, 0, 1, 1, 2, 2, 3, 3, 3)
    ]
