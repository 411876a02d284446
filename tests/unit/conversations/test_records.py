"""What is kept of a turn, as text and back."""

from decimal import Decimal

import pytest

from aivax_cli.conversations.records import TurnRecord, read_record, record_text, title_from
from aivax_cli.core.errors import ConversationError
from aivax_cli.core.types import Charge, Passage, Source

PASSAGE = Passage("p1", "", Source("docs", "a.md", "Heading", 12, 30), 0.53, 1, chunk=7)
RECORD = TurnRecord(
    "Plain",
    ("term",),
    (PASSAGE,),
    (Charge("inference.chat_completions.in", 10, Decimal("0.0000000025"), "words", estimated=True),),
    model="@openai/gpt-5-mini",
    finish_reason="length",
    stopped="the endpoint broke off",
    context_tokens=84,
)


def test_a_record_comes_back_as_it_was() -> None:
    assert read_record(record_text(RECORD)) == RECORD


def test_an_unknown_price_stays_unknown() -> None:
    record = TurnRecord(charges=(Charge("sku", 1, None, "words"),))
    assert read_record(record_text(record)).charges[0].unit_price_usd is None


def test_the_texts_of_passages_are_not_kept() -> None:
    long = Passage("p1", "the text of a document", PASSAGE.source, 0.53, 1)
    assert "the text of a document" not in record_text(TurnRecord(passages=(long,)))


@pytest.mark.parametrize("text", ["", "[]", '{"charges": [{"sku": "x"}]}', '{"passages": 1}'])
def test_what_is_no_record_is_an_error(text: str) -> None:
    with pytest.raises(ConversationError):
        read_record(text)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is the capital of France?", "What is the capital of France?"),
        ("\n\n  two\tspaces \nand more", "two spaces"),
        ("word " * 20, " ".join(["word"] * 12) + "…"),
        ("x" * 100, "x" * 59 + "…"),
        ("  ", ""),
    ],
)
def test_a_title_is_the_first_line_cut_at_a_word(question: str, title: str) -> None:
    assert title_from(question) == title
