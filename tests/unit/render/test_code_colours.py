"""The colours of code: of its last line as of every other."""

import pytest

from aivax_cli.render.code import Highlighter
from aivax_cli.render.rows import Row, row_text


@pytest.mark.parametrize(
    ("language", "line"),
    [("bash", "# a comment"), ("rust", "// a comment"), ("diff", "+ added"), ("console", "$ ls")],
)
def test_the_last_line_is_coloured_as_if_another_followed(language: str, line: str) -> None:
    colour = Highlighter()
    assert colour.rows(line, language, 80) == colour.rows(f"{line}\n\nx", language, 80)[:1]
    assert any(style.color for _, style in colour.rows(line, language, 80)[0])


@pytest.mark.parametrize("language", ["python", "bash", "yaml", "", "nolang"])
def test_code_that_grows_ends_with_the_colours_of_the_whole(language: str) -> None:
    code = 'def f(a):\n    """One\n    two # 3\n    """\n\n    return [a, "b"]  # why\n\nkey: value'
    growing = Highlighter()
    rows: list[Row] = []
    for end in range(1, len(code) + 1):
        rows = growing.growing_rows(code[:end], language, 20)
        assert "".join(map(row_text, rows)).replace(" ", "") == code[:end].replace("\n", "").replace(" ", "")
    assert rows == Highlighter().rows(code, language, 20)
