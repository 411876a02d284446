"""What went wrong on the way to an endpoint, as one line with its fix. Holds no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from aivax_cli.core.errors import ModelError
from aivax_cli.core.types import ModelTarget
from aivax_cli.model.keys import key_source
from aivax_cli.model.outgoing import proxy_for
from aivax_cli.model.retry import TransientModelError, is_transient, retry_after_s
from aivax_cli.model.wire import WireError, decode, error_in

_LONGEST_DETAIL = 300
# Compiled at their first use: most runs do without them.
_KEY_LIKE = (
    r"(?i:\bbearer\s+\S+)"
    r"|\b(?:sk|rk|pk|gsk|oky|xai|hf|nvapi|key|AIza)[-_]?[\w.*…-]*[\d*…][\w.*…-]*"
    r"|\b(?=\w*\d)(?=\w*[A-Za-z])\w{28,}"
)
_CONTEXT = r"(?i)context.{0,30}(?:size|length|window|limit)"
_IMAGES = r"(?i)image|vision|multi-?modal|mmproj|content\W.{0,60}(?:string|text|str\b)"
_TITLE = r"(?is)<title[^>]*>(.*?)</title>"
_OTHER_PATHS = ("/embeddings", "/rerank")
_PROXY_FIX = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, and the user name and password in them"
_CONTEXT_FIX = "shorten the conversation, or lower knowledge.top or knowledge.max_tokens"


class Place(Struct, frozen=True):
    """Who was asked, for messages. `url` has no user name, password or query."""

    who: str
    url: str
    model: str
    key_source: str | None
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Place({self.who!r}, {self.url!r})"

    @classmethod
    def of(cls, target: ModelTarget, url: str, key: str | None) -> Place:
        """Raises ModelError when the address cannot be one."""
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            port = f":{parts.port}" if parts.port else ""
        except ValueError as error:
            raise ModelError(
                f"the base_url of {target.label} is no address that can be called", fix=_base_url_fix(url)
            ) from error
        secrets = tuple(secret for secret in (key, parts.password) if secret)
        return cls(
            who="the local model" if target.provider == "local" else target.provider or host,
            url=f"{parts.scheme}://{host}{port}{parts.path}",
            model=target.name,
            key_source=key_source(target),
            secrets=secrets,
        )

    def said(self, text: str) -> str:
        """An endpoint's own words: one line, bounded, with everything that looks like a key masked."""
        line = " ".join(text[: 20 * _LONGEST_DETAIL].split())
        for secret in self.secrets:
            line = line.replace(secret, "***")
        line = "".join(
            letter if letter.isprintable() else "\ufffd" for letter in re.sub(_KEY_LIKE, "***", line)
        )
        return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"


def status_error(status: int, headers: Mapping[str, str], body: str, place: Place) -> ModelError:
    """The error for an HTTP status of 300 or more; transient ones carry the wait that was asked for."""
    found, detail = _explained(body, place)
    message, fix = _status_words(status, headers, place, detail)
    if is_transient(status, headers, found.code if found else ""):
        return TransientModelError(message, fix=fix, status=status, retry_after_s=retry_after_s(headers))
    return ModelError(message, fix=fix, status=status)


def images_refused(status: int, body: str, place: Place) -> ModelError | None:
    """The error for a request with images, when it is about those; None when it is about something else."""
    if status not in (400, 404, 415, 422, 500, 501) or not re.search(_IMAGES, body):
        return None
    detail = _explained(body, place)[1]
    said = f": {detail}" if detail else ""
    return ModelError(
        f"{place.who} refuses the images for the model '{place.model}' (HTTP {status}){said}",
        fix="choose a model that takes images, or leave them out",
        status=status,
    )


def payload_error(found: WireError, place: Place) -> ModelError:
    """The error for an error object inside a 200 answer."""
    detail = place.said(found.message) or "no reason given"
    message = f"{place.who} reports an error: {detail}"
    if found.status is not None and is_transient(found.status, {}, found.code):
        return TransientModelError(message, status=found.status)
    return ModelError(message, status=found.status)


def transport_error(error: Exception, place: Place, *, connect_s: float, read_s: float) -> ModelError:
    """The error for what httpx raised before the answer began; the environment knows the proxies."""
    import httpx

    proxy = proxy_for(place.url)
    if isinstance(error, httpx.ProxyError):
        return _proxy_error(f"refused: {place.said(str(error))}", place, proxy)
    if proxy and isinstance(error, httpx.ConnectTimeout | httpx.ConnectError) and not _about_tls(error):
        return _proxy_error("cannot be reached", place, proxy)
    if isinstance(error, httpx.ConnectTimeout):
        return TransientModelError(
            f"cannot reach {place.url}: no connection within {connect_s:g} s",
            fix="check the address, your network and HTTPS_PROXY",
        )
    if isinstance(error, httpx.ReadTimeout):
        return TransientModelError(
            f"{place.who} at {place.url} sent nothing for {read_s:g} s",
            fix="try again, raise timeout_s, or use a smaller model",
        )
    if isinstance(error, httpx.ConnectError):
        return _connect_error(error, place)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return ModelError(f"{place.url} is no address that can be called", fix=_base_url_fix(place.url))
    if isinstance(error, httpx.DecodingError | httpx.LocalProtocolError):
        return ModelError(f"{place.who} at {place.url} does not speak proper HTTP: {place.said(str(error))}")
    return TransientModelError(f"{place.who} at {place.url} closed the connection without an answer")


