"""The catalogue: one SQLite file of a workspace that holds its knowledge, and is the truth about it.

Reading and writing happen in transactions that are objects: `with catalogue.reading() as reader` sees one
state of the whole catalogue, however long it takes and whoever writes meanwhile; `with catalogue.writing() as
writer` stores all of its changes or none. Writers also hold the workspace's lock (see `locking`).
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aivax_cli.core.errors import KnowledgeError
from aivax_cli.retrieval import schema
from aivax_cli.retrieval.analysis import Analyzer
from aivax_cli.retrieval.lexical import TermCounts
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.writer import Writer

CATALOGUE_FILE = "catalogue.db"

IDLE_CONNECTIONS = 8
"""Connections kept open between searches."""


class Catalogue:
    """An open catalogue. Safe to share between threads: every transaction has a connection of its own."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._path = path
        self._writable = writable
        self._idle: deque[sqlite3.Connection] = deque()  # whose methods are safe between threads
        self._analyzer: Analyzer | None = None
        self._counts = TermCounts()

    @classmethod
    def open(cls, directory: Path) -> Catalogue | None:
        """The catalogue in `directory` for reading; None when nothing was ever stored there."""
        path = directory / CATALOGUE_FILE
        if not path.exists():
            return None
        catalogue = cls(path, writable=False)
        with schema.sqlite_errors(path), catalogue._connection() as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return None
            if schema.is_older(connection):
                schema.upgrade_file(path)
            schema.check_version(connection, path)
        return catalogue

    @classmethod
    def create(cls, directory: Path) -> Catalogue:
        """The catalogue in `directory` for writing, made if need be. The caller holds the write lock.

        Raises IngestError or KnowledgeError when the file cannot be written or is none of ours.
        """
        path = directory / CATALOGUE_FILE
        catalogue = cls(path, writable=True)
        with schema.sqlite_errors(path), catalogue._connection() as connection:
            schema.prepare(connection, path)
        return catalogue

    @property
    def path(self) -> Path:
        return self._path

    @property
    def analyzer(self) -> Analyzer:
        """The analysis of text, made when first needed."""
        if self._analyzer is None:
            self._analyzer = Analyzer()
        return self._analyzer

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A consistent view of the catalogue. Raises KnowledgeError when it cannot be read."""
        with schema.sqlite_errors(self._path), self._connection() as connection:
            connection.execute("BEGIN")
            try:
                yield Reader(connection, self.analyzer, self._counts)
            finally:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Changes that are stored together. Raises IngestError when they cannot be."""
        if not self._writable:
            raise KnowledgeError(f"{self._path}: opened for reading")
        with schema.sqlite_errors(self._path), self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Writer(connection, self.analyzer, time.time())
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite itself has rolled back when the disk is full
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Closes idle connections. Transactions under way end by themselves."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = schema.connect(self._path, writable=self._writable)
        keep = False
        try:
            yield connection
            keep = not connection.in_transaction and len(self._idle) < IDLE_CONNECTIONS
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()
