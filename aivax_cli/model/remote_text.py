"""Instructions from elsewhere: fetched, kept, and asked for again when the copy has grown old.

A copy is one file in `.aivax/remote/`, put in place whole: two processes may fetch the same source, and the
later one wins. An old copy is confirmed by ETag or Last-Modified where the server has them (RFC 9110, 13.1).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import ModelError, RemoteTextError
from aivax_cli.gateway.fields import on_this_machine
from aivax_cli.model.outgoing import opened
from aivax_cli.model.posting import Patience, client_options

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 10 * 1024 * 1024
MOST_REDIRECTS = 5
PAUSE_S = 30.0
"""Seconds for which a source that failed is not asked again, where there is a copy."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TEXT_TYPES = frozenset(
    {
        "application/json",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/octet-stream",  # what file servers say of what they do not know; the bytes decide
    }
)


class RemoteSource(Struct, frozen=True):
    """A text elsewhere. `shown` names it in messages and holds no secret.

    A copy is used for `cache_s` seconds without asking; a fetch may take `timeout_s` seconds in all.
    """

    url: str
    shown: str
    cache_s: float
    timeout_s: float


class RemoteRead(Struct, frozen=True):
    """The texts of some sources in their order, and what a person should know of how they were had."""

    texts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def without_secrets(url: str) -> str:
    """An address as messages show it: without user, query and fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    except ValueError:
        return "an address that cannot be read"


class RemoteTexts:
    """The texts that gateways take from elsewhere, kept in a folder. For one event loop."""

    def __init__(
        self, folder: Path, *, offline: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._offline = offline
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._held: dict[str, _Copy] = {}
        self._failed: dict[str, tuple[float, str]] = {}

    async def read(self, sources: Sequence[RemoteSource]) -> RemoteRead:
        """The text of every source, asked for side by side.

        A source that fails gives its last good copy, and a warning. Raises RemoteTextError for one that has
        none.
        """
        found = await asyncio.gather(*(self._one(source) for source in sources), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        read = [each for each in found if isinstance(each, tuple)]
        return RemoteRead(tuple(text for text, _ in read), tuple(said for _, said in read if said))

    async def _one(self, source: RemoteSource) -> tuple[str, str]:
        """A source's text and the warning that goes with it, if any."""
        name = hashlib.sha256(source.url.encode("utf-8", "replace")).hexdigest()[:32]
        async with self._locks.setdefault(name, asyncio.Lock()):
            copy = await self._copy(name)
            if copy and (self._offline or 0 <= self._clock() - copy.checked < source.cache_s):
                return copy.text, ""
            if self._offline:
                raise RemoteTextError(
                    f"AIVAX_OFFLINE is set, and there is no copy of the instructions at {source.shown}",
                    fix="unset it, and ask once",
                )
            failed_at, warning = self._failed.get(name, (0.0, ""))
            if copy and warning and 0 <= self._clock() - failed_at < PAUSE_S:
                return copy.text, warning
            return await self._asked(source, name, copy)

    async def _asked(self, source: RemoteSource, name: str, copy: _Copy | None) -> tuple[str, str]:
        try:
            fetched = await _fetch(source, copy)
        except _Refused as error:
            if copy is None:
                message = f"the instructions at {source.shown} cannot be had: {error.reason}"
                raise RemoteTextError(message, fix=error.fix) from error
            kept = time.strftime("%Y-%m-%d %H:%M", time.localtime(copy.checked))
            warning = f"the instructions at {source.shown}: {error.reason}; using the copy of {kept}"
            self._failed[name] = (self._clock(), warning)
            return copy.text, warning
        self._failed.pop(name, None)
        fresh = replace(fetched, checked=self._clock())
        self._held[name] = fresh
        # A folder that cannot be written keeps nothing for other processes; this one has its text.
        with suppress(OSError):
            await asyncio.to_thread(_write, self._folder / f"{name}.json", fresh)
        return fresh.text, ""

    async def _copy(self, name: str) -> _Copy | None:
        """The newest copy, from the folder or from memory."""
        kept = await asyncio.to_thread(_read, self._folder / f"{name}.json")
        held = self._held.get(name)
        return max((copy for copy in (kept, held) if copy), key=lambda copy: copy.checked, default=None)


class _Copy(Struct, frozen=True):
    """A text as it was last confirmed, at `checked` seconds of the epoch."""

    text: str
    etag: str | None = None
    last_modified: str | None = None
    checked: float = 0.0

    @property
    def conditions(self) -> dict[str, str]:
        named = {"if-none-match": self.etag, "if-modified-since": self.last_modified}
        return {header: value for header, value in named.items() if value}


class _Refused(Exception):
    """A source gave no text; `reason` says why, and `fix` what to do when there is no copy."""

    def __init__(self, reason: str, fix: str = "check remote_instructions, and your network") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


