"""A chat's side: turns are written as they go, and taken up again."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aivax_cli.conversations.file import CONVERSATIONS_FILE, ConversationFile
from aivax_cli.conversations.records import (
    Kept,
    KeptFile,
    KeptTurn,
    Node,
    State,
    Summary,
    TurnRecord,
    record_text,
    title_from,
)
from aivax_cli.conversations.rows import (
    conversations,
    index,
    iso,
    one_named,
    settle_stale,
    storable,
    turns_to,
    unindex,
)
from aivax_cli.core.errors import ConversationError, NotFoundError
from aivax_cli.core.types import Image

_NOTHING = "{}"


class Conversations:
    """The kept conversations of a workspace. Nothing is opened before it is needed.

    Messages are never changed once they are whole: taking a turn back, asking again, going on and forking
    move heads or add branches. Safe to share between threads. Raises ConversationError for whatever keeps it
    from reading or writing.
    """

    def __init__(self, state_dir: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._file = ConversationFile(state_dir / CONVERSATIONS_FILE)
        self._now = now

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        self._file.close()

    def begin(self, gateway: str, question: str) -> str:
        """A new conversation, called after its first question; gives its id: 8 hexadecimal digits."""
        at = iso(self._now())
        with self._file.writing() as connection:
            settle_stale(connection, self._now())
            return _new(connection, gateway, title_from(question), at, None)

    def ask(
        self, conversation: str, after: Node | None, question: str, files: Sequence[KeptFile] = ()
    ) -> Node:
        """Keeps a question, whose answer is about to be written. `after` is the turn that it follows."""
        at = iso(self._now())
        with self._file.writing() as connection:
            parent = after.answer if after else None
            asked = _add(connection, conversation, parent, "user", question, "whole", at)
            index(connection, asked)
            connection.executemany(
                "INSERT INTO files (message, position, name, kind, content) VALUES (?, ?, ?, ?, ?)",
                [(asked, place, *_file_row(file)) for place, file in enumerate(files)],
            )
            node = Node(asked, _add(connection, conversation, asked, "assistant", "", "writing", at))
            _move(connection, conversation, node, at)
        return node

    def ask_again(self, conversation: str, question: Node, text: str = "") -> Node:
        """One more answer to a question, about to be written; it begins with `text`."""
        at = iso(self._now())
        with self._file.writing() as connection:
            asked = question.question
            answer = _add(connection, conversation, asked, "assistant", text, "writing", at)
            _move(connection, conversation, Node(asked, answer), at)
        return Node(asked, answer)

    def save(self, node: Node, text: str) -> None:
        """Keeps what has come of an answer so far, and that it is still being written."""
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE messages SET content = ?, touched_at = ? WHERE id = ? AND state = 'writing'",
                (storable(text), iso(self._now()), node.answer),
            )

    def finish(self, conversation: str, node: Node, text: str, state: State, record: TurnRecord) -> None:
        """Keeps an answer as it came to its end."""
        at = iso(self._now())
        with self._file.writing() as connection:
            unindex(connection, (node.answer,))
            connection.execute(
                "UPDATE messages SET content = ?, state = ?, touched_at = ?, record = ? WHERE id = ?",
                (storable(text), state, at, storable(record_text(record)), node.answer),
            )
            index(connection, node.answer)
            connection.execute("UPDATE conversations SET changed_at = ? WHERE id = ?", (at, conversation))

    def go_back(self, conversation: str, to: Node | None) -> None:
        """The conversation ends in this turn from now on; what followed stays in the tree."""
        with self._file.writing() as connection:
            _move(connection, conversation, to, iso(self._now()))

    def fork(self, conversation: str, at_turn: Node) -> str:
        """A new conversation that shares the turns up to this one; gives its id."""
        at = iso(self._now())
        with self._file.writing() as connection:
            row = connection.execute(
                "SELECT gateway, title FROM conversations WHERE id = ?", (conversation,)
            ).fetchone()
            if row is None:
                raise _gone()
            return _new(connection, row[0], row[1], at, at_turn.answer)

    def rename(self, conversation: str, title: str) -> None:
        """Gives a conversation another title."""
        with self._file.writing() as connection:
            changed = connection.execute(
                "UPDATE conversations SET title = ? WHERE id = ?", (storable(title), conversation)
            )
            if not changed.rowcount:
                raise _gone()

    def summarise(self, up_to: Node, summary: Summary) -> None:
        """Has a summary stand for everything up to and including a turn, in what is sent from now on."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO summaries (message, content, record) VALUES (?, ?, ?)",
                (up_to.answer, storable(summary.text), record_text(TurnRecord(charges=summary.charges))),
            )

    def latest(self, gateway: str | None = None) -> Kept:
        """The conversation in which something was said last. Raises NotFoundError where there is none."""
        where, values = ("WHERE gateway = ?", (gateway,)) if gateway else ("", ())
        with self._file.reading() as connection:
            found = conversations(connection, where, values, limit=1) if connection else ()
        if not found:
            whose = f" with '{gateway}'" if gateway else ""
            raise NotFoundError(f"there is no conversation{whose} to continue", fix="aivax chat begins one")
        return found[0]

    def named(self, prefix: str) -> Kept:
        """The conversation whose id begins so. Raises NotFoundError unless there is exactly one."""
        with self._file.reading() as connection:
            return one_named(connection, prefix)

    def turns(self, head: int | None) -> tuple[KeptTurn, ...]:
        """The turns that lead to an answer, oldest first."""
        with self._file.reading() as connection:
            return turns_to(connection, head) if connection else ()


def _new(connection: sqlite3.Connection, gateway: str, title: str, at: str, head: int | None) -> str:
    while True:
        name = secrets.token_hex(4)
        made = connection.execute(
            "INSERT OR IGNORE INTO conversations (id, gateway, title, created_at, changed_at, head)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (name, gateway, storable(title), at, at, head),
        )
        if made.rowcount:
            return name


def _add(
    connection: sqlite3.Connection,
    conversation: str,
    parent: int | None,
    role: str,
    content: str,
    state: State,
    at: str,
) -> int:
    added = connection.execute(
        "INSERT INTO messages (conversation, parent, role, content, state, at, touched_at, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (conversation, parent, role, storable(content), state, at, at, _NOTHING),
    )
    return int(added.lastrowid or 0)


def _move(connection: sqlite3.Connection, conversation: str, to: Node | None, at: str) -> None:
    moved = connection.execute(
        "UPDATE conversations SET head = ?, changed_at = ? WHERE id = ?",
        (to.answer if to else None, at, conversation),
    )
    if not moved.rowcount:
        raise _gone()


def _gone() -> ConversationError:
    return ConversationError("this conversation has been deleted", fix="/reset begins a new one")


def _file_row(file: KeptFile) -> tuple[str, str, str]:
    if isinstance(file.content, Image):
        return storable(file.name), "image", storable(file.content.url)
    return storable(file.name), "text", storable(file.content.text)
