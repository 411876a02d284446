"""Posting by aiohttp alone, for a process with many calls at once.

httpx's own pool slows down with every connection in it, and httpx takes as long to put a request together as
aiohttp to send it and to read the answer. httpx is loaded here for proxies, logs and errors alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from yarl import URL

from aivax_cli.model.exchange_log import is_logged
from aivax_cli.model.outgoing import names_proxies, opened, trusted, without_certificates
from aivax_cli.model.pacing import Beat, Pace
from aivax_cli.model.sending import Answer, HttpxAnswer, Sender, Timeouts

# aiohttp reads the system's certificates twice as it is loaded, 45 ms. Every connector here has its own.
with without_certificates():
    import aiohttp

if TYPE_CHECKING:
    import ssl

    import httpx

_READ_BYTES = 64 * 1024


def aiohttp_sender(*, verify: bool | ssl.SSLContext = True, trust_env: bool = True) -> Sender:
    """What `sending.httpx_sender` is, over aiohttp. Raises ModelError; see `outgoing.opened`."""
    if is_logged() or (trust_env and names_proxies()):
        from aivax_cli.model.aiohttp_transport import httpx_aiohttp_sender

        return httpx_aiohttp_sender(verify=verify, trust_env=trust_env)
    return AiohttpSender(opened(lambda: trusted(verify, trust_env=trust_env)))


class AiohttpSender:
    """Implements `Sender` over aiohttp, without a proxy. `context` is for https."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._beat = Beat()

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, timeouts: Timeouts) -> Answer:
        """See `Sender.post`."""
        if self._session is None:
            self._session = session(self._context)
        return await posted(self._session, self._beat, url, headers, content, timeouts)

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()


async def posted(
    within: aiohttp.ClientSession,
    beat: Beat,
    url: str,
    headers: Mapping[str, str],
    content: bytes,
    timeouts: Timeouts,
    **proxy: Any,
) -> Answer:
    """Posts a body; `proxy` is what `ClientSession.request` takes of that name. Raises as `Sender.post`."""
    try:
        response = await within.request(
            "POST",
            _yarl(url),
            headers=headers,
            data=content,
            allow_redirects=False,
            auto_decompress=False,
            timeout=_limits(timeouts),
            **proxy,
        )
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise named(error, url) from error
    if "content-encoding" not in response.headers:
        return _Answer(response, beat)
    from aivax_cli.model.aiohttp_transport import httpx_response

    return HttpxAnswer(httpx_response(response, url))


@lru_cache(maxsize=64)
def _yarl(text: str) -> URL:
    """Addresses are few, and parsing one takes its time."""
    return URL(text)


@lru_cache(maxsize=64)
def _limits(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(sock_connect=timeouts.connect_s, sock_read=timeouts.read_s)


class _Answer:
    """Implements `sending.Answer`."""

    def __init__(self, response: aiohttp.ClientResponse, beat: Beat) -> None:
        self._response = response
        self._beat = beat
        self._pace = Pace()
        self._time = asyncio.get_running_loop().time
        self._asked = 0.0
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def at_end(self) -> bool:
        """See `Answer.at_end`."""
        return self._response.content.at_eof()

    async def read(self) -> bytes:
        """See `Answer.read`."""
        content = self._response.content
        self._asked = self._time()
        if self._pace.quick and not content.is_eof():
            self._hold()
        try:
            piece = await content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise named(error, str(self._response.url), reading=True) from error
        self._pace.read(self._asked, self._time())
        return piece

    def _hold(self) -> None:
        """Leaves what comes until the next beat with the system, which reads it in one go."""
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        if transport is None or not transport.is_reading():
            return

        def go_on() -> None:
            self._asked = self._time()
            if not transport.is_closing():
                transport.resume_reading()

        transport.pause_reading()
        self._beat.at_next(go_on)

    async def aclose(self) -> None:
        """See `Answer.aclose`."""
        # Closes the connection of an answer that was not read to its end.
        self._response.release()


def session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    """A pool of any number of connections, which keeps no cookies. It belongs to the running loop."""
    connector = aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=15, socket_factory=_undelayed)
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=_READ_BYTES
    )


def _undelayed(address: Any) -> socket.socket:
    family, kind, proto, _, _ = address
    made = socket.socket(family=family, type=kind, proto=proto)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def named(error: Exception, request: str | httpx.Request, *, reading: bool = False) -> Exception:
    """The error of httpx that says what happened to a request, which may be named by its address."""
    import httpx

    if isinstance(request, str):
        request = httpx.Request("POST", request)
    cause = error.__cause__ if isinstance(error, httpx.TransportError) and error.__cause__ else error
    said = str(cause)
    match cause:
        case aiohttp.SocketTimeoutError():
            return httpx.ReadTimeout(said, request=request)
        case aiohttp.ConnectionTimeoutError() | aiohttp.ServerTimeoutError():
            kind = httpx.ReadTimeout if reading else httpx.ConnectTimeout
            return kind(said, request=request)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return httpx.ProxyError(said, request=request)
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(said, request=request)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx.UnsupportedProtocol(said, request=request)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError():
            return httpx.RemoteProtocolError(said, request=request)
        case aiohttp.ClientResponseError():
            return httpx.LocalProtocolError(said, request=request)
        case TimeoutError():
            return httpx.ReadTimeout(said, request=request)
    return httpx.ReadError(said, request=request)
