"""`--debug`: every request as it is sent and the head of every answer, without a secret.

The texts go to the logger `aivax.http`, at level DEBUG. Without a handler that wants them nothing is written
and nothing is done.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

LOGGER: Final = "aivax.http"

LONGEST_TEXT: Final = 4_000
"""Characters shown of a text in a body."""
LONGEST_BODY: Final = 100_000
MOST_ITEMS: Final = 64
"""Items shown of a list, such as the texts to embed."""

_HIDDEN: Final = "***"
_DATA_URL: Final = re.compile(r"data:[\w.+-]+/[\w.+-]+[^,\s]{0,80},")
_SECRET_NAME: Final = re.compile(
    r"auth|cookie|credential|key|passw|secret|session|sig(?:nature)?$|token(?!s)", re.IGNORECASE
)
_SHORTEST_SECRET: Final = 4
"""Shorter values are hidden in their own place alone: they may be part of any word."""
_STARTED: Final = "aivax.started"

Client = TypeVar("Client")


def is_logged() -> bool:
    """Whether anybody wants to read exchanges."""
    return logging.getLogger(LOGGER).isEnabledFor(logging.DEBUG)


def watched(client: Client) -> Client:
    """The httpx client, which logs its exchanges from now on if anybody wants to read them."""
    if not is_logged():
        return client
    ours: dict[str, Any] = {"request": _sent, "response": _answered}
    if hasattr(client, "aclose"):
        ours = {"request": _sent_async, "response": _answered_async}
    there = client.event_hooks  # type: ignore[attr-defined]
    client.event_hooks = {kind: [*there[kind], hook] for kind, hook in ours.items()}  # type: ignore[attr-defined]
    return client


class Masking(Struct, frozen=True):
    """Hides what a request holds of secrets, in its own texts and in what comes back."""

    secrets: tuple[str, ...]

    @classmethod
    def of(cls, url: str, headers: Iterable[tuple[str, str]]) -> Masking:
        """Finds them in the address (user, password, query) and in the headers."""
        parts = urlsplit(url)
        found = [unquote(part) for part in (parts.username, parts.password) if part]
        found += [value for name, value in parse_qsl(parts.query) if _SECRET_NAME.search(name)]
        for name, value in headers:
            if _SECRET_NAME.search(name):
                found += [value, *_credentials(value)]
        long = {each for each in found if len(each) >= _SHORTEST_SECRET}
        return cls(tuple(sorted(long, key=len, reverse=True)))

    def text(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, _HIDDEN)
        return text

    def url(self, url: str) -> str:
        """The address without user and password, and without the secret values of its query."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        user = f"{_HIDDEN}@" if "@" in parts.netloc else ""
        query = "&".join(map(_pair, parts.query.split("&"))) if parts.query else ""
        return self.text(parts._replace(netloc=user + host, query=query).geturl())

    def header(self, name: str, value: str) -> str:
        if not _SECRET_NAME.search(name):
            return self.text(value)
        scheme, space, _ = value.partition(" ")
        return f"{scheme} {_HIDDEN}" if space and scheme in ("Bearer", "Basic", "Digest") else _HIDDEN


def request_text(method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """A request, as lines: `> POST URL`, its headers, its body as indented JSON."""
    headers = list(headers)
    masking = Masking.of(url, headers)
    lines = [f"> {method} {masking.url(url)}"]
    lines += [f"> {name}: {masking.header(name, value)}" for name, value in headers]
    return "\n".join([*lines, *([masking.text(body_text(body))] if body else [])])


def answer_text(
    request: tuple[str, Iterable[tuple[str, str]]],
    status: str,
    headers: Iterable[tuple[str, str]],
    seconds: float | None,
) -> str:
    """The head of an answer to the request (address, headers): `< 200 OK in 0.41 s from URL`, its headers."""
    url, sent = request
    masking = Masking.of(url, sent)
    after = "" if seconds is None else f" in {seconds:.2f} s"
    lines = [f"< {status}{after} from {masking.url(url)}"]
    return "\n".join(lines + [f"< {name}: {masking.header(name, value)}" for name, value in headers])


def body_text(body: bytes) -> str:
    """A body to be read by a person: data URLs and long texts shortened, which is said where it is done."""
    text = body.decode("utf-8", "replace")
    try:
        text = json.dumps(_shortened(json.loads(text)), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        text = _short(text)
    return _short(text, LONGEST_BODY)


def _shortened(value: object) -> object:
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, Mapping):
        return {name: _shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        more = len(value) - MOST_ITEMS
        shown = [_shortened(each) for each in value[:MOST_ITEMS]]
        return [*shown, f"… {more:,} more items"] if more > 0 else shown
    return value


def _short(text: str, longest: int = LONGEST_TEXT) -> str:
    found = _DATA_URL.match(text)
    if found:
        return f"{found.group()}… ({len(text) - found.end():,} characters)"
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def _pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={_HIDDEN}" if equals and _SECRET_NAME.search(unquote(name)) else pair


def _credentials(value: str) -> Iterable[str]:
    """What a header's value consists of: the token after the scheme, and for Basic user and password."""
    scheme, _, token = value.partition(" ")
    if not token:
        return
    yield token.strip()
    if scheme.lower() == "basic":
        try:
            plain = base64.b64decode(token).decode()
        except (binascii.Error, ValueError):
            return
        yield plain
        yield from plain.split(":", 1)


def _sent(request: Any) -> None:
    request.extensions[_STARTED] = time.perf_counter()
    try:
        body = request.content
    except Exception:  # noqa: BLE001 - a body that is a stream has no content yet, whatever its library says
        body = b"(a stream)"
    _log(request_text(request.method, str(request.url), _pairs(request.headers), body))


def _answered(response: Any) -> None:
    request = response.request
    started = request.extensions.get(_STARTED)
    seconds = None if started is None else time.perf_counter() - started
    status = f"{response.status_code} {response.reason_phrase}".strip()
    about = (str(request.url), _pairs(request.headers))
    _log(answer_text(about, status, _pairs(response.headers), seconds))


async def _sent_async(request: Any) -> None:
    _sent(request)


async def _answered_async(response: Any) -> None:
    _answered(response)


def _pairs(headers: Any) -> list[tuple[str, str]]:
    return list(headers.multi_items())


def _log(text: str) -> None:
    logging.getLogger(LOGGER).debug("%s", text)
