"""The unigram tokenizer on a vocabulary small enough to reckon by hand."""

import time

import pytest

from aivax_cli.retrieval.embedding.tokenizer import UnigramTokenizer

PIECES = ["<unk>", "▁", "a", "b", "ab", "▁a", "▁ab", "é", "aba"]
SCORES = [0.0, -4.0, -3.0, -3.0, -5.0, -4.5, -6.0, -3.0, -9.5]
IDS = {piece: index for index, piece in enumerate(PIECES) if piece != "<unk>"}


@pytest.fixture
def tokenizer() -> UnigramTokenizer:
    return UnigramTokenizer(IDS, SCORES, {ord("Ａ"): "a", ord("\t"): " ", ord("▁"): " "}, unknown_id=0)


def pieces(tokenizer: UnigramTokenizer, text: str) -> list[str]:
    return [PIECES[index] for index in tokenizer.encode(text)]


def test_the_likeliest_segmentation_wins_over_the_longest_piece(tokenizer: UnigramTokenizer) -> None:
    # ▁ab + a: -9.0; ▁a + b + a: -10.5; ▁ + aba: -13.5
    assert pieces(tokenizer, "aba") == ["▁ab", "a"]


def test_every_word_begins_with_the_mark(tokenizer: UnigramTokenizer) -> None:
    assert pieces(tokenizer, "a b") == ["▁a", "▁", "b"]


def test_neighbouring_unknown_characters_are_one_unknown(tokenizer: UnigramTokenizer) -> None:
    assert pieces(tokenizer, "axyb") == ["▁a", "<unk>", "b"]


def test_a_text_cannot_spell_a_special_token(tokenizer: UnigramTokenizer) -> None:
    assert "<unk>" not in IDS
    assert tokenizer.count("<unk>") > 1


def test_spaces_around_and_between_count_once(tokenizer: UnigramTokenizer) -> None:
    assert tokenizer.encode(" \t a \t  b ") == tokenizer.encode("a b")


def test_characters_are_folded(tokenizer: UnigramTokenizer) -> None:
    assert tokenizer.encode("Ａb") == tokenizer.encode("ab")


def test_an_accent_apart_is_the_accent_together(tokenizer: UnigramTokenizer) -> None:
    assert tokenizer.encode("ae\u0301") == tokenizer.encode("aé")


def test_nothing_has_no_pieces(tokenizer: UnigramTokenizer) -> None:
    assert tokenizer.encode("") == tokenizer.encode("  ") == []


def test_a_limit_gives_the_beginning(tokenizer: UnigramTokenizer) -> None:
    text = "ab aba " * 50
    assert tokenizer.encode(text, 7) == tokenizer.encode(text)[:7]


def test_a_limit_spares_the_rest_of_a_huge_word(tokenizer: UnigramTokenizer) -> None:
    started = time.process_time()
    tokenizer.encode("ab" * 5_000_000, 10)
    assert time.process_time() - started < 1
