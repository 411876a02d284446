"""Code blocks as `/copy` counts them."""

import pytest

from aivax_cli.cli.chat_copy import code_blocks


@pytest.mark.parametrize(
    ("markdown", "blocks"),
    [
        ("no `code` block", []),
        ("```sh\nls -l\n```", ["ls -l"]),
        ("~~~\na\n\nb\n~~~\n\n    indented\n", ["a\n\nb", "indented"]),
        (
            "1. First\n\n   ```py\n   if x:\n       y\n   ```\n\n> ```\n> quoted\n> ```",
            ["if x:\n    y", "quoted"],
        ),
        ("````md\n```\ninner\n```\n````", ["```\ninner\n```"]),
        ("cut off:\n\n```py\nprint(", ["print("]),
    ],
)
def test_every_code_block_counts_and_ends_without_a_line_end(markdown: str, blocks: list[str]) -> None:
    assert code_blocks(markdown) == blocks
