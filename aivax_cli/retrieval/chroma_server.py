"""A Chroma server or Chroma's cloud service, as far as this project uses it.

A collection of vectors by number carries a revision in its metadata; `served` says what for. Every wait is
bounded, and every error is a `ChromaFailedError` of one line without a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from aivax_cli.retrieval.chroma import COSINE, ChromaFailedError, ChromaVectors

TOKEN_HEADER = "x-chroma-token"
REVISION = "aivax_revision"

SERVER_BATCH_ROWS = 300
"""Rows written in one request: the most that Chroma Cloud takes. A local server takes more no faster."""

PAGE_ROWS = 300
"""Ids listed in one request: the most that Chroma Cloud gives."""

CONNECT_WAIT_S = 4.0

_DETAIL_CHARS = 160


class ServerDownError(ChromaFailedError):
    """The server cannot be reached or used as the settings say: asking again soon is of no use."""


class UnsoundError(ChromaFailedError):
    """The server does not hold what it should."""


class ServerAddress(Struct, frozen=True):
    """Where a workspace's vectors are indexed, from `store:` in `aivax.yaml`.

    `problem` says why it cannot be asked at all, such as a key that is not set. `search_wait_s` and
    `write_wait_s` bound the wait for any part of an answer.
    """

    url: str
    tenant: str = "default_tenant"
    database: str = "default_database"
    token: str | None = None
    token_source: str | None = None
    problem: str | None = None
    search_wait_s: float = 10.0
    write_wait_s: float = 60.0

    def __repr__(self) -> str:
        """Without the token."""
        return f"ServerAddress({self.url!r}, {self.tenant!r}, {self.database!r})"


class ChromaServer:
    """A connection to a server's database, made with the first request. Threads may share it.

    Every method raises ChromaFailedError.
    """

    def __init__(self, address: ServerAddress, *, wait_s: float) -> None:
        if address.problem is not None:
            raise ServerDownError(address.problem)
        self._address = address
        self._wait_s = wait_s
        self._place = {"tenant": address.tenant, "database": address.database}
        with self.failures():
            self._api = _client(address, wait_s)

    def open(self, name: str) -> ServedVectors | None:
        """The collection of that name; None when there is none, for which the database must be there."""
        from chromadb.errors import NotFoundError

        with self.failures():
            try:
                return ServedVectors(self, self._api.get_collection(name, **self._place))
            except NotFoundError:
                self._require_database()
                return None

    def heartbeat(self) -> None:
        """Asks whether a Chroma server is there, whomever it lets in."""
        with self.failures():
            self._api.heartbeat()

    def check(self) -> None:
        """Asks whether the server is there and has the database."""
        with self.failures():
            self._require_database()

    def create(self, name: str, revision: str) -> ServedVectors:
        """A new, empty collection."""
        with self.failures():
            model = self._api.create_collection(
                name, metadata={REVISION: revision}, configuration=COSINE, **self._place
            )
            return ServedVectors(self, model)

    def delete(self, name: str) -> None:
        """Removes a collection with its vectors, if it is there."""
        from chromadb.errors import NotFoundError

        with self.failures():
            try:
                self._api.delete_collection(name, **self._place)
            except NotFoundError:
                return

    def revision(self, name: str) -> str | None:
        """The revision that a collection carries now; None without one."""
        from chromadb.errors import NotFoundError

        with self.failures():
            try:
                return _revision(self._api.get_collection(name, **self._place))
            except NotFoundError:
                return None

    def close(self) -> None:
        """Lets go of connections."""
        self._api._session.close()

    def _require_database(self) -> None:
        # Asking for a collection in a database that is not there, or for a database of such a tenant, gives
        # the same answer as asking for a collection that is not there.
        from chromadb.errors import NotFoundError

        try:
            self._api.get_tenant(self._address.tenant)
            self._api.get_database(self._address.database, tenant=self._address.tenant)
        except NotFoundError as error:
            raise ServerDownError(_line(error.message(), self._address)) from error

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turns everything that Chroma's client raises into ChromaFailedError."""
        try:
            yield
        except ChromaFailedError:
            raise
        except Exception as error:  # the client raises bare Exceptions for what it does not know
            raise _translated(error, self._address, self._wait_s) from error


def _revision(model: Any) -> str | None:
    found = (model.metadata or {}).get(REVISION)
    return found if isinstance(found, str) else None


