"""The list of sources on screens of several widths."""

import io

import pytest
from rich.console import Console

from aivax_cli.core.types import Passage, Source
from aivax_cli.render.closing import Sources

PASSAGES = [
    Passage(str(rank), "text", Source("kb", "docs/a/gateway-doc.md", "Heading > " * 9, 30, 38), 0.5, rank)
    for rank in (1, 10)
]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_number_place_and_score_are_never_cut(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as printed:
        console.print(Sources(PASSAGES))
    for shown in ("[1]", "[10]", "docs/a/gateway-doc.md:30-38", "0.50"):
        assert shown in printed.get()
