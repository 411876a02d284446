"""A SQLite file of ours in WAL mode, which several threads and processes read and write at once."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from aivax_cli.core.errors import AivaxError

_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class FileKind(Struct, frozen=True):
    """What a file holds, and how people are told what is wrong with it.

    `schema` is its statements, each ending with `;` and a line end; `version` is kept as `user_version`, and
    raised only when an older aivax could no longer write the file: a further table is no such change.
    `pragmas` are run on every connection. `damaged` and `unusable` are the beginnings of `error`'s messages,
    `mend` is what helps against damage.
    """

    schema: str
    version: int
    error: type[AivaxError]
    damaged: str
    unusable: str
    mend: str
    pragmas: tuple[str, ...] = ()


class SqliteFile:
    """One file of a kind. Nothing is opened or created before it is needed; only its user may read it.

    Safe to share between threads. Raises the kind's error for whatever keeps it from being read or written.
    """

    def __init__(self, path: Path, kind: FileKind, *, busy_timeout_s: float) -> None:
        self.path = path
        self._kind = kind
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @property
    def absent(self) -> bool:
        """Whether there is no such file yet. One in a folder that may not be read is there."""
        if self._connection is not None:
            return False
        try:
            os.stat(self.path)  # noqa: PTH116 (every request asks; pathlib takes twice as long)
        except OSError as error:
            return isinstance(error, (FileNotFoundError, NotADirectoryError))
        return False

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is kept, or nothing. Makes the file where there is none."""
        with self._lock, self._translated():
            connection = self._open()
            # IMMEDIATE takes the write lock at once: a later upgrade fails without waiting its turn.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A transaction in which every query sees the same rows; None for a file that is not there yet."""
        with self._lock, self._translated():
            if self.absent:
                yield None
                return
            connection = self._open()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """The connection in no transaction, for what is none. Makes the file where there is none."""
        with self._lock, self._translated():
            yield self._open()

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def damaged(self, detail: object) -> AivaxError:
        """The error for a file that is not sound."""
        kind = self._kind
        return kind.error(f"{self.path}: {kind.damaged} ({detail})", fix=kind.mend)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # What people ask and spend is nobody else's business; SQLite gives its side files the same mode.
            if not self.path.exists():
                self.path.touch(mode=0o600)
            connection = sqlite3.connect(
                self.path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Gives a new file its tables, or sees that an existing one has them."""
        # NORMAL survives the death of the process; only a power cut can take the last rows.
        for pragma in ("synchronous=NORMAL", *self._kind.pragmas):
            connection.execute(f"PRAGMA {pragma}")
        _use_wal(connection, time.monotonic() + self._busy_timeout_s)
        version, known = _version(connection), self._kind.version
        if version == 0:
            self._create(connection)
        elif version > known:
            raise self._kind.error(
                f"{self.path} was written by a newer aivax (schema {version}, this one knows {known})",
                fix="update aivax",
            )

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked again under the lock: another process may have been first.
            if _version(connection) == 0:
                for statement in self._kind.schema.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={self._kind.version}")
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is not None and code & 0xFF in _CORRUPT:
                raise self.damaged(error) from error
            raise self._refused(error) from error
        except OSError as error:
            raise self._refused(error.strerror or error) from error

    def _refused(self, reason: object) -> AivaxError:
        return self._kind.error(
            f"{self.path}: {self._kind.unusable}: {reason}",
            fix="check the disk's free space and the folder's permissions, and that nothing holds it",
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Readers need not wait for writers then. `deadline` is monotonic time."""
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait its busy timeout when two processes switch a new file at once.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
