"""The keys of those who may use the server: in a file of their own, with nothing in it that opens anything.

A key is `oky_`, eight digits that name it, and 256 random bits. Only its SHA-256 is kept: of so many random
bits nobody finds one with a given hash by trying, against which the slow hashes of passwords are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from aivax_cli.core.errors import AivaxError, UsageError, unknown_name
from aivax_cli.storage.sqlite_file import FileKind, SqliteFile

KEYS_FILE: Final = "keys.db"
"""The name of the keys' file in a workspace's state folder."""
PREFIX: Final = "oky_"
WINDOW_S: Final = 60.0
"""Seconds that a key's requests are counted over."""
_ID_DIGITS: Final = 8
_SECRET_BYTES: Final = 32
_BUSY_TIMEOUT_S: Final = 5.0
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


_KEYS: Final = FileKind(
    _SCHEMA,
    version=1,
    error=KeyFileError,
    damaged="the keys are damaged",
    unusable="the keys cannot be used",
    mend="put a copy of the file back, or move it away and make new keys",
)


class ApiKey(Struct, frozen=True):
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
        self._file = SqliteFile(path, _KEYS, busy_timeout_s=_BUSY_TIMEOUT_S)
        # Of its own: whoever reads a key does not wait for somebody who is counted.
        self._counting = SqliteFile(path, _KEYS, busy_timeout_s=_BUSY_TIMEOUT_S)
        self._now = now

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
        with self._file.writing() as connection:
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
        with self._file.reading() as connection:
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
        with self._file.writing() as connection:
            connection.execute("UPDATE keys SET revoked = ? WHERE id = ?", (self._today(), found[0].id))
        return found[0]

    def has_keys(self) -> bool:
        """Whether a key was ever made here. Revoking the last one opens nothing."""
        if self._file.absent:  # asked by every request
            return False
        with self._file.reading() as connection:
            return connection is not None and bool(connection.execute("SELECT 1 FROM keys").fetchone())

    def verified(self, text: str) -> ApiKey | None:
        """The key that this text is, None for no key, a wrong one or a revoked one.

        The row is found by the part that is no secret; the hashes are compared in constant time, for a name
        that nothing has, too.
        """
        identity = text.removeprefix(PREFIX)[:_ID_DIGITS]
        with self._file.reading() as connection:
            row = None
            if connection is not None:
                row = connection.execute(f"{_SELECT} WHERE id = ?", (identity,)).fetchone()
        key = None if row is None else _key(row)
        same = hmac.compare_digest(bytes(32) if row is None else bytes(row[_HASH]), _hash(text))
        return key if key is not None and same and key.revoked is None else None

    def admit(self, key: ApiKey) -> float | None:
        """Counts a request of the key. None when there is room for it, else the seconds to wait.

        Never more than `requests_per_minute` in any `WINDOW_S` seconds, over all processes; what is refused
        does not count.
        """
        if key.requests_per_minute is None:
            return None
        now = self._now()
        with self._counting.writing() as connection:
            connection.execute("DELETE FROM requests WHERE key_id = ? AND at <= ?", (key.id, now - WINDOW_S))
            first = connection.execute(
                "SELECT at FROM requests WHERE key_id = ? ORDER BY at DESC LIMIT 1 OFFSET ?",
                (key.id, key.requests_per_minute - 1),
            ).fetchone()
            if first is not None:
                return max(0.0, float(first[0]) + WINDOW_S - now)
            connection.execute("INSERT INTO requests VALUES (?, ?)", (key.id, now))
        return None

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        self._file.close()
        self._counting.close()

    def _today(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_SELECT: Final = (
    "SELECT id, name, gateways, requests_per_minute, usd_per_day, created, revoked, hash FROM keys"
)
_HASH: Final = 7
"""The hash's place in a row; before it stand the fields of an ApiKey."""


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _key(row: tuple[Any, ...]) -> ApiKey:
    identity, name, gateways, requests_per_minute, usd_per_day, created, revoked, _ = row
    limit = None if usd_per_day is None else Decimal(usd_per_day)
    names = tuple(json.loads(gateways))
    return ApiKey(identity, name, names, requests_per_minute, limit, created, revoked)
