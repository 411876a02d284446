"""Headings, held against a full CommonMark parser."""

from __future__ import annotations

import random

import pytest
from markdown_it import MarkdownIt

from aivax_cli.ingest.structure import (
    blocks,
    front_matter,
    markdown_headings,
    markdown_title,
    outside_fences,
    plain,
    rst_headings,
)

LINES = [
    "# One",
    "## Two ##",
    "### Three #hash",
    "#no space",
    "####### seven",
    "   ### indented",
    "    # code",
    "#",
    "words here",
    "more words",
    "===",
    "---",
    "",
    "",
    "```",
    "```sh",
    "~~~",
    "````",
    "`` ` ``",
    "- item",
    "1. item",
    "> quote",
    "# `code` and *stress*",
]


def by_the_parser(text: str) -> list[tuple[int, int]]:
    """(line, level) of the headings that stand in no list and no quote."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [
        (token.map[0], int(token.tag[1]))
        for token in tokens
        if token.type == "heading_open" and token.level == 0 and token.map
    ]


def by_us(text: str) -> list[tuple[int, int]]:
    return [(text.count("\n", 0, found.start), found.level) for found in markdown_headings(text)]


def test_headings_are_those_of_commonmark() -> None:
    """Over random documents; setext underlines only below one-line paragraphs, as the module says."""
    rng = random.Random(7)
    no_setext = [line for line in LINES if line not in {"===", "---"}]
    compared = 0
    for _ in range(3000):
        # A fence inside a list item ends with the item; ours goes on to the next fence. So none of those.
        usable = [line for line in no_setext if not line.startswith(("-", "1."))]
        text = "\n".join(rng.choice(usable) for _ in range(rng.randint(1, 14)))
        assert by_us(text) == by_the_parser(text), text
        compared += len(by_the_parser(text))
    assert compared > 3000


@pytest.mark.parametrize("underline", ["===", "---", "-", "   ====   "])
def test_an_underlined_line_is_a_heading(underline: str) -> None:
    text = f"intro\n\nThe title\n{underline}\n\nwords"
    assert by_us(text) == by_the_parser(text) == [(2, 1 if "=" in underline else 2)]


@pytest.mark.parametrize(
    "text",
    [
        "words\n\n---\n\nmore",
        "- item\n---\n",
        "| a |\n|---|\n",
        "> quote\n---\n",
        "two\nlines\n---\n",
        "---\n---\n",
    ],
)
def test_a_rule_is_no_heading(text: str) -> None:
    assert markdown_headings(text) == []


def test_a_comment_in_a_list_items_code_is_no_heading() -> None:
    assert markdown_headings("- ```sh\n  # comment\n  ```\n\n# Real\n")[0].text == "Real"


def test_front_matter_names_the_title_and_holds_no_headings() -> None:
    text = "---\ntitle: 'The guide'\n# comment\ntags: [a]\n---\n# Body\n"
    end, title = front_matter(text)
    assert text[end:] == "# Body\n"
    assert title == "The guide"
    assert [found.text for found in markdown_headings(text)] == ["Body"]


def test_a_rule_at_the_top_without_its_like_is_no_front_matter() -> None:
    assert front_matter("---\n\nwords and no end\n") == (0, None)
    assert front_matter("text\n---\ntitle: x\n---\n") == (0, None)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Only\n\n## Sub\n", "Only"),
        ("# One\n\n# Two\n", None),
        ("## No first level\n", None),
        ("---\ntitle: From the block\n---\n# Only\n", "From the block"),
        ("---\ntitle:\n---\n# Only\n", "Only"),
        ("", None),
    ],
)
def test_a_title_is_the_front_matters_or_the_only_first_level_heading(text: str, title: str | None) -> None:
    assert markdown_title(text) == title


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("The `code` of **it** and _that_", "The code of it and that"),
        ("snake_case_name", "snake_case_name"),
        ("[Link](http://x.y/z) and ![img](a.png)", "Link and img"),
        ("Install {#install}", "Install"),
        (r"1\. R\&D", "1. R&D"),
    ],
)
def test_a_heading_is_read_without_markup(written: str, read: str) -> None:
    assert plain(written) == read


def test_restructured_text_has_its_levels_in_order_of_appearance() -> None:
    text = (
        "=====\nTitle\n=====\n\nwords\n\nOne\n---\n\nDeep\n~~~~\n\nTwo\n---\n\ntoo short a line\n--\n\n====\n"
    )
    assert [(found.level, found.text) for found in rst_headings(text)] == [
        (1, "Title"),
        (2, "One"),
        (3, "Deep"),
        (2, "Two"),
    ]
    assert text[rst_headings(text)[0].start :].startswith("=====\nTitle")


def test_blocks_are_parted_by_blank_lines_outside_fences() -> None:
    text = "a\nb\n\n\nc\n\n```\nd\n\ne\n```\n\nf"
    assert [text[start:end] for start, end in blocks(text)] == [
        "a\nb\n\n\n",
        "c\n\n",
        "```\nd\n\ne\n```\n\n",
        "f",
    ]


def test_rewriting_leaves_fenced_code_alone() -> None:
    text = "a\n```\nb\n```\nc\n~~~\nd"
    assert outside_fences(text, str.upper) == "A\n```\nb\n```\nC\n~~~\nd"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "unit", ["# ", "#", "`", "~~~", "- ", "1. ", "[", "![](", " ", "\t", "---\n", "=", "title: "]
)
def test_structure_is_found_in_time_proportional_to_the_text(unit: str) -> None:
    for text in (unit * (500_000 // len(unit)), "---\n" + unit * (500_000 // len(unit))):
        markdown_headings(text)
        markdown_title(text)
        blocks(text)
        rst_headings(text)
