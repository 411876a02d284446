"""The Portuguese texts: all of them, none too many, and each one found again in what the program says."""

import re
from pathlib import Path

import pytest

import aivax_cli
from aivax_cli.messages.catalogue import read_catalogue
from aivax_cli.messages.extract import Extraction
from aivax_cli.messages.language import Catalogue
from aivax_cli.messages.templates import places

ENGLISH_TOO = frozenset(
    {
        # Commands, and words of theirs that are typed as they are.
        *("/help", "/retry", "/continue", "/undo", "/reset", "/compact", "/why", "/cost", "/exit"),
        *("/copy [N|code]", "/fork [N]", "/sources [N]", "/model [REF]", "export {}=…", "cd {}"),
        *("--collection {}", "--schema: {}", "--shard: '{}'", "--references: 'none'", "--set budget.{}={}"),
        # Names: of formats, libraries, fields, measures.
        *("ID", "[ID]", "I/N", "A,B", "N,M", "X,Y", "HEX", "USD", "SKU", "MRR", "recall", "slug", "id"),
        *(
            "Chroma",
            "Python",
            "SQLite",
            "chromadb",
            "onnxruntime",
            "endpoints",
            "downloads",
            "response_schema: {}",
        ),
        *(
            "providers.{}: {}",
            "prices: {}",
            "(HTTP {})",
            "[GATEWAY] [PROMPT]",
            "GATEWAY",
            "endpoint: {}",
            "data:image/",
            "extends {}: {}",
        ),
        # Words that Portuguese has taken over, or has, too.
        *("chunks", "tokens", "total", "gateway", "gateways", "{} chunk", "{} chunks", "{} gateway"),
        *("{} gateways", "{} byte", "{} bytes", "{} tokens", "{} tokens/s", "{} chunks/s"),
        *("{} ms", "{} min", "{} kB", "{} MB", "{} GB", "{} MiB"),
    }
)
"""Texts that are the same in both languages."""

PACKAGE = Path(aivax_cli.__file__).parent
PORTUGUESE = read_catalogue("pt")
LIBRARIES = read_catalogue("libraries_pt")


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """The texts of the sources, with where each stands."""
    return Extraction(PACKAGE).run()


def test_no_text_of_the_sources_is_missing_in_portuguese(written: dict[str, str]) -> None:
    missing = {text: place for text, place in written.items() if text not in PORTUGUESE}

    assert missing == {}, "write them in aivax_cli/messages/pt.json"


def test_no_portuguese_text_is_for_words_that_the_sources_no_longer_have(written: dict[str, str]) -> None:
    assert [text for text in PORTUGUESE if text not in written] == []


def test_what_the_extraction_finds_is_most_of_what_is_said(written: dict[str, str]) -> None:
    # A sink that is no longer recognised would empty the other two tests, not fail them.
    assert len(written) > 1_500
    for text in (
        "no gateway named '{}'",  # an error whose kind is a parameter of a function
        "{} turns",  # a plural inside an f-string
        "/help lists what else can be typed.",
        "Print JSON.",
        "unpriced tokens",
        "unknown field",
    ):
        assert text in written


def _same(text: str) -> bool:
    """Whether the text is its own translation: a command to type, or listed above."""
    command = re.fullmatch(r"(`[^`]+`[,;. ]*)+|(pip install|aivax) [^`]*", text)
    return text in ENGLISH_TOO or command is not None


def test_portuguese_differs_from_english_where_it_should() -> None:
    plain = {text: re.sub(r"\{\d\}", "{}", said) for text, said in PORTUGUESE.items()}

    assert [text for text, said in plain.items() if said == text and not _same(text)] == []


def test_no_text_is_listed_as_the_same_without_need() -> None:
    assert [text for text in ENGLISH_TOO if re.sub(r"\{\d\}", "{}", PORTUGUESE.get(text, "")) != text] == []


@pytest.mark.parametrize("catalogue", [PORTUGUESE, LIBRARIES], ids=["own", "libraries"])
def test_the_values_of_a_text_are_all_in_its_translation(catalogue: dict[str, str]) -> None:
    wrong = {
        text: said
        for text, said in catalogue.items()
        if sorted(set(places(said))) != list(range(text.count("{}"))) or "{}" in said
    }

    assert wrong == {}


def _filled(text: str, said: str) -> tuple[str, str]:
    """The text and its translation with values in them."""
    values = [f"v{number}x" for number in range(text.count("{}"))]
    rest = iter(values)
    english = re.sub(r"\{\}", lambda _: next(rest), text)
    return english, re.sub(r"\{(\d)\}", lambda found: values[int(found[1])], said)


def test_every_text_is_told_from_all_others_once_it_has_values() -> None:
    catalogue = Catalogue(LIBRARIES | PORTUGUESE)
    pairs = [_filled(text, said) for text, said in (LIBRARIES | PORTUGUESE).items()]

    wrong = {english: catalogue.translate(english) for english, said in pairs}
    assert {english: wrong[english] for english, said in pairs if wrong[english] != said} == {}


def test_portuguese_is_not_taken_for_english_and_translated_again() -> None:
    catalogue = Catalogue(LIBRARIES | PORTUGUESE)
    said = [said for _, said in (_filled(*each) for each in (LIBRARIES | PORTUGUESE).items())]

    assert [text for text in said if catalogue.translate(text) != text] == []
