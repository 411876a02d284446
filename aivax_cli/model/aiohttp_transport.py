"""httpx over aiohttp's connections, for a process with many calls at once: httpx's own pool slows down with
every connection in it, aiohttp's does not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport, HttpxAiohttpClient

_READ_BYTES = 64 * 1024


def aiohttp_client(**settings: Any) -> httpx.AsyncClient:
    """What `httpx.AsyncClient(**settings)` would be, proxies of the environment included."""
    return _Client(**settings)


class _Client(HttpxAiohttpClient):
    """Streamed requests go straight to the transport: there are no cookies, redirects or authentication
    schemes between this server and a model, and looking for them takes as long as the call itself."""

    def build_request(self, method: str, url: Any, **given: Any) -> httpx.Request:
        if given.keys() - {"headers", "content"} or self.base_url.host:
            return super().build_request(method, url, **given)
        return httpx.Request(method, _url(str(url)), extensions={"timeout": self.timeout.as_dict()}, **given)

    async def send(self, request: httpx.Request, *, stream: bool = False, **given: Any) -> httpx.Response:
        if given or not stream or any(self.event_hooks.values()):
            return await super().send(request, stream=stream, **given)
        response = await self._transport_for_url(request.url).handle_async_request(request)
        response.request = request
        return response

    def _init_transport(self, *_: Any, **settings: Any) -> httpx.AsyncBaseTransport:
        return _Transport(_ssl_context(**settings))

    def _init_proxy_transport(self, proxy: httpx.Proxy, *_: Any, **settings: Any) -> httpx.AsyncBaseTransport:
        return _Transport(_ssl_context(**settings), proxy)


@lru_cache(maxsize=64)
def _url(text: str) -> httpx.URL:
    """Addresses are few, and parsing one takes its time."""
    return httpx.URL(text)


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

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError, ValueError) as error:
            raise _named(error, request) from error
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Stream(response.stream, request)
        return response


class _Stream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, request: httpx.Request) -> None:
        self._response: aiohttp.ClientResponse = inner._aiohttp_response  # type: ignore[attr-defined]
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
