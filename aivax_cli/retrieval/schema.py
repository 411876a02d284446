"""The catalogue's tables, and connections to them.

    collections 1─n documents 1─n chunks n─1 vectors_<collection id>
                                         1─1 lexical_<collection id>   (FTS5, contentless, rowid = chunk id)
    collections 1─n sources       the folders that were ingested
    collections 1─n imports       the JSONL files that documents came from
    documents   1─n document_tags
    embedders                     one row for each fingerprint: its prior background, its speed

Vectors and lexical index are tables of each collection's own: BM25 then counts this collection's documents
alone, a scan reads only this collection's vectors, and removing a collection drops them whole.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aivax_cli.core.errors import AivaxError, IngestError, KnowledgeError
from aivax_cli.retrieval import lexical

SCHEMA_VERSION = 3
"""Kept in `PRAGMA user_version`."""

PAGE_BYTES = 16_384
"""Ten vectors of 384 floats fit a page, two fit SQLite's default: a scan is twice as fast."""

BUSY_TIMEOUT_S = 30.0

_TRIAL = "SELECT 1 FROM sqlite_master LIMIT 1"
"""What fails where the file cannot be read as it is."""

TABLES = """
CREATE TABLE collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    embedder TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    analyzer TEXT NOT NULL,
    chunks INTEGER NOT NULL DEFAULT 0,
    background REAL,
    background_chunks INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0,
    snapshot TEXT,
    snapshot_last INTEGER NOT NULL DEFAULT 0,
    snapshot_vectors INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collections(id),
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    kind TEXT NOT NULL,
    content_hash BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    checked_ns INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('lexical', 'ready')),
    UNIQUE (collection_id, name)
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL,
    document_id INTEGER NOT NULL REFERENCES documents(id),
    ordinal INTEGER NOT NULL,
    text TEXT NOT NULL,
    heading TEXT NOT NULL,
    first_line INTEGER,
    last_line INTEGER,
    page INTEGER,
    tokens INTEGER NOT NULL,
    hash BLOB NOT NULL,
    vector_id INTEGER,
    UNIQUE (document_id, ordinal)
);
CREATE INDEX chunks_by_vector ON chunks(collection_id, vector_id);
CREATE TABLE sources (
    collection_id INTEGER NOT NULL REFERENCES collections(id),
    path TEXT NOT NULL,
    PRIMARY KEY (collection_id, path)
) WITHOUT ROWID;
CREATE TABLE embedders (
    fingerprint TEXT PRIMARY KEY,
    background REAL NOT NULL
) WITHOUT ROWID;
"""
"""The tables of version 1."""

UPGRADES: dict[int, str] = {
    1: """
ALTER TABLE documents ADD COLUMN cutting TEXT NOT NULL DEFAULT '1:256';
ALTER TABLE documents ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN ref TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE documents ADD COLUMN meta TEXT NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN part_of TEXT;
ALTER TABLE documents ADD COLUMN part INTEGER;
ALTER TABLE documents ADD COLUMN body TEXT;
ALTER TABLE embedders ADD COLUMN tokens_per_s REAL;
CREATE INDEX documents_by_hash ON documents(collection_id, content_hash);
CREATE INDEX documents_by_source ON documents(collection_id, source) WHERE source <> '';
CREATE INDEX documents_by_ref ON documents(collection_id, ref) WHERE ref <> '';
CREATE INDEX documents_by_part ON documents(collection_id, part_of, part) WHERE part_of IS NOT NULL;
CREATE TABLE document_tags (
    document_id INTEGER NOT NULL,
    tag TEXT NOT NULL,
    collection_id INTEGER NOT NULL,
    PRIMARY KEY (document_id, tag)
) WITHOUT ROWID;
CREATE INDEX document_tags_by_tag ON document_tags(collection_id, tag, document_id);
CREATE TABLE imports (
    collection_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    content_hash BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    checked_ns INTEGER NOT NULL,
    cutting TEXT NOT NULL,
    PRIMARY KEY (collection_id, name)
) WITHOUT ROWID;
""",
    2: "ALTER TABLE collections ADD COLUMN background_generation INTEGER NOT NULL DEFAULT 0;",
}
"""What makes each version the next one. Quick whatever the catalogue's size: no row is rewritten."""


