"""Streaming Markdown through an emulated terminal: what a person sees at the end, and on the way."""

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.patience import best
from support.virtual_terminal import VirtualTerminal

from aivax_cli.render.markdown import RenderedMarkdown
from aivax_cli.render.markdown_stream import MarkdownStream

ANSWER = (Path(__file__).parent.parent / "support" / "long_answer.md").read_text(encoding="utf-8")
PYTHON = "\n".join(f"def function_{n}(value):\n    return value + {n}\n" for n in range(40))


def pieces(text: str) -> list[str]:
    """About as long as a model's tokens."""
    return re.findall(r"\s?\w{1,6}|\s+|[^\w\s]", text)


class Stage:
    """A stream into an emulated terminal, at 60 tokens a second of a clock that the test owns."""

    def __init__(self, columns: int = 100, rows: int = 40) -> None:
        self.terminal = VirtualTerminal(columns, rows)
        self.console = self.terminal.console()
        self.now = 0.0
        self.stream = MarkdownStream(self.console, clock=lambda: self.now)

    def feed(self, text: str, *, after_each: Callable[[], None] = lambda: None) -> "Stage":
        for piece in pieces(text):
            self.now += 1 / 60
            self.stream.feed(piece)
            after_each()
        return self

    def show(self, text: str) -> list[str]:
        """Feeds all of it, closes, and gives every line that is left."""
        self.feed(text)
        self.stream.close()
        return self.terminal.lines()

    def resize(self, columns: int, rows: int) -> None:
        self.terminal.screen.resize(rows, columns)
        self.console.size = (columns, rows)  # type: ignore[assignment]


def static(text: str, columns: int = 100, rows: int = 40) -> VirtualTerminal:
    """The same text, rendered at once."""
    terminal = VirtualTerminal(columns, rows)
    terminal.console().print(RenderedMarkdown(text))
    return terminal


@pytest.mark.parametrize(("columns", "rows"), [(100, 40), (40, 24), (72, 10)])
def test_what_is_left_is_what_a_static_render_gives(columns: int, rows: int) -> None:
    stage = Stage(columns, rows)
    assert stage.show(ANSWER) == static(ANSWER, columns, rows).lines()


def test_colours_are_those_of_a_static_render() -> None:
    stage = Stage()
    stage.show(ANSWER)
    assert stage.terminal.cells() == static(ANSWER).cells()


def test_few_bytes_are_written() -> None:
    stage = Stage()
    stage.show(ANSWER)
    assert stage.terminal.bytes_written <= 25 * len(ANSWER.encode())


def test_nothing_is_shown_twice_or_taken_away_on_the_way() -> None:
    stage = Stage()
    numbers: list[int] = []

    def check() -> None:
        seen = [int(number) for number in re.findall(r"(\d+) times", " ".join(stage.terminal.lines()))]
        assert seen == list(range(len(seen)))
        assert len(seen) >= len(numbers)
        numbers[:] = seen

    stage.feed("\n\n".join(f"It was said {n} times." for n in range(60)), after_each=check)
    assert len(numbers) >= 59


def test_the_newest_words_are_on_the_screen_at_every_frame() -> None:
    stage = Stage(60, 12)
    source = ""
    for piece in pieces(ANSWER.replace("|", " ")):
        source += piece
        stage.now += 1
        stage.stream.feed(piece)
        newest = re.findall(r"\w{3,}", source[-60:])
        visible = "".join("".join(stage.terminal.screen.display).split())
        if len(newest) > 2 and "](" not in source[-90:]:
            assert newest[-2] in visible


def test_a_line_that_scrolled_away_is_never_written_again() -> None:
    stage = Stage(100, 20)
    gone: list[str] = []

    def check() -> None:
        history = stage.terminal.history()
        assert history[: len(gone)] == gone
        gone[:] = history

    stage.feed(ANSWER, after_each=check)
    assert len(gone) > 60


def test_the_tail_leaves_two_rows_of_the_screen_free() -> None:
    table = "| a | b |\n|---|---|\n" + "".join(f"| row{n} | x |\n" for n in range(60))
    stage = Stage(80, 20).feed(table)
    used = [line for line in stage.terminal.screen.display if line.strip()]
    assert len(used) <= 18
    assert not stage.terminal.history()


def test_a_tall_table_shows_head_count_and_end_until_it_closes() -> None:
    table = "| name | n |\n|---|---|\n" + "".join(f"| row{n} | {n} |\n" for n in range(60))
    stage = Stage(80, 20).feed(table)
    lines = stage.terminal.lines()
    assert lines[0].startswith("name")
    assert any(re.search(r"… \d+ more rows …", line) for line in lines)
    assert lines[-1].startswith("row59")
    stage.stream.close()
    assert stage.terminal.lines() == static(table, 80, 20).lines()


