"""httpx over aiohttp's connections, for what httpx alone can do: proxies by address, logs, decompression."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport, HttpxAiohttpClient

from aivax_cli.model.aiohttp_sending import named, posted, session
from aivax_cli.model.outgoing import opened, trusted
from aivax_cli.model.pacing import Beat
from aivax_cli.model.sending import Answer, HttpxSender, Sender, Timeouts


def aiohttp_client(**settings: Any) -> httpx.AsyncClient:
    """What `httpx.AsyncClient(**settings)` would be, proxies of the environment included."""
    return _Client(**settings)


def httpx_aiohttp_sender(**settings: Any) -> Sender:
    """What `aiohttp_sending.aiohttp_sender` is where there is a proxy or a log. Raises ModelError."""
    return _HttpxAiohttpSender(opened(lambda: _Client(**settings)))


def httpx_response(response: aiohttp.ClientResponse, url: str) -> httpx.Response:
    """The answer to a post, decompressed as it is read."""
    request = httpx.Request("POST", url)
    stream = _Stream(response, request)
    return httpx.Response(response.status, headers=response.raw_headers, stream=stream, request=request)


class _HttpxAiohttpSender(HttpxSender):
    """Posts by aiohttp through the connections, proxies and certificates of a client of httpx.

    httpx itself sends what is to be logged, whose log hangs on it.
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


def _ssl_context(verify: Any = True, trust_env: bool = True, **_: Any) -> ssl.SSLContext:
    return trusted(verify, trust_env=trust_env)


class _Transport(AiohttpTransport):
    """The package's transport with errors named for what they are, and with no limit of its own.

    The original calls every lost or refused connection a ConnectTimeout, lets errors of aiohttp's parser
    through, takes `max_connections=None` for 100, and keeps cookies.
    """

    def __init__(self, context: ssl.SSLContext, proxy: httpx.Proxy | None = None) -> None:
        super().__init__(verify=context, proxy=proxy, client=lambda: session(context))
        self._beat = Beat()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError, ValueError) as error:
            raise named(error, request) from error
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Stream(response.stream._aiohttp_response, request)  # type: ignore[attr-defined]
        return response

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, timeouts: Timeouts) -> Answer:
        """What `handle_async_request` does, without httpx's own request and response."""
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        proxy = self.proxy
        return await posted(
            self.client,
            self._beat,
            url,
            headers,
            content,
            timeouts,
            proxy=str(proxy.url) if proxy else None,
            proxy_auth=aiohttp.BasicAuth(*proxy.auth) if proxy and proxy.auth else None,
            proxy_headers=proxy.headers if proxy else None,
        )


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
            raise named(error, self._request, reading=True) from error

    async def aclose(self) -> None:
        # Closes the connection of an answer that was not read to its end.
        self._response.release()
