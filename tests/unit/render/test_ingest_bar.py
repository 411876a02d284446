"""The bar of an ingest, on a stand-in of a terminal."""

import io

import pytest

from aivax_cli.ingest.progress import Phase, Progress
from aivax_cli.render.ingest_view import IngestProgress
from aivax_cli.render.screen import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("phase", "shown"),
    [("reading", "2/4"), ("embedding", "30/90"), ("indexing", "30/90")],
)
def test_each_phase_shows_its_own_counts(phase: Phase, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with IngestProgress(Screen(stderr=terminal)) as progress:
        progress.update(Progress(phase, 2, 4, 30, 90, 1.0))
    assert phase in terminal.getvalue()
    assert shown in terminal.getvalue()
