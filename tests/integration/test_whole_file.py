"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from aivax_cli.storage.whole_file import whole_file, write_whole


def test_a_text_that_broke_off_leaves_the_earlier_one(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    write_whole(report, "earlier")
    with pytest.raises(OSError, match="full"), whole_file(report) as file:
        file.write("half of")
        raise OSError("the disk is full")
    assert report.read_text() == "earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such links and modes")
def test_a_link_and_the_mode_of_its_file_stay(tmp_path: Path) -> None:
    report, link = tmp_path / "report.html", tmp_path / "latest.html"
    report.write_text("earlier")
    report.chmod(0o640)
    link.symlink_to(report.name)
    write_whole(link, "later")
    assert link.is_symlink()
    assert report.read_text() == "later"
    assert stat.S_IMODE(report.stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders")
def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "a report")
    reader.join(60)
    assert read == ["a report"]
    assert pipe.is_fifo()
