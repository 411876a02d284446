"""What an ingest warns of, in English and in Portuguese."""

from io import StringIO

import pytest

from aivax_cli.ingest.progress import IngestSummary, Notice
from aivax_cli.messages.language import Language
from aivax_cli.render.ingest_view import notice_lines
from aivax_cli.render.screen import Screen

LOCKED = "protected by a password; save a copy without one"
LARGE = "6 parts that unpack to 1,573 MB, over the limit of 10,000 and 100 MB; leave it out"


@pytest.mark.parametrize(
    ("reason", "english", "portuguese"),
    [
        (LOCKED, f"a.pdf: not read: {LOCKED}", "a.pdf: não foi lido: protegido por senha"),
        (LARGE, f"a.pdf: not read: {LARGE}", "a.pdf: não foi lido: 6 partes que descompactadas dão 1,573 MB"),
    ],
)
def test_a_file_that_was_not_read_is_told_in_the_readers_language(
    reason: str, english: str, portuguese: str
) -> None:
    failed = (Notice("a.pdf", reason),)
    summary = IngestSummary("kb", 0, 0, 0, 0, failed, (), (), 0, 0, 0, 0, "e5", 1.0, 0.0)
    assert notice_lines(summary, Screen(stderr=StringIO())) == [english]
    spoken = notice_lines(summary, Screen(stderr=StringIO(), language=Language("pt")))
    assert spoken[0].startswith(portuguese)