def broken_stream(error: Exception, *, read_s: float) -> str:
    """Why an answer that had begun is incomplete."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return f"the endpoint sent nothing for {read_s:g} s"
    return "the connection was lost in the middle of the answer"


def not_an_answer(kind: str, body: str, place: Place) -> ModelError:
    """The error for a 200 with something that is no chat completion; `kind` says what it is."""
    title = re.search(_TITLE, body[:20_000])
    shown = f" ('{place.said(title.group(1))}')" if title else ""
    return ModelError(
        f"{place.url} answered with {kind}{shown}, not with a chat completion", fix=_base_url_fix(place.url)
    )


def _explained(body: str, place: Place) -> tuple[WireError | None, str]:
    """The error object in a body, if there is one, and what to show of the body."""
    try:
        found = error_in(decode(body))
    except ValueError:
        found = None
    if found is not None:
        return found, place.said(found.message)
    title = re.search(_TITLE, body)
    if title:
        return None, place.said(title.group(1))
    return None, "" if "<" in body[:20] else place.said(body)


def _proxy_error(said: str, place: Place, proxy: str | None) -> ModelError:
    named = f"the proxy {proxy}" if proxy else "the proxy"
    return TransientModelError(f"{named} on the way to {place.url} {said}", fix=_PROXY_FIX)


def _status_words(
    status: int, headers: Mapping[str, str], place: Place, detail: str
) -> tuple[str, str | None]:
    said = f": {detail}" if detail else ""
    if status in (401, 403):
        return _key_words(status, place, said)
    if status == 407:
        return f"the proxy on the way to {place.url} refuses (HTTP 407){said}", _PROXY_FIX
    if status == 404:
        return (
            f"{place.who} does not know the model '{place.model}' or the path {place.url} (HTTP 404){said}",
            f"check the model's name; {_base_url_fix(place.url)}",
        )
    if status < 400:
        target = headers.get("location", "")
        fix = (
            f"put the new address into base_url: {place.said(target)}" if target else _base_url_fix(place.url)
        )
        return f"{place.url} redirects elsewhere (HTTP {status}), and a key is not sent after it", fix
    if status == 429:
        wait = retry_after_s(headers)
        asked = f"wait {wait:.0f} s and try again" if wait else "wait, or ask for a higher limit"
        return f"{place.who} refuses more requests for now (HTTP 429){said}", asked
    if status >= 500:
        return f"{place.who} failed (HTTP {status}){said}", None
    if status == 402:
        return f"{place.who} wants to be paid first (HTTP 402){said}", "add credit to the account"
    too_long = re.search(_CONTEXT, detail) is not None
    return f"{place.who} refused the request (HTTP {status}){said}", _CONTEXT_FIX if too_long else None


def _base_url_fix(url: str) -> str:
    path = next((path for path in _OTHER_PATHS if url.endswith(path)), "/chat/completions")
    return f"check base_url: it is the part before {path} and usually ends in /v1"


def _key_words(status: int, place: Place, said: str) -> tuple[str, str]:
    if place.key_source is None:
        return (
            f"{place.who} wants an API key and the model '{place.model}' has none (HTTP {status}){said}",
            "name the environment variable that holds it: api_key_env",
        )
    return (
        f"{place.who} refused the API key of {place.key_source} (HTTP {status}){said}",
        f"check that {place.key_source} holds a valid key for {place.who} and may use '{place.model}'",
    )


def _connect_error(error: Exception, place: Place) -> ModelError:
    import socket
    import ssl

    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return ModelError(
            f"the TLS certificate of {place.url} cannot be verified",
            fix="if it is signed by your own authority, name its file in SSL_CERT_FILE",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return ModelError(
            f"no TLS connection to {place.url}", fix="does the server speak https, or plain http?"
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return TransientModelError(
            f"cannot reach {place.url}: its host name is unknown", fix="check base_url and your network"
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return TransientModelError(
            f"cannot reach {place.url}: connection refused", fix="is the server running, and on that port?"
        )
    return TransientModelError(f"cannot reach {place.url}", fix="check the address and your network")


def _about_tls(error: Exception) -> bool:
    """Whether a connection was there, and it was the endpoint's certificate or its TLS that failed."""
    import ssl

    return any(isinstance(cause, ssl.SSLError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it was raised from, groups included."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting.extend(cause for cause in (current.__cause__, current.__context__) if cause is not None)
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(current.exceptions)
