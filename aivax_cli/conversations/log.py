"""What has been kept: listed, searched, exported, deleted."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from aivax_cli.conversations.file import CONVERSATIONS_FILE, ConversationFile
from aivax_cli.conversations.records import Kept, State, TurnRecord, read_record
from aivax_cli.conversations.rows import PATH, conversations, one_named, settle_stale, state_now, unindex

MATCH_BEGIN, MATCH_END = "\x02", "\x03"
"""Around the words that were looked for, in an excerpt."""


class Said(Struct, frozen=True):
    """A message that holds the words: where it was said, and an excerpt."""

    conversation: str
    gateway: str
    title: str
    at: str
    role: str
    excerpt: str


class KeptMessage(Struct, frozen=True):
    """A message of the tree, as it was said; `files` are names."""

    id: int
    parent: int | None
    role: str
    content: str
    state: State
    at: str
    record: TurnRecord
    files: tuple[str, ...]
    on_path: bool


class ConversationLog:
    """The log of a workspace. Raises ConversationError for whatever keeps it from reading or writing."""

    def __init__(self, state_dir: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._file = ConversationFile(state_dir / CONVERSATIONS_FILE)
        self._now = now

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def list(self, *, gateway: str | None = None, limit: int = -1) -> tuple[Kept, ...]:
        """Conversations, the latest first; all of them without a limit."""
        where, values = ("WHERE gateway = ?", (gateway,)) if gateway else ("", ())
        with self._file.reading() as connection:
            return conversations(connection, where, values, limit=limit) if connection else ()

    def named(self, prefix: str) -> Kept:
        """The conversation whose id begins so. Raises NotFoundError unless there is exactly one."""
        with self._file.reading() as connection:
            return one_named(connection, prefix)

    def messages(self, kept: Kept) -> tuple[KeptMessage, ...]:
        """Every message of a conversation, also of turns that were taken back, in the order of their ids."""
        with self._file.reading() as connection:
            return _messages(connection, kept, self._now()) if connection else ()

    def search(self, words: str, *, gateway: str | None = None, limit: int = 20) -> tuple[Said, ...]:
        """Messages that hold all the words, or words that begin so; the best match first.

        Case and accents do not matter. Nothing is found for a text without any letter or digit.
        """
        query = " ".join(f'"{word}"*' for word in re.findall(r"\w+", words))
        if not query:
            return ()
        with self._file.reading() as connection:
            if connection is None:
                return ()
        with self._file.writing() as connection:
            settle_stale(connection, self._now())
            rows = connection.execute(
                "SELECT c.id, c.gateway, c.title, m.at, m.role, snippet(words, 0, ?, ?, '…', 16)"
                " FROM words JOIN messages m ON m.id = words.rowid"
                " JOIN conversations c ON c.id = m.conversation"
                " WHERE words MATCH ? AND (? IS NULL OR c.gateway = ?) ORDER BY rank, m.id DESC LIMIT ?",
                (MATCH_BEGIN, MATCH_END, query, gateway, gateway, limit),
            ).fetchall()
        return tuple(Said(*row) for row in rows)

    def delete(self, conversation: str) -> None:
        """Deletes a conversation with all its messages, but for those that a fork shares: they become the
        fork's."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM conversations WHERE id = ?", (conversation,))
            _hand_over(connection, conversation)
            gone = [
                number
                for (number,) in connection.execute(
                    "SELECT id FROM messages WHERE conversation = ?", (conversation,)
                )
            ]
            unindex(connection, gone)
            for table, column in (("files", "message"), ("summaries", "message"), ("messages", "id")):
                connection.executemany(
                    f"DELETE FROM {table} WHERE {column} = ?", [(number,) for number in gone]
                )
        self._file.forget_deleted()

    def delete_all(self) -> int:
        """Deletes everything; returns how many conversations there were."""
        with self._file.reading() as connection:
            if connection is None:
                return 0
        with self._file.writing() as connection:
            count = connection.execute("SELECT count(*) FROM conversations").fetchone()[0]
            unindex(connection, [n for (n,) in connection.execute("SELECT id FROM messages").fetchall()])
            for table in ("files", "summaries", "messages", "conversations"):
                connection.execute(f"DELETE FROM {table}")
        self._file.forget_deleted()
        return int(count)


def _messages(connection: sqlite3.Connection, kept: Kept, now: datetime) -> tuple[KeptMessage, ...]:
    on_path = {number for (number,) in connection.execute(f"{PATH} SELECT id FROM path", (kept.head,))}
    marks = ", ".join("?" * len(on_path))
    rows = connection.execute(
        "SELECT id, parent, role, content, state, at, touched_at, record FROM messages"
        f" WHERE conversation = ? OR id IN ({marks}) ORDER BY id",
        (kept.id, *on_path),
    ).fetchall()
    found = []
    for number, parent, role, content, state, at, touched_at, record in rows:
        names = connection.execute("SELECT name FROM files WHERE message = ? ORDER BY position", (number,))
        files = tuple(name for (name,) in names)
        now_is = state_now(state, touched_at, now)
        taken = number in on_path
        found.append(
            KeptMessage(number, parent, role, content, now_is, at, read_record(record), files, taken)
        )
    return tuple(found)


def _hand_over(connection: sqlite3.Connection, conversation: str) -> None:
    """Messages of a conversation that others still lead through become the oldest such other's."""
    heads = connection.execute(
        "SELECT id, head FROM conversations WHERE head IS NOT NULL ORDER BY created_at"
    ).fetchall()
    for other, head in heads:
        connection.execute(
            f"{PATH} UPDATE messages SET conversation = ? WHERE conversation = ?"
            " AND id IN (SELECT id FROM path)",
            (head, other, conversation),
        )
