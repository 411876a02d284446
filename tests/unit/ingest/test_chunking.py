"""Chunks: nothing lost, nothing too long, each in its right place."""

from __future__ import annotations

import random

import pytest

from aivax_cli.ingest.chunking import MAX_TOKENS, MIN_TOKENS, Chunker
from aivax_cli.ingest.documents import Chunk, Document
from aivax_cli.ingest.tokens import WordCounter, estimate_tokens

WORDS = [
    *("gateway", "collection", "preço", "ações", "token", "日本語", "résumé", "a", "I", "x_y"),
    *("foo()", "1,792", "—", "naïve", "**bold**", "`code`"),
]


def words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(count))


def random_markdown(seed: int) -> str:
    """Everything that Markdown may hold, in an order that nobody would write."""
    rng = random.Random(seed)
    blocks = {
        "heading": lambda: f"{'#' * rng.randint(1, 6)} {words(rng, rng.randint(1, 6))}",
        "setext": lambda: f"{words(rng, 3)}\n{rng.choice(['===', '---'])}",
        "paragraph": lambda: words(rng, rng.randint(1, 400)),
        "sentences": lambda: ". ".join(words(rng, rng.randint(3, 30)) for _ in range(rng.randint(1, 30))),
        "lines": lambda: "\n".join(words(rng, rng.randint(1, 12)) for _ in range(rng.randint(1, 60))),
        "list": lambda: "\n".join(f"- {words(rng, rng.randint(1, 30))}" for _ in range(rng.randint(1, 30))),
        "fence": lambda: (
            "```py\n"
            + "\n\n".join(f"# {words(rng, rng.randint(1, 20))}" for _ in range(rng.randint(1, 30)))
            + "\n```"
        ),
        "unclosed": lambda: "~~~\n# not a heading",
        "table": lambda: "\n".join(
            f"| {words(rng, 3)} | {words(rng, 2)} |" for _ in range(rng.randint(2, 80))
        ),
        "rule": lambda: "---",
        "blanks": lambda: "\n" * rng.randint(1, 9),
        "data": lambda: "".join(rng.choice("abcXYZ019+/=") for _ in range(rng.randint(1, 3000))),
        "indented": lambda: "    " + words(rng, 8) + "\n\t" + words(rng, 8),
    }
    kinds = [kind for kind in blocks if kind != "unclosed" or rng.random() < 0.1]
    parts = [blocks[rng.choice(kinds)]() for _ in range(rng.randint(0, 25))]
    return rng.choice(["\n", "\n\n"]).join(parts) + rng.choice(["", "\n", "\n\n  \n"])


def chunks_of(text: str, kind: str = "markdown", title: str = "Title", **options: int) -> list[Chunk]:
    return Chunker(**options).chunk(Document("doc", title, text, kind))


def ink(text: str) -> str:
    return "".join(text.split())


CASES = [(seed, kind) for seed in range(12) for kind in ("markdown", "text", "rst", "code")]


@pytest.mark.parametrize("limit", [3, 40, MAX_TOKENS])
def test_no_character_is_lost_or_moved_or_doubled(limit: int) -> None:
    for seed, kind in CASES:
        text = random_markdown(seed)
        chunks = chunks_of(text, kind, max_tokens=limit)
        assert "".join(ink(chunk.text) for chunk in chunks) == ink(text), (seed, kind)


