"""One JSON object posted, one JSON object back: for endpoints beside chat completions.

Errors are worded and retried as those of chat completions are.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from aivax_cli.core.errors import ModelError
from aivax_cli.core.types import ModelTarget
from aivax_cli.model import failures, wire
from aivax_cli.model.outgoing import is_loopback
from aivax_cli.model.retry import RetryPolicy, TransientModelError

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 64 * 1024 * 1024
"""The most that an answer may have: 256 vectors of 8,192 components take about 40 MB as text."""


class Patience(Struct, frozen=True):
    """Seconds to wait for a connection and for the next byte, and how often to try again."""

    connect_s: float = 10.0
    read_s: float = 120.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)


class Post(Struct, frozen=True):
    """A request. `path` is below the target's `base_url`; `wanted` names the answer for messages."""

    target: ModelTarget
    path: str
    body: Mapping[str, object]
    wanted: str

    @property
    def url(self) -> str:
        """The whole address. Raises ModelError for the embedded engine, which serves chat models alone."""
        if self.target.provider == "local":
            raise ModelError(f"the embedded engine serves no {self.wanted}", fix="name another provider")
        return f"{self.target.base_url.rstrip('/')}/{self.path}"

    def send(self, client: httpx.Client, key: str | None, patience: Patience) -> dict[str, Any]:
        """Posts it, again after failures that may pass, and gives the answer. Blocks. Raises ModelError."""
        attempts = _Attempts(self, key, patience)
        while True:
            body = bytearray()
            try:
                with client.stream(**attempts.request) as response:
                    for piece in response.iter_bytes():
                        self._add(body, piece, attempts.place)
                return self._read(response, body, attempts.place)
            except attempts.faults as error:
                wait_s = attempts.wait_s(error)
            time.sleep(wait_s)

    async def send_async(
        self, client: httpx.AsyncClient, key: str | None, patience: Patience
    ) -> dict[str, Any]:
        """The same without blocking; cancelling ends the request."""
        attempts = _Attempts(self, key, patience)
        while True:
            body = bytearray()
            try:
                async with client.stream(**attempts.request) as response:
                    async for piece in response.aiter_bytes():
                        self._add(body, piece, attempts.place)
                return self._read(response, body, attempts.place)
            except attempts.faults as error:
                wait_s = attempts.wait_s(error)
            await asyncio.sleep(wait_s)

    def _add(self, body: bytearray, piece: bytes, place: failures.Place) -> None:
        """Raises ModelError as soon as there is too much, so that nobody fills the memory."""
        body += piece
        if len(body) > MAX_BYTES:
            raise ModelError(f"{place.who} sent more than {MAX_BYTES // 1024**2} MiB for {self.wanted}")

    def _read(self, response: httpx.Response, body: bytearray, place: failures.Place) -> dict[str, Any]:
        text = body.decode("utf-8", "replace")
        if not 200 <= response.status_code < 300:
            raise failures.status_error(response.status_code, response.headers, text, place)
        if text.lstrip()[:1] == "<":
            raise self.misread("a web page (HTML)", place)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TransientModelError(f"{place.url} answered with broken JSON") from error
        found = wire.error_in(answer)
        if found is not None:
            raise failures.payload_error(found, place)
        if not isinstance(answer, dict):
            raise self.misread("JSON that is no object", place)
        return answer

    def misread(self, kind: str, place: failures.Place | None = None) -> ModelError:
        """The error for an answer of status 200 that is not what was asked for."""
        where = place or failures.Place.of(self.target, self.url, None)
        return ModelError(
            f"{where.url} answered with {kind}, not with {self.wanted}",
            fix=f"check base_url: it is the part before /{self.path}, and that the model is one for it",
        )


class _Attempts:
    """A request that may be sent several times, and how often it has failed."""

    def __init__(self, post: Post, key: str | None, patience: Patience) -> None:
        import httpx

        self.place = failures.Place.of(post.target, post.url, key)
        self.request: dict[str, Any] = {
            "method": "POST",
            "url": post.url,
            "content": wire.encode(post.body),
            "headers": _headers(key),
        }
        self.faults = (ModelError, httpx.RequestError, httpx.InvalidURL)
        self._patience = patience
        self._failed = 0

    def wait_s(self, error: Exception) -> float:
        """Seconds until it is sent again. Raises ModelError when it is not."""
        self._failed += 1
        limits = self._patience
        told = error
        if not isinstance(told, ModelError):
            told = failures.transport_error(
                error, self.place, connect_s=limits.connect_s, read_s=limits.read_s
            )
            told.__cause__ = error
        wait_s = limits.retry.wait_s(told, self._failed)
        if wait_s is None:
            raise told
        return wait_s


def client_options(base_url: str, patience: Patience) -> dict[str, Any]:
    """What an httpx client for an address is made with."""
    import ssl

    import httpx

    secure = not base_url.lower().startswith("http://")
    # Plain http needs no certificates, which take 35 ms to load.
    return {
        "verify": True if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        "timeout": httpx.Timeout(patience.read_s, connect=patience.connect_s, pool=None),
        "trust_env": not is_loopback(base_url),
        "follow_redirects": False,
    }


def _headers(key: str | None) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return headers
