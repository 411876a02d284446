"""Which changes of files call for another ingest."""

from __future__ import annotations

from pathlib import Path

import pytest

from aivax_cli.ingest.watching import is_watched


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("/w/docs/a.md", True),
        ("/w/docs/sub/a.md", True),
        ("/w/docs/.gitignore", True),
        ("/w/docs/sub/.aivaxignore", True),
        ("/w/docs/.a.md.swp", False),
        ("/w/docs/.git/index", False),
        ("/w/docs/node_modules/a/readme.md", False),
        ("/w/docs/.aivax/catalogue.db", False),
        ("/w/notes.txt", True),
        ("/w/other.txt", False),
        ("/w/docsy/a.md", False),
    ],
)
def test_what_an_ingest_would_read_counts(changed, expected):
    assert is_watched(Path(changed), [Path("/w/docs"), Path("/w/notes.txt")]) is expected


def test_a_hidden_file_that_was_named_counts():
    assert is_watched(Path("/w/.hidden.md"), [Path("/w/.hidden.md")])


def test_a_folder_below_a_hidden_one_is_watched():
    assert is_watched(Path("/home/.me/docs/a.md"), [Path("/home/.me/docs")])
