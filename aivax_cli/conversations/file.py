"""The file behind kept conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aivax_cli.core.errors import ConversationError
from aivax_cli.storage.sqlite_file import FileKind, SqliteFile

CONVERSATIONS_FILE: Final = "conversations.db"
"""Its name in a workspace's state folder."""

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

_CONVERSATIONS: Final = FileKind(
    _SCHEMA,
    version=1,
    error=ConversationError,
    damaged="the kept conversations are damaged",
    unusable="conversations cannot be kept or read",
    mend="move the file away; the next chat begins a new one",
    pragmas=("secure_delete=ON",),
)


class ConversationFile(SqliteFile):
    """The database. Raises ConversationError for whatever keeps it from being read or written."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 2.0) -> None:
        super().__init__(path, _CONVERSATIONS, busy_timeout_s=busy_timeout_s)

    def forget_deleted(self) -> None:
        """Takes deleted words out of the search index, and everything deleted out of the files."""
        with self.connected() as connection:
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
