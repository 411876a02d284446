"""httpx over aiohttp's connections, for a process with many calls at once: httpx's own pool slows down with
every connection in it, aiohttp's does not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any

import httpx
from yarl import URL

from aivax_cli.model.outgoing import opened, without_certificates
from aivax_cli.model.pacing import Beat, Pace
from aivax_cli.model.sending import Answer, HttpxAnswer, HttpxSender, Timeouts

# aiohttp reads the system's certificates twice as it is loaded, 45 ms. Every connector here has its own.
with without_certificates():
    import aiohttp
    from httpx_aiohttp import AiohttpTransport, HttpxAiohttpClient

_READ_BYTES = 64 * 1024


def aiohttp_client(**settings: Any) -> httpx.AsyncClient:
    """What `httpx.AsyncClient(**settings)` would be, proxies of the environment included."""
    return _Client(**settings)


def aiohttp_sender(**settings: Any) -> AiohttpSender:
    """What `sending.httpx_sender` is, over aiohttp. Raises ModelError; see `outgoing.opened`."""
    return AiohttpSender(opened(lambda: _Client(**settings)))


class AiohttpSender(HttpxSender):
    """Posts by aiohttp alone, through the connections, proxies and certificates of a client of httpx.

    httpx takes as long to put a request together as aiohttp to send it and to read the answer. It sends what
    is to be logged, whose log hangs on it.
    """

    client: _Client

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, timeouts: Timeouts) -> Answer:
        """See `Sender.post`."""
        if any(self.client.event_hooks.values()):
            return await super().post(url, headers, content, timeouts)
        return await self.client.transport(url).post(url, headers, content, timeouts)


class _Client(HttpxAiohttpClient):
    def transport(self, url: str) -> _Transport:
        """Who sends to an address: some may be behind a proxy."""
        found = self._transport_for_url(_url(url))
        if not isinstance(found, _Transport):
            raise TypeError(f"a transport of another kind: {type(found).__name__}")
        return found

    def _init_transport(self, *_: Any, **settings: Any) -> httpx.AsyncBaseTransport:
        return _Transport(_ssl_context(**settings))

    def _init_proxy_transport(self, proxy: httpx.Proxy, *_: Any, **settings: Any) -> httpx.AsyncBaseTransport:
        return _Transport(_ssl_context(**settings), proxy)


@lru_cache(maxsize=64)
def _url(text: str) -> httpx.URL:
    """Addresses are few, and parsing one takes its time."""
    return httpx.URL(text)


@lru_cache(maxsize=64)
def _yarl(text: str) -> URL:
    return URL(text)


@lru_cache(maxsize=64)
def _limits(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(sock_connect=timeouts.connect_s, sock_read=timeouts.read_s)


def _ssl_context(verify: Any = True, trust_env: bool = True, **_: Any) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    return httpx.create_ssl_context(verify=verify, trust_env=trust_env)


class _Transport(AiohttpTransport):
    """The package's transport with errors named for what they are, and with no limit of its own.

    The original calls every lost or refused connection a ConnectTimeout, lets errors of aiohttp's parser
    through, takes `max_connections=None` for 100, and keeps cookies.
    """

    def __init__(self, context: ssl.SSLContext, proxy: httpx.Proxy | None = None) -> None:
        super().__init__(verify=context, proxy=proxy, client=lambda: _session(context))
        self._beat = Beat()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError, ValueError) as error:
            raise _named(error, request) from error
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Stream(response.stream._aiohttp_response, request)  # type: ignore[attr-defined]
        return response

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, timeouts: Timeouts) -> Answer:
        """What `handle_async_request` does, without httpx's own request and response."""
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        proxy = self.proxy
        try:
            response = await self.client.request(
                "POST",
                _yarl(url),
                headers=headers,
                data=content,
                allow_redirects=False,
                auto_decompress=False,
                timeout=_limits(timeouts),
                proxy=str(proxy.url) if proxy else None,
                proxy_auth=aiohttp.BasicAuth(*proxy.auth) if proxy and proxy.auth else None,
                proxy_headers=proxy.headers if proxy else None,
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _named(error, httpx.Request("POST", url)) from error
        if "content-encoding" not in response.headers:
            return _Answer(response, self._beat)
        request = httpx.Request("POST", url)
        stream = _Stream(response, request)
        return HttpxAnswer(
            httpx.Response(response.status, headers=response.raw_headers, stream=stream, request=request)
        )


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
            raise _named(error, httpx.Request("POST", str(self._response.url)), reading=True) from error
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


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            # Whatever has come, at once: a piece of an answer is not kept waiting for the next.
            async for piece in self._response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _named(error, self._request, reading=True) from error

    async def aclose(self) -> None:
        # Closes the connection of an answer that was not read to its end.
        self._response.release()


def _session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=15, socket_factory=_undelayed)
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=_READ_BYTES
    )


def _undelayed(address: Any) -> socket.socket:
    family, kind, proto, _, _ = address
    made = socket.socket(family=family, type=kind, proto=proto)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _named(error: Exception, request: httpx.Request, *, reading: bool = False) -> Exception:
    """The error of httpx that says what happened."""
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
