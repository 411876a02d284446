"""A theme's colours take the place of the terminal's own in Markdown and code."""

import io

from rich.console import Console
from rich.theme import Theme

from aivax_cli.render.code import Highlighter
from aivax_cli.render.rows import RowEncoder


def painted(theme: Theme | None) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", theme=theme)
    encode = RowEncoder(console).encode
    return "".join(encode(row) for row in Highlighter().rows("def f(): return 'x'", "python", 80))


def test_without_a_theme_code_has_the_terminals_colours() -> None:
    assert "\x1b[35mdef" in painted(None)


def test_a_theme_has_its_own_colours_for_code() -> None:
    assert "\x1b[38;2;142;58;114mdef" in painted(Theme({"magenta": "#8e3a72"}))
