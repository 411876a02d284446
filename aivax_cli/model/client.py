"""Calls models over HTTP: any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from aivax_cli.core.errors import ModelError
from aivax_cli.core.types import ModelCall, ModelEnd, ModelItem, ModelRetry, ModelTarget, ModelText
from aivax_cli.model import failures, wire
from aivax_cli.model.adapting import adaptations, simpler
from aivax_cli.model.keys import Keys
from aivax_cli.model.outgoing import is_loopback, opened
from aivax_cli.model.reading import Body, read_answer
from aivax_cli.model.retry import RetryPolicy

if TYPE_CHECKING:
    import httpx

_MAX_ERROR_BYTES = 64 * 1024
_DRAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and the key for it; the key is kept out of every representation."""

    base_url: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"


class LocalModels(Protocol):
    """Runs models on this machine."""

    async def endpoint(self, name: str) -> Endpoint:
        """Where the model `@local/name` answers; starts it if it does not run. Raises AivaxError."""
        ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, and for the next byte of an answer."""

    connect_s: float = 10.0
    read_s: float = 120.0

    def of(self, call: ModelCall) -> Timeouts:
        """Those of a call, which may have its own."""
        if call.timeout_s is None:
            return self
        return Timeouts(min(self.connect_s, call.timeout_s), call.timeout_s)


class HttpChatModel:
    """Calls chat-completions endpoints over one pool of connections.

    Implements `core.ports.ChatModel`. Models of the provider `local` are looked up in `local`. Keys are read
    from `environ` when a call needs them. Close it (`aclose` or `async with`) in the loop that used it; used
    in another loop it opens a new pool. `client` makes the pools, with the settings of `httpx.AsyncClient`;
    without it they are httpx's own.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        local: LocalModels | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        client: Callable[..., httpx.AsyncClient] | None = None,
    ) -> None:
        self._environ = environ
        self._local = local
        self._client = client
        self._retry = retry or RetryPolicy()
        self._timeouts = timeouts or Timeouts()
        self._dialects: dict[tuple[str, str], wire.Dialect] = {}
        self._keys = Keys(environ)
        self._clients: dict[tuple[bool, bool], httpx.AsyncClient] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections. The model can be used again afterwards."""
        clients, self._clients = self._clients, {}
        if self._loop is asyncio.get_running_loop():
            for client in clients.values():
                await client.aclose()

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        """See `core.ports.ChatModel.stream`."""
        exchange: _Exchange | None = None
        async with aclosing(self._attempts(call)) as attempts:
            async for item in attempts:
                if isinstance(item, _Exchange):
                    exchange = item
                else:
                    yield item
        if exchange is None:
            return
        async with exchange, aclosing(exchange.items()) as items:
            for adapted in adaptations(call, exchange.dialect):
                yield adapted
            async for text_or_end in items:
                yield text_or_end

    async def _attempts(self, call: ModelCall) -> AsyncGenerator[ModelRetry | _Exchange, None]:
        """Retries, each before its wait, then the exchange whose first text is there."""
        policy = self._retry.impatient() if call.impatient else self._retry
        for number in itertools.count(1):
            began = time.monotonic()
            try:
                exchange = await self._begin(call)
            except ModelError as error:
                wait_s = policy.wait_s(error, number, took_s=time.monotonic() - began)
                if wait_s is None:
                    raise
                yield ModelRetry(number, error.message, wait_s)
                await asyncio.sleep(wait_s)
            else:
                yield exchange
                return

    async def _begin(self, call: ModelCall) -> _Exchange:
        """Sends the request and reads until the first text, or to the end if there is none."""
        call, key = await self._reachable(call)
        place = failures.Place.of(call.target, _url(call.target), key)
        exchange = _Exchange(call, place, self._timeouts.of(call))
        try:
            await self._send(exchange, key)
            await exchange.read_first()
        except BaseException:
            await exchange.aclose()
            raise
        return exchange

    async def _reachable(self, call: ModelCall) -> tuple[ModelCall, str | None]:
        target = call.target
        if target.provider != "local":
            return call, await self._key(target)
        if self._local is None:
            raise ModelError("this workspace runs no local models", fix='pip install "aivax[local]"')
        endpoint = await self._local.endpoint(target.name)
        return replace(call, target=replace(target, base_url=endpoint.base_url)), endpoint.key

    async def _key(self, target: ModelTarget) -> str | None:
        if not target.api_key_command:
            return self._keys.key(target)
        return await asyncio.to_thread(self._keys.key, target)

    async def _send(self, exchange: _Exchange, key: str | None) -> None:
        """Opens the response; a request that the endpoint does not understand is put in simpler words."""
        target = exchange.call.target
        while True:
            dialect = self._dialects.get((target.base_url, target.name), wire.OPENAI)
            refused = await exchange.open(self._http(target.base_url), dialect, key)
            if refused is None:
                return
            status, headers, body = refused
            other = simpler(dialect, exchange.call, status, body)
            if other is None:
                if status == 401:
                    self._keys.forget(target)
                if any(message.images for message in exchange.call.messages):
                    about_images = failures.images_refused(status, body, exchange.place)
                    if about_images is not None:
                        raise about_images
                raise failures.status_error(status, headers, body, exchange.place)
            self._dialects[target.base_url, target.name] = other

    def _http(self, base_url: str) -> httpx.AsyncClient:
        """The pool for addresses of a kind: plain http needs no certificates, which take 35 ms to load."""
        import ssl

        import httpx

        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._clients, self._loop = {}, loop
        kind = (not base_url.lower().startswith("http://"), is_loopback(base_url))
        client = self._clients.get(kind)
        if client is None:
            secure, loopback = kind
            settings: dict[str, Any] = {
                "verify": True if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                "timeout": httpx.Timeout(self._timeouts.read_s, connect=self._timeouts.connect_s, pool=None),
                "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20),
                "trust_env": not loopback,
                "follow_redirects": False,
            }
            make = self._client or httpx.AsyncClient
            client = self._clients[kind] = opened(lambda: make(**settings))
        return client


class _Exchange:
    """One request and its answer, begun: the first text has been read. Close it to end the request."""

    def __init__(self, call: ModelCall, place: failures.Place, timeouts: Timeouts) -> None:
        self.call = call
        self.place = place
        self.dialect = wire.OPENAI
        self._timeouts = timeouts
        self._answer = wire.AnswerParts(call.target.name)
        self._stack = AsyncExitStack()
        self._body: Body | None = None
        self._pieces: AsyncGenerator[str, None] | None = None
        self._first: str | None = None
        self._end: ModelEnd | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the request, whether it was read to its end or not."""
        await self._stack.aclose()

    async def open(
        self, client: httpx.AsyncClient, dialect: wire.Dialect, key: str | None
    ) -> tuple[int, Mapping[str, str], str] | None:
        """Sends the request. None when it was accepted, else status, headers and the start of the body."""
        import httpx

        headers = {"content-type": "application/json", "accept": "text/event-stream, application/json"}
        headers["accept-encoding"] = "identity"  # compressed streams arrive in lumps
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self.dialect = dialect
        content = wire.encode(wire.request_body(self.call, dialect))
        try:
            limits = httpx.Timeout(self._timeouts.read_s, connect=self._timeouts.connect_s, pool=None)
            url = _url(self.call.target)
            request = client.build_request("POST", url, headers=headers, content=content, timeout=limits)
            response = await client.send(request, stream=True)
            self._stack.push_async_callback(response.aclose)
            if 200 <= response.status_code < 300:
                self._body = Body(response)
                self._stack.push_async_callback(self._body.aclose)
                return None
            body = await _start_of(response)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise self._transport_error(error) from error
        await self._stack.aclose()
        return response.status_code, response.headers, body

    async def read_first(self) -> None:
        """Reads to the first text. Raises ModelError when the answer fails before there is any."""
        if self._body is None:
            return
        self._pieces = read_answer(self._body, self._answer, self.place)
        self._stack.push_async_callback(self._pieces.aclose)
        await self._advance()

    async def items(self) -> AsyncGenerator[ModelText | ModelEnd, None]:
        """The text that has been read, what follows it, and the end."""
        while self._end is None:
            if self._first:
                yield ModelText(self._first)
            await self._advance()
        yield self._end
        if self._end.broken is None and self._body is not None:
            await self._body.drain(_DRAIN_S)

    async def _advance(self) -> None:
        """Sets the next piece of text, or the end."""
        import httpx

        if self._pieces is None:
            return
        begun = self._answer.begun
        try:
            self._first = await anext(self._pieces)
        except StopAsyncIteration:
            self._end = self._answer.end()
        except ModelError as error:
            if not begun and not self._answer.begun:
                raise
            self._end = self._answer.end(broken=error.message)
        except httpx.RequestError as error:
            if not begun and not self._answer.begun:
                raise self._transport_error(error) from error
            reason = failures.broken_stream(error, read_s=self._timeouts.read_s)
            self._end = self._answer.end(broken=reason)

    def _transport_error(self, error: Exception) -> ModelError:
        return failures.transport_error(
            error, self.place, connect_s=self._timeouts.connect_s, read_s=self._timeouts.read_s
        )


def _url(target: ModelTarget) -> str:
    return target.base_url.rstrip("/") + "/chat/completions"


async def _start_of(response: httpx.Response) -> str:
    """The first kilobytes of an error's body."""
    collected = bytearray()
    async for piece in response.aiter_bytes():
        collected += piece
        if len(collected) > _MAX_ERROR_BYTES:
            break
    return collected[:_MAX_ERROR_BYTES].decode("utf-8", "replace")
