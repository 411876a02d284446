"""The line and the sources below an answer."""

import io
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from aivax_cli.core.types import Charge, Passage, Source, Timing
from aivax_cli.render.closing import Sources, cited, closing_line

ANSWER = "inference.chat_completions"
FREE = Decimal(0)


def spent(price: Decimal | None, *, estimated: bool = False) -> list[Charge]:
    return [
        Charge(f"{ANSWER}.in", 1204, price, "d", estimated),
        Charge(f"{ANSWER}.in.cached", 512, price, "d"),
        Charge(f"{ANSWER}.out", 87, price, "d", estimated),
    ]


def test_a_turn_closes_with_tokens_cost_and_speed() -> None:
    line = closing_line(spent(Decimal("1e-7")), Timing(3.2, 0.4, 2.9))
    assert line.plain == "1,204 in · 512 cached · 87 out · $0.0001803 · first token 400 ms · 30 tokens/s"


@pytest.mark.parametrize(("price", "cost"), [(None, "unpriced"), (FREE, "$0.00")])
def test_unknown_is_not_free(price: Decimal | None, cost: str) -> None:
    assert closing_line(spent(price), None).plain.endswith(f" · {cost}")


def test_estimates_are_marked() -> None:
    assert closing_line(spent(Decimal(1), estimated=True), None).plain.startswith(
        "~1,204 in · 512 cached · ~87 out · ~$"
    )


def test_a_note_stands_first() -> None:
    line = closing_line([Charge(f"{ANSWER}.out", 2, FREE, "d")], None, note="interrupted")
    assert line.plain == "interrupted · 0 in · 2 out · $0.00"


def test_a_turn_stopped_before_its_answer_shows_what_the_rewriting_cost() -> None:
    rewriting = Charge("inference.resolving.query_rewrite.in", 10, Decimal("0.01"), "d")
    assert closing_line([rewriting], None, note="interrupted").plain == "interrupted · $0.10"


def test_without_any_call_no_cost_is_claimed() -> None:
    assert closing_line([], Timing(1.25, None, None), note="failed").plain == "failed · 1.2 s"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("a [1]. b [3][4]", {1, 3, 4}), ("[2, 5]", {2, 5}), ("x[i] [see] [12345]", set()), ("", set())],
)
def test_citations_are_found(text: str, numbers: set[int]) -> None:
    assert cited(text) == numbers


def passage(rank: int, document: str, heading: str = "", score: float = 0.5) -> Passage:
    return Passage(str(rank), "text", Source("kb", document, heading, 12, 30), score, rank)


def printed(sources: Sources, width: int = 80, *, terminal: bool = False) -> str:
    file = io.StringIO()
    colors = "standard" if terminal else None
    Console(file=file, width=width, color_system=colors, legacy_windows=False).print(sources)
    return file.getvalue()


def test_sources_are_aligned_in_columns() -> None:
    sources = Sources([passage(1, "docs/strategies.md", "Strategies > Plain", 0.46), passage(2, "a.md")])
    assert [line.rstrip() for line in printed(sources).splitlines()] == [
        "[1]  docs/strategies.md:12-30  Strategies > Plain  0.46",
        "[2]  a.md:12-30                                    0.50",
    ]


def test_a_narrow_screen_keeps_number_place_and_score() -> None:
    text = printed(Sources([passage(1, "docs/guides/strategies.md", "Strategies > Plain")]), width=40)
    assert "docs/guides/strategies.md:12-30" in text
    assert "0.50" in text
    assert "[1]" in text


def test_a_source_that_exists_is_a_link_and_another_is_not(tmp_path: Path) -> None:
    (tmp_path / "here.md").write_text("x")
    text = printed(Sources([passage(1, "here.md"), passage(2, "gone.md")], root=tmp_path), terminal=True)
    assert (tmp_path / "here.md").as_uri() in text
    assert "gone.md" not in text.split("here.md:12-30")[0]
    assert text.count("]8;id=") == 1


def test_a_document_name_cannot_carry_an_escape_sequence() -> None:
    assert "\x1b" not in printed(Sources([passage(1, "a\x1b[2J.md", "h\x1b]0;x\x07")]))