def test_no_chunk_holds_more_tokens_than_allowed_by_the_counter_given() -> None:
    def one_for_each_three_characters(texts: list[str]) -> list[int]:
        return [-(-len(text) // 3) for text in texts]

    for limit in (30, MAX_TOKENS):
        for counter in (estimate_tokens, one_for_each_three_characters):
            measure = WordCounter(counter)
            for seed, kind in CASES:
                chunker = Chunker(max_tokens=limit, count_tokens=counter)
                for chunk in chunker.chunk(Document("doc", "Title", random_markdown(seed), kind)):
                    assert chunk.tokens == measure(chunk.text) <= limit, (seed, kind)


def test_the_lines_that_a_chunk_names_are_those_that_hold_its_text() -> None:
    for seed, kind in CASES:
        text = random_markdown(seed)
        lines = text.split("\n")
        for chunk in chunks_of(text, kind, max_tokens=50):
            assert chunk.first_line is not None
            assert chunk.last_line is not None
            named = lines[chunk.first_line - 1 : chunk.last_line]
            assert chunk.text in "\n".join(named), (seed, kind)
            assert ink(named[0]), (seed, kind)
            assert ink(named[-1]), (seed, kind)


def test_the_same_document_is_always_cut_alike() -> None:
    used = Chunker()
    for seed in range(20):
        document = Document("doc", "Title", random_markdown(seed), "markdown")
        assert used.chunk(document) == Chunker().chunk(document)


def test_a_document_of_white_space_has_no_chunks() -> None:
    assert chunks_of(" \n\n\t\n") == []
    assert chunks_of("") == []


def test_a_chunk_keeps_the_indentation_of_its_first_line() -> None:
    (chunk,) = chunks_of("\n\n    def f():\n        return 1\n\n", "code")
    assert chunk.text == "    def f():\n        return 1"
    assert (chunk.first_line, chunk.last_line) == (3, 4)


def test_a_heading_path_leads_from_the_title_to_the_section() -> None:
    body = words(random.Random(1), 60)
    text = f"# Guide\n\n{body}\n\n## Install\n\n{body}\n\n### On Linux\n\n{body}\n\n## Use\n\n{body}\n"
    headings = [chunk.heading for chunk in chunks_of(text, title="Guide", max_tokens=200)]
    assert headings == ["Guide", "Guide > Install", "Guide > Install > On Linux", "Guide > Use"]


def test_a_first_heading_other_than_the_title_stands_in_the_path() -> None:
    body = words(random.Random(1), 60)
    (chunk,) = chunks_of(f"# Part one\n\n{body}", title="Manual")
    assert chunk.heading == "Manual > Part one"


def test_a_comment_in_fenced_code_is_no_heading() -> None:
    body = words(random.Random(1), 60)
    text = f"# Guide\n\n{body}\n\n```sh\n# install it\nmake\n```\n\n{body}"
    assert {chunk.heading for chunk in chunks_of(text, title="Guide", max_tokens=120)} == {"Guide"}


def test_a_lone_heading_goes_with_what_follows_it() -> None:
    body = words(random.Random(1), 60)
    text = f"{body}\n\n# Chapter\n\n## Section\n\n{body}\n"
    before, after = chunks_of(text, max_tokens=200)
    assert ink(before.text) == ink(body)
    assert after.text.startswith("# Chapter\n\n## Section\n\n")
    assert after.heading == "Title > Chapter > Section"


def test_a_small_section_at_the_end_goes_with_the_one_before_it() -> None:
    body = words(random.Random(1), 60)
    (chunk,) = chunks_of(f"# A\n\n{body}\n\n# B\n\nEnd.\n")
    assert chunk.text.endswith("# B\n\nEnd.")
    assert chunk.heading == "Title > A"


def test_no_chunk_is_tiny_where_a_neighbour_has_room() -> None:
    text = "\n\n".join(f"## Q{n}\n\nYes." for n in range(100))
    chunks = chunks_of(text)
    assert all(chunk.tokens >= MIN_TOKENS for chunk in chunks)
    assert len(chunks) > 10  # joined until they can stand alone, not further


def test_fenced_code_with_blank_lines_is_kept_whole_where_it_fits() -> None:
    body = words(random.Random(1), 90)
    code = "```py\n" + "\n\n".join(f"x{n} = {n}" for n in range(15)) + "\n```"
    chunks = chunks_of(f"{body}\n\n{code}\n\n{body}", max_tokens=180)
    assert len(chunks) > 1
    assert sum(code in chunk.text for chunk in chunks) == 1


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    sentence = 'The "gateway" calls the model, then it streams (and counts) the answer'
    chunks = chunks_of(". ".join([sentence] * 60) + ".", max_tokens=100)
    assert len(chunks) > 5
    assert all(chunk.text.endswith(".") for chunk in chunks)


def test_a_long_text_is_shared_out_evenly() -> None:
    text = "\n\n".join(words(random.Random(n), 2) for n in range(200))
    sizes = [chunk.tokens for chunk in chunks_of(text, max_tokens=100)]
    assert min(sizes) > 0.5 * max(sizes)


def test_a_page_is_the_one_on_which_the_chunk_begins() -> None:
    pages = ["One. " * 30, "Two. " * 30, "", "Four. " * 30]
    starts = [sum(len(page) + 2 for page in pages[:n]) for n in range(4)]
    document = Document("d.pdf", "T", "\n\n".join(pages), "pdf", tuple(starts), lines_are_real=False)
    chunks = Chunker(max_tokens=40).chunk(document)
    assert [(chunk.page, chunk.text[:3]) for chunk in chunks if chunk.text.startswith("Four")] != []
    for chunk in chunks:
        assert chunk.page == {"One": 1, "Two": 2, "Fou": 4}[chunk.text[:3]]
        assert (chunk.first_line, chunk.last_line) == (None, None)


def test_a_heading_of_thousands_of_characters_is_shortened_in_the_path() -> None:
    (chunk, *_) = chunks_of("# " + "endless " * 2000)
    assert len(chunk.heading) < 140
    assert chunk.heading.endswith("…")


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Chunker(max_tokens=0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "unit", ["a", "word ", "x.\n", "- a\n", "# h\n", "```\n", ">", "[", "|a|b|\n", "\n", "é"]
)
def test_much_of_anything_is_cut_in_seconds(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    chunks = chunks_of(text)
    assert sum(len(ink(chunk.text)) for chunk in chunks) == len(ink(text))