LONG = {
    "code": f"```python\n{PYTHON}```\n",
    "code in an unknown language": f"```nolang\n{PYTHON}```\n",
    "an unclosed fence": f"text\n\n```python\n{PYTHON}",
    "one docstring": '```python\n"""' + "words of prose\n" * 80 + '"""\n```\n',
    "a list": "".join(f"{n}. item number {n}\n" for n in range(1, 130)),
    "a nested list": "- top\n" + "".join(f"  - inner {n}\n" for n in range(90)) + "- next\n",
    "a list of ones": "".join(f"1. item {n}\n" for n in range(60)),
    "a loose list": "".join(f"- item {n}\n\n  more of {n}\n\n" for n in range(50)),
    "a list around code": "1. see\n\n   ```sh\n" + "   echo hi\n" * 60 + "   ```\n2. done\n",
    "a quote": "".join(f"> line {n}\n>\n" for n in range(70)),
    "a paragraph of lines": "".join(f"line {n} of a poem\n" for n in range(120)),
    "one line": "word and " * 1500,
    "one word": "x" * 9000,
    "one line with bold": "**bold** and plain " * 250,
    "late wide cells": "| a | b |\n|---|---|\n" + "| x | y |\n" * 60 + "| x | " + "wide " * 60 + "|\n\nend\n",
    "html": "<table>\n" + "<tr><td>x</td></tr>\n" * 60 + "</table>\n\nend\n",
    "indented code": "".join(f"    line {n}\n" for n in range(80)),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_long_blocks_end_as_a_static_render(text: str) -> None:
    stage = Stage(80, 24)
    assert stage.show(text) == static(text, 80, 24).lines()


@pytest.mark.parametrize(
    "name", ["code", "a list", "a loose list", "a paragraph of lines", "one line", "one docstring"]
)
def test_a_long_block_gives_its_finished_part_to_the_history(name: str) -> None:
    text = LONG[name]
    stage = Stage(80, 24).feed(text[: len(text) // 2])
    assert len(stage.terminal.history()) > 10


SUBTLE = {
    "setext heading": "A title\nof two lines\n=========\n\ntext\n",
    "a list after a number": "1. one\n\n2 apples are no item\n",
    "an item after a blank line": "1. one\n\n2. two\n",
    "a definition before its use": "[a]: http://x.example/\n\nsee [a] and [a]\n",
    "crlf": "a\r\nb\r\n\r\n- c\r\n- d\r\n",
    "an empty answer": "",
    "blank lines": "\n\n\n",
    "strange separators": "a\u2028b\x0bc\x0cd\x85e\x1cf",
    "only marks": "- \n* \n1. \n#\n> \n```\n",
    "emphasis over lines": "**bold\nover lines** and *more\nof it*\n",
    "table without rows": "| a |\n|---|\n",
    "table then text": "| a |\n|---|\n| b |\nc\n\nd\n",
    "fence in a quote": "> ```\n> x\n> ```\n\ny\n",
    "tildes": "~~~md\n```\nx\n```\n~~~\n",
    "html comment": "<!-- a\n\nb -->\nc\n",
}


@pytest.mark.parametrize("text", SUBTLE.values(), ids=SUBTLE.keys())
@pytest.mark.parametrize("at_once", [False, True])
def test_what_looks_different_until_it_is_whole_ends_right(text: str, at_once: bool) -> None:
    stage = Stage(40, 12)
    for piece in [text] if at_once else text:
        stage.now += 1
        stage.stream.feed(piece)
    stage.stream.close()
    assert stage.terminal.lines() == static(text, 40, 12).lines()


def test_random_documents_end_as_static_renders() -> None:
    blocks = [*SUBTLE.values(), *(text[:400] + "\n" for text in LONG.values()), "[a]: /b\n", "***\n", "# h\n"]
    blocks = [block for block in blocks if "```" not in block or block.count("```") % 2 == 0]
    choose = random.Random(7)
    for _ in range(15):
        text = "\n".join(choose.choice(blocks) for _ in range(6))
        columns, rows = choose.choice([(40, 12), (100, 30)])
        assert Stage(columns, rows).show(text) == static(text, columns, rows).lines(), text


HOSTILE = "\x1b[2J\x1b[H\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07\x9b31m\x08\x08\x08gone\x1bc\x1b[?1049h"


def test_escape_sequences_of_the_model_do_nothing() -> None:
    stage = Stage(80, 12)
    lines = stage.show(
        f"before\n\n{HOSTILE}\n\n```{HOSTILE}\n{HOSTILE}\n```\n\n[a](http://x/{HOSTILE})\n\nafter"
    )
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert stage.terminal.screen.title == ""
    sent = "".join(stage.terminal.written)
    allowed = re.compile(r"\x1b\[[?]?[0-9;]*[ABGJKhlm]|\x1b\]8;;[^\x1b\x07]*\x1b\\")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", allowed.sub("", sent).replace("\r", ""))


def test_emoji_combining_and_right_to_left_characters_keep_what_is_around_them() -> None:
    text = "- 👩 family\n- e\u0301 combining\n- שלום עולם\n- 日本語のテキスト\n\nand the end\n"
    assert Stage(40, 10).show(text) == [
        " • 👩 family",
        " • é combining",
        " • שלום עולם",
        " • 日本語のテキスト",
        "",
        "and the end",
    ]


def test_joined_emoji_are_written_whole_and_cannot_wrap_while_they_may_be_repainted() -> None:
    family = "👩‍👩‍👧‍👦"
    stage = Stage(40, 10).feed(f"{family * 3} and")
    assert "\x1b[?7l" in stage.terminal.written[-1]
    stage.stream.close()
    assert f"{family * 3} and" in stage.terminal.written[-1]
    assert "\x1b[?7l" not in stage.terminal.written[-1]


def test_a_row_that_may_be_too_wide_cannot_wrap_below_one_that_stays_as_it_is() -> None:
    """pyte gives joined emoji and tones of skin columns of their own, as some terminals do."""
    stage = Stage(20, 10)
    for piece in ("Family 👩‍👩‍👧‍👦, flag 🇧🇷,", " wave 👋🏽, été, שלום ע", "ולם.\n"):
        stage.stream.feed(piece)
        stage.now += 1
        stage.stream.refresh()
    stage.stream.close()
    assert "".join(stage.terminal.lines()).count("Family") == 1


@pytest.mark.parametrize(("columns", "rows"), [(60, 40), (140, 40), (100, 12), (100, 60), (40, 8)])
def test_resizing_in_the_middle_loses_no_word(columns: int, rows: int) -> None:
    text = ANSWER.split("## Costs")[0]
    middle = text.index("def full_rewrite")
    stage = Stage(100, 40).feed(text[:middle])
    stage.resize(columns, rows)
    stage.show(text[middle:])
    # Code is cut at the edge of the screen, and pyte cuts off what stood beyond a narrower one.
    seen, rest = (re.sub(r"\W", "", part) for part in ("".join(stage.terminal.lines()), text[middle:]))
    assert seen.endswith(rest)
    assert seen.count("fullrewriteconversation".replace("rew", "_rew")) == 1


def test_a_resize_to_the_same_width_repeats_nothing() -> None:
    stage = Stage(100, 40).feed(ANSWER[:3000])
    stage.resize(100, 44)
    assert stage.show(ANSWER[3000:]) == static(ANSWER).lines()


def test_hiding_the_tail_leaves_room_for_a_line_of_something_else() -> None:
    stage = Stage(60, 12).feed("first\n\nsecond is under way")
    stage.stream.hide()
    stage.terminal.write("warning: something\n")
    stage.feed(" and ends")
    stage.stream.close()
    assert stage.terminal.lines() == [
        "warning: something",
        "first",
        "",
        "second is under way and ends",
    ]


def test_what_waits_for_a_frame_is_shown_by_refresh() -> None:
    stage = Stage(60, 12)
    stage.stream.feed("one ")
    wait_s = stage.stream.feed("two")
    assert wait_s is not None
    assert 0 < wait_s <= 0.05
    assert "two" not in stage.terminal.lines()[0]
    stage.stream.refresh()
    assert stage.terminal.lines() == ["one two"]


def test_every_frame_is_one_write_inside_a_synchronized_update() -> None:
    stage = Stage().feed(ANSWER[:1500])
    assert all(
        text.startswith("\x1b[?2026h") and text.endswith("\x1b[?2026l") for text in stage.terminal.written
    )
    # Twenty frames a second at most; two more for the first and the last.
    assert len(stage.terminal.written) <= stage.now * 20 + 2


def test_without_colour_there_is_none() -> None:
    terminal = VirtualTerminal()
    stream = MarkdownStream(terminal.console(no_color=True))
    stream.feed(ANSWER)
    stream.close()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", "".join(terminal.written))


def cpu_per_token(text: str) -> float:
    tokens = pieces(text)
    stage = Stage()
    stage.terminal.stream.feed = lambda _text: None
    started = time.process_time()
    stage.feed(text)
    return (time.process_time() - started) / len(tokens)


def test_a_token_costs_no_more_in_a_longer_answer() -> None:
    cpu_per_token(ANSWER)  # the lexers are made once

    def ratio() -> float:
        return cpu_per_token("\n".join([ANSWER] * 4)) / cpu_per_token(ANSWER)

    assert best(ratio, 2) < 2
