"""Rows of the database as what is kept of conversations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from aivax_cli.conversations.records import Kept, KeptFile, KeptTurn, Node, State, Summary, read_record
from aivax_cli.core.errors import NotFoundError
from aivax_cli.core.types import Attached, Charge, Image

STALE_S: Final = 4.0
"""Seconds after which an answer that nobody has touched is written by nobody any more."""

# A path is followed from an answer to the first question; the bound is for damaged files alone.
PATH: Final = """
WITH RECURSIVE path (id, parent, depth) AS (
    SELECT id, parent, 0 FROM messages WHERE id = ?
    UNION ALL
    SELECT m.id, m.parent, path.depth + 1 FROM messages m JOIN path ON m.id = path.parent
    WHERE path.depth < 100000
)
"""

_COLUMNS = "id, gateway, title, created_at, changed_at, head"


def iso(moment: datetime) -> str:
    """UTC, ISO 8601 with milliseconds and Z, which sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def storable(text: str) -> str:
    """The text without lone surrogates, which models write at times and which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def turns_to(connection: sqlite3.Connection, head: int | None) -> tuple[KeptTurn, ...]:
    """The turns that lead to an answer, oldest first."""
    if head is None:
        return ()
    rows = connection.execute(
        f"{PATH} SELECT m.id, m.role, m.content, m.state, m.at, m.record, s.content, s.record"
        " FROM path JOIN messages m ON m.id = path.id LEFT JOIN summaries s ON s.message = m.id"
        " ORDER BY path.depth DESC",
        (head,),
    ).fetchall()
    turns = []
    question: tuple[int, str, str] | None = None
    for number, role, content, state, at, record, summary, summary_record in rows:
        if role == "user":
            question = (number, content, at)
        elif question is not None:
            shortened = None if summary is None else Summary(summary, read_record(summary_record).charges)
            node = Node(question[0], number)
            files = _files(connection, question[0])
            kept = read_record(record)
            turns.append(KeptTurn(node, question[1], question[2], content, state, kept, files, shortened))
    return tuple(turns)


def conversations(
    connection: sqlite3.Connection, where: str = "", values: Sequence[object] = (), *, limit: int = -1
) -> tuple[Kept, ...]:
    """Conversations, the latest first; `where` is a condition of SQL."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM conversations {where} ORDER BY changed_at DESC, rowid DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    return tuple(
        Kept(
            name,
            gateway,
            title,
            created_at,
            changed_at,
            head,
            turns=_turn_count(connection, head),
            charges=_charges(connection, name),
        )
        for name, gateway, title, created_at, changed_at, head in rows
    )


def one_named(connection: sqlite3.Connection | None, prefix: str) -> Kept:
    """The conversation whose id begins so; `connection` is None where nothing has been kept yet.

    Raises NotFoundError unless there is exactly one.
    """
    wanted = prefix.strip().lower()
    found: tuple[Kept, ...] = ()
    if connection is not None and wanted:
        found = conversations(connection, "WHERE substr(id, 1, ?) = ?", (len(wanted), wanted), limit=4)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(f"no conversation '{prefix}'", fix="aivax log lists them")
    several = ", ".join(each.id for each in found[:3])
    raise NotFoundError(f"'{prefix}' begins several ids: {several}", fix="write more of it")


def state_now(state: State, touched_at: str, now: datetime) -> State:
    """The state of an answer: one that nobody touches any more was interrupted."""
    if state == "writing" and touched_at < iso(now - timedelta(seconds=STALE_S)):
        return "interrupted"
    return state


def settle_stale(connection: sqlite3.Connection, now: datetime) -> None:
    """Marks the answers of programs that have died as interrupted, and has them found by their words."""
    stale = connection.execute(
        "SELECT id FROM messages WHERE state = 'writing' AND touched_at < ?",
        (iso(now - timedelta(seconds=STALE_S)),),
    ).fetchall()
    for (number,) in stale:
        connection.execute("UPDATE messages SET state = 'interrupted' WHERE id = ?", (number,))
        index(connection, number)


def index(connection: sqlite3.Connection, message: int) -> None:
    """Has a message found by its words."""
    unindex(connection, (message,))
    connection.execute(
        "INSERT INTO words (rowid, content) SELECT id, content FROM messages WHERE id = ?", (message,)
    )
    connection.execute("UPDATE messages SET indexed = 1 WHERE id = ?", (message,))


def unindex(connection: sqlite3.Connection, messages: Iterable[int]) -> None:
    """The index forgets messages. It has no texts of its own: what it had must be told, before it changes."""
    for message in messages:
        connection.execute(
            "INSERT INTO words (words, rowid, content)"
            " SELECT 'delete', id, content FROM messages WHERE id = ? AND indexed = 1",
            (message,),
        )
        connection.execute("UPDATE messages SET indexed = 0 WHERE id = ?", (message,))


def _turn_count(connection: sqlite3.Connection, head: int | None) -> int:
    if head is None:
        return 0
    counted = connection.execute(
        f"{PATH} SELECT count(*) FROM path JOIN messages m ON m.id = path.id WHERE m.role = 'assistant'",
        (head,),
    )
    return int(counted.fetchone()[0])


def _charges(connection: sqlite3.Connection, conversation: str) -> tuple[Charge, ...]:
    rows = connection.execute(
        "SELECT record FROM messages WHERE conversation = ? AND role = 'assistant' UNION ALL"
        " SELECT s.record FROM summaries s JOIN messages m ON m.id = s.message WHERE m.conversation = ?",
        (conversation, conversation),
    )
    return tuple(charge for (record,) in rows for charge in read_record(record).charges)


def _files(connection: sqlite3.Connection, message: int) -> tuple[KeptFile, ...]:
    rows = connection.execute(
        "SELECT name, kind, content FROM files WHERE message = ? ORDER BY position", (message,)
    )
    return tuple(
        KeptFile(name, Image(content) if kind == "image" else Attached(name.rsplit("/", 1)[-1], content))
        for name, kind, content in rows
    )