def collection_tables(collection_id: int) -> tuple[str, ...]:
    """The statements that make one collection's own tables."""
    return (
        f"CREATE TABLE vectors_{collection_id} "
        "(id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, vector BLOB NOT NULL)",
        f"CREATE VIRTUAL TABLE lexical_{collection_id} USING {lexical.TABLE}",
        f"CREATE VIRTUAL TABLE terms_{collection_id} USING fts5vocab('lexical_{collection_id}', 'row')",
    )


def drop_collection_tables(collection_id: int) -> tuple[str, ...]:
    """The statements that undo `collection_tables`."""
    return tuple(f"DROP TABLE {table}_{collection_id}" for table in ("terms", "lexical", "vectors"))


def connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    """A connection in autocommit mode. Raises KnowledgeError when the file is no catalogue of ours.

    A reader never writes, so it also opens a catalogue in a folder that it may not write to.
    """
    uri = path.absolute().as_uri()
    if writable:
        connection = _open(f"{uri}?mode=rwc")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection
    connection = _open(f"{uri}?mode=ro")
    try:
        connection.execute(_TRIAL).fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if os.access(path.parent, os.W_OK):
            return _recovered(uri)
        # Reading in WAL mode needs a shared-memory file beside the database, which cannot be made here.
        connection = _open(f"{uri}?immutable=1")
    return connection


def _recovered(uri: str) -> sqlite3.Connection:
    """A reader's connection after what a writer left that was killed while it made the file is undone.

    Until a new file is in WAL mode, a kill leaves a rollback journal, which a reader may not roll back.
    """
    writer = _open(f"{uri}?mode=rw")
    try:
        writer.execute(_TRIAL).fetchone()
    finally:
        writer.close()
    return _open(f"{uri}?mode=ro")


def _open(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Makes the tables in a new file, and upgrades those of an older version. Raises KnowledgeError."""
    if _version(connection) == 0:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        upgrades = "".join(UPGRADES[version] for version in range(1, SCHEMA_VERSION))
        connection.executescript(
            f"BEGIN IMMEDIATE; {TABLES} {upgrades} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    upgrade(connection)
    check_version(connection, path)


def is_older(connection: sqlite3.Connection) -> bool:
    """Whether the tables are those of an earlier version, which `upgrade` mends."""
    return 0 < _version(connection) < SCHEMA_VERSION


def upgrade(connection: sqlite3.Connection) -> None:
    """Brings an older version's tables up to this one, in one transaction, whoever else tries to."""
    while is_older(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _version(connection)
            for statement in UPGRADES.get(version, "").split(";") if version < SCHEMA_VERSION else ():
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {min(version + 1, SCHEMA_VERSION)}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def upgrade_file(path: Path) -> None:
    """Upgrades a catalogue that was opened for reading. Raises IngestError where it may not be written."""
    connection = connect(path, writable=True)
    try:
        upgrade(connection)
    finally:
        connection.close()


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raises KnowledgeError when the tables are not those of this version."""
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise KnowledgeError(
            f"{path}: made by a newer version of aivax (layout {version}, this one knows {SCHEMA_VERSION})",
            fix="upgrade aivax",
        )
    if version < SCHEMA_VERSION:
        raise KnowledgeError(f"{path}: holds no catalogue", fix="delete it and ingest again")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


_REBUILD = "delete it and ingest again; your documents are not touched"


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours: IngestError where writing failed, else KnowledgeError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translated(error, path) from error


def _translated(error: sqlite3.DatabaseError, path: Path) -> AivaxError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return IngestError(
            f"{path}: the disk is full; what was stored before is still searchable",
            fix="free some space and run the same command again",
        )
    if code == sqlite3.SQLITE_READONLY:
        return IngestError(f"{path}: may not be written", fix="check the folder's permissions")
    if code == sqlite3.SQLITE_CANTOPEN:
        return KnowledgeError(f"{path}: cannot be opened", fix="check the folder's permissions")
    if code == sqlite3.SQLITE_BUSY:
        return KnowledgeError(f"{path}: locked by another program", fix="try again when it has finished")
    if code == sqlite3.SQLITE_IOERR:
        return IngestError(
            f"{path}: reading or writing the disk failed ({error})", fix="check the disk, then run it again"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return KnowledgeError(f"{path}: is damaged", fix=_REBUILD)
    return KnowledgeError(f"{path}: {error}", fix=_REBUILD)