class ServedVectors(ChromaVectors):
    """A collection on a server. `opened_at` is the revision that it carried then."""

    def __init__(self, server: ChromaServer, model: Any) -> None:
        from chromadb.api.models.Collection import Collection

        self._server = server
        self._collection = Collection(client=server._api, model=model, embedding_function=None)
        self.name = str(model.name)
        self.opened_at = _revision(model)

    @contextmanager
    def _call(self) -> Iterator[None]:
        with self._server.failures():
            yield

    def ids(self) -> set[int]:
        """See `ChromaVectors`. Listed page by page, so what is written meanwhile may be in it or not."""
        found: set[int] = set()
        with self._call():
            while page := self._collection.get(include=[], limit=PAGE_ROWS, offset=len(found))["ids"]:
                before = len(found)
                if not all(number.isdecimal() for number in page):
                    raise UnsoundError("holds vectors that somebody else has put there")
                found.update(int(number) for number in page)
                if len(found) == before:
                    raise UnsoundError("lists the same vectors again and again")
        return found

    def count(self) -> int:
        """How many vectors there are. Says nothing about whether they are found."""
        with self._call():
            return int(self._collection.count())

    def revision(self) -> str | None:
        """The revision that it carries now; None when it is gone or has none."""
        return self._server.revision(self.name)

    def set_revision(self, revision: str) -> None:
        """Marks it with a revision."""
        with self._call():
            self._collection.modify(metadata={REVISION: revision})


def _client(address: ServerAddress, wait_s: float) -> Any:
    """Chroma's own client for servers, with bounded waits, which `chromadb.HttpClient` does not offer.

    No `.env` file is read, and nothing is reported to anyone.
    """
    import httpx
    from chromadb.api import ServerAPI
    from chromadb.config import Settings, System

    settings_of: Any = Settings
    api: Any = ServerAPI
    settings = settings_of(
        _env_file=None,
        chroma_api_impl="chromadb.api.fastapi.FastAPI",
        chroma_server_host=address.url,
        chroma_server_http_port=443,  # required, and not used: the address has its own
        chroma_server_ssl_enabled=address.url.startswith("https:"),
        chroma_server_headers={TOKEN_HEADER: address.token} if address.token else {},
        anonymized_telemetry=False,
    )
    system = System(settings)
    client: Any = system.instance(api)
    client._session.timeout = httpx.Timeout(wait_s, connect=min(wait_s, CONNECT_WAIT_S))
    system.start()
    return client


def _translated(error: Exception, address: ServerAddress, wait_s: float) -> ChromaFailedError:
    """What went wrong, in a line."""
    import httpx
    from chromadb.errors import ChromaError

    status = error.code() if isinstance(error, ChromaError) else _status(error)
    if isinstance(error, httpx.ConnectTimeout):
        return ServerDownError(f"no connection within {min(wait_s, CONNECT_WAIT_S):g} s")
    if isinstance(error, httpx.TimeoutException):
        return ServerDownError(f"no answer within {wait_s:g} s")
    if isinstance(error, httpx.ConnectError):
        return ServerDownError(f"cannot be reached ({_line(str(error), address)})")
    if isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
        return ServerDownError(f"the connection broke ({_line(str(error) or type(error).__name__, address)})")
    if status in (401, 403):
        key = f"the key in {address.token_source}" if address.token else "no key is sent: set api_key_env"
        return ServerDownError(f"access refused (HTTP {status}; {key})")
    if isinstance(error, ChromaError):
        return ChromaFailedError(_line(error.message(), address))
    if status is not None:
        return ServerDownError(f"answers HTTP {status}: is it a Chroma server?")
    if isinstance(error, (ValueError, KeyError, TypeError, AttributeError, IndexError)):
        return ServerDownError("answers what Chroma does not: is it a Chroma server?")
    return ChromaFailedError(_line(f"{type(error).__name__}: {error}", address))


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error: Chroma's client raises its own in place of the one that knows it."""
    import httpx

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, httpx.HTTPStatusError):
            return seen.response.status_code
        seen = seen.__cause__ or seen.__context__
    return None


def _line(text: str, address: ServerAddress) -> str:
    """A server's words: one short line, without the key that it may repeat."""
    if address.token:
        text = text.replace(address.token, "***")
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return text if len(text) <= _DETAIL_CHARS else text[: _DETAIL_CHARS - 1] + "…"
