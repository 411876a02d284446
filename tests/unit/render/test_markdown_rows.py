"""Markdown as rows: nothing of the source is hidden, everything fits."""

import io

import pytest
from rich.console import Console

from aivax_cli.render.markdown import MarkdownRenderer
from aivax_cli.render.rows import Row, row_text, row_width


def rows(source: str, width: int = 60) -> list[Row]:
    return MarkdownRenderer(Console(file=io.StringIO(), width=width)).document(source, width)


def shown(source: str, width: int = 60) -> list[str]:
    return [row_text(row) for row in rows(source, width)]


def style_of(source: str, text: str) -> str:
    return next(str(style) for row in rows(source) for part, style in row if text in part)


def test_blocks_are_set_apart_by_one_blank_row() -> None:
    assert shown("a\n\n\n\nb\n# c\n***\n") == ["a", "", "b", "", "c", "", "─" * 40]


@pytest.mark.parametrize("heading", ["# Title", "Title\n=====", "### Title ###"])
def test_headings_are_shown_without_their_marks(heading: str) -> None:
    assert shown(heading) == ["Title"]
    assert "bold" in style_of(heading, "Title")


def test_emphasis_becomes_style() -> None:
    assert shown("a **b** *c* `d` ~~e~~") == ["a b c d e"]
    assert [style_of("a **b** *c* ~~e~~", x) for x in "bce"] == ["bold", "italic", "strike"]


def test_a_line_end_in_a_paragraph_is_kept() -> None:
    assert shown("Roses are red\nviolets are blue") == ["Roses are red", "violets are blue"]


def test_lists_are_nested_and_numbered_as_they_start() -> None:
    assert shown("3. a\n4. b\n   - c\n     - d\n") == [" 3. a", " 4. b", "     • c", "        • d"]


def test_loose_lists_are_set_as_tight_ones_and_keep_their_paragraphs_apart() -> None:
    assert shown("- a\n\n  more\n\n- b\n") == [" • a", "", "   more", " • b"]


def test_code_is_shown_as_it_is_between_two_edges() -> None:
    assert shown("```py\nif a:\n\n    b  # *c*\n```") == ["─── py", "if a:", "", "    b  # *c*", "───"]


def test_code_is_coloured_by_its_language() -> None:
    assert style_of("```python\ndef f(): pass\n```", "def") == "magenta"


def test_wide_code_is_cut_and_not_lost() -> None:
    text = "x" * 130
    assert "".join(shown(f"```\n{text}\n```")[1:-1]) == text


def test_tabs_in_code_reach_the_next_stop() -> None:
    assert shown("```make\na:\n\tb\tc\n```")[1:-1] == ["a:", "    b   c"]


def test_a_link_shows_where_it_leads() -> None:
    assert shown("[my bank](http://evil.example/x)") == ["my bank (http://evil.example/x)"]


def test_a_bare_link_is_not_repeated() -> None:
    assert shown("<https://a.example/> <me@a.example>") == ["https://a.example/ me@a.example"]


def test_a_reference_is_resolved_and_an_image_named() -> None:
    assert shown("[a][1] ![pic](p.png)\n\n[1]: /b") == ["a (/b) [image: pic] (p.png)"]


def test_html_is_shown_and_not_swallowed() -> None:
    assert shown("<div>\n  <b>hi</b>\n</div>\n\na <sub>b</sub> c<br>d") == [
        "<div>",
        "  <b>hi</b>",
        "</div>",
        "",
        "a <sub>b</sub> c",
        "d",
    ]


def test_tables_align_their_columns() -> None:
    assert shown("| a | n |\n|---|--:|\n| x | 1 |\n| yyy | 22 |") == [
        "a      n",
        "────────",
        "x      1",
        "yyy   22",
    ]


def test_a_cell_that_is_too_wide_wraps() -> None:
    source = "| a | b |\n|---|---|\n| x | " + "word " * 30 + "|"
    assert " ".join(shown(source)).count("word") == 30
    assert max(map(row_width, rows(source))) <= 60


def test_a_table_with_more_columns_than_fit_becomes_records() -> None:
    source = "| h1 | h2 | h3 | h4 | h5 | h6 |\n" + "|---" * 6 + "|\n" + "|value" * 6 + "|"
    assert shown(source, 40) == [f"h{n}: value" for n in range(1, 7)]


def test_quotes_have_a_bar() -> None:
    assert shown("> a\n>\n> - b") == ["▌ a", "▌", "▌  • b"]


NESTED = "\n".join("  " * depth + f"- level {depth}" for depth in range(9))
HARD = [
    "word " * 200,
    "x" * 5000,
    "👩‍👩‍👧 e\u0301 שלום 日本語 " * 30,
    NESTED,
    ">" * 18 + " deep",
    "| a | b |\n|---|---|\n|" + "日本語" * 40 + "| x |",
    "```python\n" + "日" * 300 + "\n```",
    "# " + "long " * 40,
]


@pytest.mark.parametrize("source", HARD, ids=range(len(HARD)))
@pytest.mark.parametrize("width", [20, 40, 100])
def test_every_row_fits_the_screen(source: str, width: int) -> None:
    assert max(map(row_width, rows(source, width))) <= width


@pytest.mark.parametrize("source", ["", "\n\n", "[a]: /b\n", "<!-- -->", "- \n-\n", "```", "|", "1.", "#"])
def test_nearly_nothing_renders(source: str) -> None:
    assert len(rows(source)) <= 3
