"""What the SQLite files of a workspace have in common: the ledger, the conversations, the server's keys."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.command_line import AS_AN_ORDINARY_USER

from aivax_cli.conversations.file import ConversationFile
from aivax_cli.core.errors import AivaxError, ConversationError, LedgerError
from aivax_cli.server.keys import KeyFile, KeyFileError
from aivax_cli.storage.sqlite_file import FileKind, SqliteFile
from aivax_cli.usage.ledger_file import LedgerFile


@dataclass(frozen=True)
class Opening:
    """How one of the files is opened, for reading or for writing."""

    make: type[LedgerFile] | type[ConversationFile] | type[KeyFile]
    error: type[AivaxError]

    def read(self, path: Path) -> None:
        opened = self.make(path)
        try:
            if isinstance(opened, KeyFile):
                opened.listed()
            else:
                with opened.reading() as connection:
                    assert connection is None or connection.execute("SELECT 1").fetchone()
        finally:
            opened.close()

    def write(self, path: Path) -> None:
        opened = self.make(path)
        try:
            if isinstance(opened, KeyFile):
                opened.new("laptop")
            else:
                with opened.writing():
                    pass
        finally:
            opened.close()


KINDS = [
    Opening(LedgerFile, LedgerError),
    Opening(ConversationFile, ConversationError),
    Opening(KeyFile, KeyFileError),
]


@pytest.fixture(params=KINDS, ids=["ledger", "conversations", "keys"])
def opening(request: pytest.FixtureRequest) -> Opening:
    kind: Opening = request.param
    return kind


def test_reading_makes_no_file(opening: Opening, tmp_path: Path) -> None:
    opening.read(tmp_path / "state" / "a.db")
    assert not (tmp_path / "state").exists()


def test_what_is_written_is_there_in_wal_mode_with_its_version(opening: Opening, tmp_path: Path) -> None:
    path = tmp_path / "state" / "a.db"
    opening.write(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_only_its_user_may_read_the_file(opening: Opening, tmp_path: Path) -> None:
    opening.write(tmp_path / "a.db")
    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600


def test_a_file_that_is_no_database_is_called_damaged(opening: Opening, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"nothing of the kind" * 60)
    with pytest.raises(opening.error, match=r"a\.db: .*damaged.*; .*move"):
        opening.read(path)


def test_a_file_of_a_newer_program_is_left_alone(opening: Opening, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    opening.write(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=2")
    with pytest.raises(opening.error, match=r"newer aivax \(schema 2, this one knows 1\)"):
        opening.write(path)


def test_a_folder_that_cannot_be_made_is_told(opening: Opening, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(opening.error, match="cannot be"):
        opening.write(tmp_path / "state" / "a.db")


def _file(path: Path, busy_timeout_s: float = 0.1) -> SqliteFile:
    kind = FileKind("CREATE TABLE t (x);\n", 1, LedgerError, "it is damaged", "it cannot be used", "mend it")
    return SqliteFile(path, kind, busy_timeout_s=busy_timeout_s)


def test_a_transaction_that_fails_keeps_nothing(tmp_path: Path) -> None:
    file = _file(tmp_path / "a.db")
    with pytest.raises(ZeroDivisionError), file.writing() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        raise ZeroDivisionError
    with file.reading() as connection:
        assert connection is not None
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    file.close()


def test_a_full_disk_is_told_and_the_file_stays_usable(tmp_path: Path) -> None:
    file = _file(tmp_path / "a.db")
    with file.connected() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
    full = pytest.raises(LedgerError, match=r"cannot be used: .*full; check the disk's free space")
    with full, file.writing() as connection:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    with file.writing() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    file.close()


def test_a_file_that_is_held_too_long_is_told(tmp_path: Path) -> None:
    one, other = _file(tmp_path / "a.db"), _file(tmp_path / "a.db")
    with one.writing(), pytest.raises(LedgerError, match="locked"), other.writing():
        pass
    for each in (one, other):
        each.close()


@pytest.mark.skipif(sys.platform != "linux", reason="root is an ordinary user on Linux alone")
@pytest.mark.parametrize("command", [["usage"], ["log"], ["keys", "list"]])
def test_a_file_that_may_not_be_seen_is_not_taken_for_none(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "aivax.yaml").touch()
    state = tmp_path / ".aivax"
    state.mkdir(mode=0)
    call = [sys.executable, "-c", AS_AN_ORDINARY_USER, *command]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, check=False, text=True)
    state.chmod(0o755)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith(f"error: {state}/")
    assert "ermission denied" in done.stderr