async def _fetch(source: RemoteSource, copy: _Copy | None) -> _Copy:
    """The source's text now; the copy itself when the server says that it still holds."""
    import httpx

    url = source.url
    try:
        async with asyncio.timeout(source.timeout_s):
            for _ in range(MOST_REDIRECTS + 1):
                if problem := address_problem(url, asked=source.url):
                    raise _Refused(
                        problem, fix="write an https:// address; http:// is for this machine alone"
                    )
                answer = await _get(url, source, copy)
                if isinstance(answer, _Copy):
                    return answer
                url = urljoin(url, answer)
    except TimeoutError as error:
        raise _Refused(f"no whole answer within {source.timeout_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _Refused(_transport_words(error)) from error
    except ModelError as error:  # the proxy or the certificates that the environment names
        raise _Refused(error.message, fix=error.fix or "") from error
    raise _Refused(f"more than {MOST_REDIRECTS} redirects")


def address_problem(url: str, *, asked: str) -> str | None:
    """Why an address is not fetched, which `asked` or a redirect from there named; None when it may be.

    Only https, and http on this machine; nobody else's redirect leads into this machine. Raises ValueError
    for what is no address.
    """
    scheme = urlsplit(url).scheme.lower()
    here = on_this_machine(url)
    if url != asked and here and not on_this_machine(asked):
        return "it redirects to an address on this machine"
    if scheme == "https" or (scheme == "http" and here):
        return None
    if url != asked:
        return "it redirects to an address that is not https"
    return "its address is not https"


async def _get(url: str, source: RemoteSource, copy: _Copy | None) -> _Copy | str:
    """One request: the text, or where it has moved to."""
    import httpx

    headers = {"accept": "text/plain, text/markdown, text/*;q=0.8, */*;q=0.1", "accept-encoding": "identity"}
    options = client_options(url, Patience(connect_s=source.timeout_s, read_s=source.timeout_s))
    client = opened(lambda: httpx.AsyncClient(**options))
    async with client, client.stream("GET", url, headers=headers | _conditions(copy)) as response:
        if response.status_code in _REDIRECTS and "location" in response.headers:
            return str(response.headers["location"])
        if response.status_code == 304 and copy is not None:
            return copy
        if response.status_code != 200:
            raise _Refused(f"HTTP {response.status_code}", fix="check the address")
        text = _decoded(await _body(response), response.headers)
        return _Copy(text, response.headers.get("etag"), response.headers.get("last-modified"))


def _conditions(copy: _Copy | None) -> dict[str, str]:
    return copy.conditions if copy else {}


async def _body(response: httpx.Response) -> bytes:
    """The whole body; one that is too long is left at the limit."""
    too_long = _Refused(f"it is longer than {MAX_BYTES // 1024**2} MB", fix="name a shorter text")
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BYTES:
        raise too_long
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BYTES:
            raise too_long
    return bytes(body)


def _decoded(body: bytes, headers: Mapping[str, str]) -> str:
    """The text in the charset that the server names, UTF-8 when it names none."""
    told = Message()
    told["content-type"] = headers.get("content-type", "application/octet-stream")
    kind, charset = told.get_content_type(), told.get_content_charset("utf-8")
    if kind in ("text/html", "application/xhtml+xml") or _looks_html(body):
        raise _Refused("it is a web page (HTML), not a text", fix="name the address of the text itself")
    if not kind.startswith("text/") and kind not in _TEXT_TYPES:
        raise _Refused(f"it is {kind}, not a text", fix="name the address of a text")
    try:
        text = body.decode("utf-8-sig" if charset.lower() in ("utf-8", "utf8") else charset)
    except (UnicodeDecodeError, LookupError) as error:
        raise _Refused(f"it is no text in {charset[:40]}", fix="save it as UTF-8") from error
    if "\0" in text:
        raise _Refused("it is no text", fix="name the address of a text")
    if not text.strip():
        raise _Refused("it is empty", fix="name the address of a text")
    return text


def _looks_html(body: bytes) -> bool:
    start = body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html"))


def _transport_words(error: Exception) -> str:
    import socket
    import ssl

    import httpx

    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return "its TLS certificate cannot be verified"
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "its host name is unknown"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "connection refused"
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer"
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | ValueError):
        return "its address is none that can be called"
    return "the connection was lost"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _read(file: Path) -> _Copy | None:
    """The copy in a file; None when there is none, or it is not one of ours."""
    try:
        kept: Any = json.loads(file.read_text(encoding="utf-8"))
        return _Copy(
            text=str(kept["text"]),
            etag=kept["etag"],
            last_modified=kept["last_modified"],
            checked=float(kept["checked"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(file: Path, copy: _Copy) -> None:
    """Puts the copy in place whole. Raises OSError. The address is not in it: it may hold a secret."""
    kept = {name: getattr(copy, name) for name in ("checked", "etag", "last_modified", "text")}
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(kept, out, ensure_ascii=False)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
