"""A request on its way, and its answer as bytes: over httpx, or over what stands in its place in a server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol, cast

from msgspec import Struct

from aivax_cli.core.types import ModelCall
from aivax_cli.model.outgoing import opened

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    import httpx


class Timeouts(Struct, frozen=True):
    """Seconds to wait for a connection, and for the next byte of an answer."""

    connect_s: float = 10.0
    read_s: float = 120.0

    def of(self, call: ModelCall) -> Timeouts:
        """Those of a call, which may have its own."""
        if call.timeout_s is None:
            return self
        return Timeouts(min(self.connect_s, call.timeout_s), call.timeout_s)


class Answer(Protocol):
    """An answer whose head is there. Close it to end the request."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Looked up by names in lower case."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether all of the body has come and been read; False where nobody knows."""
        ...

    async def read(self) -> bytes:
        """The bytes that have come since, decompressed; waits for some; empty at the end.

        Raises httpx.RequestError.
        """
        ...

    async def aclose(self) -> None: ...


class Sender(Protocol):
    """A pool of connections."""

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, timeouts: Timeouts) -> Answer:
        """Posts a body and waits for the answer's head. Raises httpx.RequestError and httpx.InvalidURL."""
        ...

    async def aclose(self) -> None: ...


def faults() -> tuple[type[Exception], ...]:
    """What a sender and its answers raise. A run without any does not need httpx for it."""
    import httpx

    return httpx.RequestError, httpx.InvalidURL


def lost() -> type[Exception]:
    """Those of them that mean a connection which broke, or never was."""
    import httpx

    return httpx.TransportError


def httpx_sender(*, verify: bool | ssl.SSLContext = True, trust_env: bool = True) -> Sender:
    """httpx's own pool. `verify` is a context for https, or True for the usual certificates; `trust_env`:
    through the environment's proxies. Raises what `outgoing.opened` raises."""
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    return HttpxSender(opened(lambda: httpx.AsyncClient(verify=verify, trust_env=trust_env, limits=limits)))


class HttpxSender:
    """Implements `Sender` over a client of httpx."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, timeouts: Timeouts) -> Answer:
        """See `Sender.post`."""
        import httpx

        limits = httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s, pool=None)
        request = self.client.build_request(
            "POST", url, headers=dict(headers), content=content, timeout=limits
        )
        return HttpxAnswer(await self.client.send(request, stream=True))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self.client.aclose()


class HttpxAnswer:
    """Implements `Answer` over a streamed response of httpx."""

    at_end = False

    def __init__(self, response: httpx.Response) -> None:
        encoded = "content-encoding" in response.headers
        pieces = response.aiter_bytes() if encoded else response.aiter_raw()
        # Both are async generators, though httpx types them as iterators.
        self._pieces = cast("AsyncGenerator[bytes, None]", pieces)
        self._response = response
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        """See `Answer.read`."""
        async for piece in self._pieces:
            if piece:
                return piece
        return b""

    async def aclose(self) -> None:
        """See `Answer.aclose`."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._response.aclose)
            await self._pieces.aclose()
