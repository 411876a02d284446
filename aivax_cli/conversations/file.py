"""The file behind kept conversations: a SQLite database in WAL mode that several processes write at once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aivax_cli.core.errors import ConversationError

CONVERSATIONS_FILE: Final = "conversations.db"
"""Its name in a workspace's state folder."""

SCHEMA_VERSION: Final = 1
"""Raised only when an older aivax could no longer write the file."""

_SCHEMA: Final = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,          -- 8 hexadecimal digits
    gateway TEXT NOT NULL,
    title TEXT NOT NULL,
    created_at TEXT NOT NULL,     -- UTC, ISO 8601 with milliseconds and Z
    changed_at TEXT NOT NULL,
    head INTEGER                  -- the answer in which it ends now
);
CREATE INDEX conversations_changed ON conversations (changed_at);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL,   -- where it was said; a fork shares the messages before it
    parent INTEGER,               -- the message that it follows, NULL for the first
    role TEXT NOT NULL,           -- user, assistant
    content TEXT NOT NULL,
    state TEXT NOT NULL,          -- writing, whole, interrupted, broken, failed
    at TEXT NOT NULL,
    touched_at TEXT NOT NULL,     -- while it is written: renewed every second
    record TEXT NOT NULL,         -- JSON: what came of a turn beside its text
    indexed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX messages_conversation ON messages (conversation);
CREATE INDEX messages_parent ON messages (parent);
CREATE INDEX messages_writing ON messages (touched_at) WHERE state = 'writing';
CREATE TABLE files (
    message INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,           -- image: its URL; text: a document's text
    content TEXT NOT NULL,
    PRIMARY KEY (message, position)
);
CREATE TABLE summaries (
    message INTEGER PRIMARY KEY,  -- stands for everything up to and including this answer
    content TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(
    content, content='messages', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
);
"""

_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class ConversationFile:
    """The database. Nothing is opened or created before it is needed; only its user may read it.

    Safe to share between threads. Raises ConversationError for whatever keeps it from being read or written.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 2.0) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

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
            if self._connection is None and not self.path.exists():
                yield None
                return
            connection = self._open()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    def forget_deleted(self) -> None:
        """Takes deleted words out of the search index, and everything deleted out of the files."""
        with self._lock, self._translated():
            connection = self._open()
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def damaged(self, detail: object) -> ConversationError:
        """The error for a file that holds no sound conversations."""
        return ConversationError(
            f"{self.path}: the kept conversations are damaged ({detail})",
            fix="move the file away; the next chat begins a new one",
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # What people ask is nobody else's business; SQLite gives its side files the same mode.
            if not self.path.exists():
                self.path.touch(mode=0o600)
            connection = sqlite3.connect(
                self.path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(connection, self.path, time.monotonic() + self._busy_timeout_s)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is not None and code & 0xFF in _CORRUPT:
                raise self.damaged(error) from error
            raise ConversationError(
                f"{self.path}: conversations cannot be kept or read: {error}",
                fix="check the disk's free space and the folder's permissions",
            ) from error
        except OSError as error:
            raise ConversationError(
                f"{self.path}: conversations cannot be kept or read: {error.strerror or error}",
                fix="check the disk's free space and the folder's permissions",
            ) from error


def _prepare(connection: sqlite3.Connection, path: Path, deadline: float) -> None:
    """Gives a new file its tables, or sees that an existing one has them."""
    # NORMAL survives the death of the process; only a power cut can take the last words.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA secure_delete=ON")
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait its busy timeout when two processes switch a new file at once.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _create(connection)
    elif version > SCHEMA_VERSION:
        raise ConversationError(
            f"{path}: these conversations were kept by a newer aivax (schema {version}, this one knows"
            f" {SCHEMA_VERSION})",
            fix="update aivax",
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have been first.
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
