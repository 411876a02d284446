"""The keys of those who may use the server: in a file of their own, with nothing in it that opens anything.

A key is `oky_`, eight digits that name it, and 256 random bits. Only its SHA-256 is kept: of so many random
bits nobody finds one with a given hash by trying, against which the slow hashes of passwords are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from aivax_cli.core.errors import AivaxError, UsageError, unknown_name

KEYS_FILE: Final = "keys.db"
"""The name of the keys' file in a workspace's state folder."""
PREFIX: Final = "oky_"
WINDOW_S: Final = 60.0
"""Seconds that a key's requests are counted over."""
_ID_DIGITS: Final = 8
_SECRET_BYTES: Final = 32
_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash BLOB NOT NULL,           -- SHA-256 of the whole key
    gateways TEXT NOT NULL,       -- JSON list of names; empty: all
    requests_per_minute INTEGER,
    usd_per_day TEXT,             -- exact decimal
    created TEXT NOT NULL,        -- UTC, ISO 8601
    revoked TEXT                  -- the same; NULL: it holds
);
CREATE TABLE requests (
    key_id TEXT NOT NULL,
    at REAL NOT NULL              -- seconds since 1970
);
CREATE INDEX requests_of_key ON requests (key_id, at)
"""


class KeyFileError(AivaxError):
    """The keys cannot be read or written."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is known here, which is not enough to use it. No gateways named means all of them."""

    id: str
    name: str
    gateways: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    usd_per_day: Decimal | None = None
    created: str = ""
    revoked: str | None = None

    @property
    def label(self) -> str:
        """What the key is called where people read: its beginning, as it is written."""
        return f"{PREFIX}{self.id}…"

    def allows(self, gateway: str) -> bool:
        """Whether it may use the gateway of this name."""
        return not self.gateways or gateway in self.gateways


class KeyFile:
    """The keys of a workspace. Made with the first key; several processes may use it at once.

    Safe to share between threads. Raises KeyFileError for whatever keeps it from being read or written.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now = now
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def new(
        self,
        name: str,
        *,
        gateways: Sequence[str] = (),
        requests_per_minute: int | None = None,
        usd_per_day: Decimal | None = None,
    ) -> tuple[ApiKey, str]:
        """Makes a key. The text is given this once and kept nowhere. Raises UsageError for a name in use."""
        identity, secret = secrets.token_hex(_ID_DIGITS // 2), secrets.token_hex(_SECRET_BYTES)
        text = f"{PREFIX}{identity}{secret}"
        key = ApiKey(identity, name, tuple(gateways), requests_per_minute, usd_per_day, self._today())
        with self._writing() as connection:
            taken = "SELECT 1 FROM keys WHERE name = ? AND revoked IS NULL"
            if connection.execute(taken, (name,)).fetchone():
                raise UsageError(f"there is a key named '{name}' already", fix="choose another name")
            connection.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    identity,
                    name,
                    _hash(text),
                    json.dumps(list(gateways)),
                    requests_per_minute,
                    None if usd_per_day is None else format(usd_per_day, "f"),
                    key.created,
                ),
            )
        return key, text

    def listed(self) -> tuple[ApiKey, ...]:
        """Every key, the oldest first, revoked ones too."""
        with self._reading() as connection:
            if connection is None:
                return ()
            return tuple(_key(row) for row in connection.execute(f"{_SELECT} ORDER BY rowid"))

    def revoke(self, reference: str) -> ApiKey:
        """Ends a key that is named by its name, its id or its beginning. Raises NotFoundError."""
        wanted = reference.removeprefix(PREFIX).rstrip("….")[:_ID_DIGITS]
        holding = [key for key in self.listed() if key.revoked is None]
        found = [key for key in holding if reference == key.name or wanted == key.id]
        if not found:
            raise unknown_name(
                "key", reference, [key.name for key in holding], otherwise="see `aivax keys list`"
            )
        with self._writing() as connection:
            connection.execute("UPDATE keys SET revoked = ? WHERE id = ?", (self._today(), found[0].id))
        return found[0]

    def has_keys(self) -> bool:
        """Whether a key was ever made here. Revoking the last one opens nothing."""
        if self._connection is None and not self.path.exists():
            return False
        with self._reading() as connection:
            return connection is not None and bool(connection.execute("SELECT 1 FROM keys").fetchone())

    def verified(self, text: str) -> ApiKey | None:
        """The key that this text is, None for no key, a wrong one or a revoked one.

        The row is found by the part that is no secret; the hashes are compared in constant time, for a name
        that nothing has, too.
        """
        identity = text.removeprefix(PREFIX)[:_ID_DIGITS]
        with self._reading() as connection:
            row = None
            if connection is not None:
                row = connection.execute(f"{_SELECT} WHERE id = ?", (identity,)).fetchone()
        same = hmac.compare_digest(bytes(row["hash"]) if row is not None else bytes(32), _hash(text))
        if row is None or not same or row["revoked"] is not None:
            return None
        return _key(row)

    def admit(self, key: ApiKey) -> float | None:
        """Counts a request of the key. None when there is room for it, else the seconds to wait.

        Never more than `requests_per_minute` in any `WINDOW_S` seconds, over all processes; what is refused
        does not count.
        """
        if key.requests_per_minute is None:
            return None
        now = self._now()
        with self._writing() as connection:
            connection.execute("DELETE FROM requests WHERE key_id = ? AND at <= ?", (key.id, now - WINDOW_S))
            first = connection.execute(
                "SELECT at FROM requests WHERE key_id = ? ORDER BY at DESC LIMIT 1 OFFSET ?",
                (key.id, key.requests_per_minute - 1),
            ).fetchone()
            if first is not None:
                return max(0.0, float(first["at"]) + WINDOW_S - now)
            connection.execute("INSERT INTO requests VALUES (?, ?)", (key.id, now))
        return None

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _today(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """None for a file that is not there yet."""
        with self._lock, self._translated():
            if self._connection is None and not self.path.exists():
                yield None
                return
            yield self._open()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Whoever else has an account on this machine learns nothing of names and limits.
            self.path.touch(mode=0o600)
            connection = sqlite3.connect(
                self.path, timeout=5.0, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            connection.row_factory = sqlite3.Row
            self._connection = connection
        return self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise KeyFileError(
                f"{self.path}: the keys cannot be used: {error}",
                fix="check the folder's permissions and the disk's free space",
            ) from error


_SELECT: Final = (
    "SELECT id, name, hash, gateways, requests_per_minute, usd_per_day, created, revoked FROM keys"
)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked under the lock: another process may have been first.
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    # Readers need not wait for writers then. Two processes that switch a new file at once do not wait for one
    # another; whoever comes later switches it.
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _key(row: sqlite3.Row) -> ApiKey:
    limit = row["usd_per_day"]
    return ApiKey(
        row["id"],
        row["name"],
        tuple(json.loads(row["gateways"])),
        row["requests_per_minute"],
        None if limit is None else Decimal(limit),
        row["created"],
        row["revoked"],
    )
