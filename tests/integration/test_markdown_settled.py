"""An answer that stops for a tool and goes on: what was said stays, and what follows stands below it."""

import pytest
from support.virtual_terminal import VirtualTerminal

from aivax_cli.render.markdown_stream import MarkdownStream


def shown(terminal: VirtualTerminal) -> list[str]:
    """The lines with anything on them."""
    return [line.rstrip() for line in terminal.lines() if line.strip()]


@pytest.mark.parametrize(
    ("first", "second", "lines"),
    [
        ("I **look**", "\n\nDone.", ["I look", "Done."]),
        ("- one\n- two", "\n\n- three", [" • one", " • two", " • three"]),
        ("", "Done.", ["Done."]),
    ],
    ids=["text", "list", "nothing"],
)
def test_what_was_said_stays_and_the_rest_stands_below(first: str, second: str, lines: list[str]) -> None:
    terminal = VirtualTerminal()
    stream = MarkdownStream(terminal.console(), clock=lambda: 0.0)
    stream.feed(first)
    stream.settle()
    settled = shown(terminal)
    stream.feed(second)
    stream.close()
    assert shown(terminal) == lines
    assert settled == lines[: len(settled)] == lines[:-1]


def test_a_line_printed_between_the_two_stays_between_them() -> None:
    terminal = VirtualTerminal()
    stream = MarkdownStream(terminal.console(), clock=lambda: 0.0)
    stream.feed("I look.")
    stream.settle()
    terminal.write("called a tool\n")
    stream.feed("\n\nDone.")
    stream.close()
    assert shown(terminal) == ["I look.", "called a tool", "Done."]
