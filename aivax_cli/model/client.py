"""Calls models over HTTP: any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol, Self

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import ModelError
from aivax_cli.core.types import ModelCall, ModelEnd, ModelItem, ModelRetry, ModelTarget, ModelText
from aivax_cli.model import failures, wire
from aivax_cli.model.adapting import adaptations, simpler
from aivax_cli.model.keys import Keys
from aivax_cli.model.outgoing import is_loopback
from aivax_cli.model.reading import AnswerReader, Body
from aivax_cli.model.retry import RetryPolicy
from aivax_cli.model.sending import Answer, Sender, faults, httpx_sender
from aivax_cli.model.sending import Timeouts as Timeouts

_MAX_ERROR_BYTES = 64 * 1024
_DRAIN_S = 0.05
_MOST_PLACES = 256


class Endpoint(Struct, frozen=True):
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


class HttpChatModel:
    """Calls chat-completions endpoints over one pool of connections.

    Implements `core.ports.ChatModel`. Models of the provider `local` are looked up in `local`, and keys
    in `keys`, by default those of `environ`, when a call needs them. Close it (`aclose` or `async with`) in
    the loop that used it; used in another loop it opens a new pool. `sender` makes the pools, as
    `httpx_sender` does, which is it when left out.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        local: LocalModels | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        sender: Callable[..., Sender] | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._environ = environ
        self._local = local
        self._sender = sender or httpx_sender
        self._retry = retry or RetryPolicy()
        self._timeouts = timeouts or Timeouts()
        self._dialects: dict[tuple[str, str], wire.Dialect] = {}
        self._keys = keys or Keys(environ)
        self._senders: dict[str, Sender] = {}
        self._pools: dict[tuple[bool, bool], Sender] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: dict[tuple[ModelTarget, str | None], failures.Place] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections. The model can be used again afterwards."""
        pools, self._pools, self._senders = self._pools, {}, {}
        if self._loop is asyncio.get_running_loop():
            for pool in pools.values():
                await pool.aclose()

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        """See `core.ports.ChatModel.stream`."""
        exchange: _Exchange | None = None
        policy = self._retry.impatient() if call.impatient else self._retry
        for number in itertools.count(1):
            began = time.monotonic()
            try:
                exchange = await self._begin(call)
                break
            except ModelError as error:
                wait_s = policy.wait_s(error, number, took_s=time.monotonic() - began)
                if wait_s is None:
                    raise
                retry = ModelRetry(number, error.message, wait_s)
            yield retry
            await asyncio.sleep(wait_s)
        if exchange is None:
            return
        try:
            for adapted in adaptations(call, exchange.dialect):
                yield adapted
            while True:
                if exchange.text:
                    yield ModelText(exchange.text)
                if exchange.end is not None:
                    break
                await exchange.advance()
            yield exchange.end
            await exchange.drain()
        finally:
            await exchange.aclose()

    async def _begin(self, call: ModelCall) -> _Exchange:
        """Sends the request and reads until the first text, or to the end if there is none."""
        call, key = await self._reachable(call)
        exchange = _Exchange(call, self._place(call.target, key), self._timeouts.of(call))
        try:
            await self._send(exchange, key)
            await exchange.advance()
        except BaseException:
            await exchange.aclose()
            raise
        return exchange

    async def start(self, target: ModelTarget) -> None:
        """Starts a model that runs on this machine, so that no call waits for it. Raises AivaxError."""
        if self._local is not None:
            await self._local.endpoint(target.name)

    def _place(self, target: ModelTarget, key: str | None) -> failures.Place:
        """What messages say of who is asked. Raises ModelError when the address cannot be one."""
        place = self._places.get((target, key))
        if place is None:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            place = self._places[target, key] = failures.Place.of(target, _url(target), key)
        return place

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
            refused = await exchange.open(self._pool(target.base_url), dialect, key)
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

    def _pool(self, base_url: str) -> Sender:
        """The pool for addresses of a kind: plain http needs no certificates, which take 35 ms to load."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._pools, self._senders, self._loop = {}, {}, loop
        sender = self._senders.get(base_url)
        if sender is None:
            kind = (not base_url.lower().startswith("http://"), is_loopback(base_url))
            if kind not in self._pools:
                self._pools[kind] = self._made(secure=kind[0], loopback=kind[1])
            sender = self._senders[base_url] = self._pools[kind]
        return sender

    def _made(self, *, secure: bool, loopback: bool) -> Sender:
        import ssl

        context = True if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return self._sender(verify=context, trust_env=not loopback)


class _Exchange:
    """One request and its answer, begun: the first text has been read. Close it to end the request.

    `text` is what came last, `end` is there once nothing follows it.
    """

    def __init__(self, call: ModelCall, place: failures.Place, timeouts: Timeouts) -> None:
        self.call = call
        self.place = place
        self.dialect = wire.OPENAI
        self.text = ""
        self.end: ModelEnd | None = None
        self._timeouts = timeouts
        self._parts = wire.AnswerParts(call.target.name)
        self._answer: Answer | None = None
        self._body: Body | None = None
        self._reader: AnswerReader | None = None

    async def aclose(self) -> None:
        """Ends the request, whether it was read to its end or not."""
        answer, self._answer = self._answer, None
        if answer is not None:
            await answer.aclose()

    async def open(
        self, sender: Sender, dialect: wire.Dialect, key: str | None
    ) -> tuple[int, Mapping[str, str], str] | None:
        """Sends the request. None when it was accepted, else status, headers and the start of the body."""
        # Compressed streams arrive in lumps.
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream, application/json",
            "accept-encoding": "identity",
        }
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self.dialect = dialect
        content = wire.encode(wire.request_body(self.call, dialect))
        try:
            answer = await sender.post(_url(self.call.target), headers, content, self._timeouts)
            self._answer = answer
            if 200 <= answer.status < 300:
                self._body = Body(answer)
                self._reader = AnswerReader(self._body, self._parts, self.place)
                return None
            body = await _start_of(answer)
        except faults() as error:
            raise self._transport_error(error) from error
        await self.aclose()
        return answer.status, answer.headers, body

    async def advance(self) -> None:
        """Sets the next text, or the end. Raises ModelError when the answer fails before its first text."""
        if self._reader is None:
            return
        begun = self._parts.begun
        self.text = ""
        try:
            self.text = await self._reader.text()
            if not self.text:
                self.end = self._parts.end()
        except ModelError as error:
            if not begun and not self._parts.begun:
                raise
            self.end = self._parts.end(broken=error.message)
        except faults() as error:
            if not begun and not self._parts.begun:
                raise self._transport_error(error) from error
            reason = failures.broken_stream(error, read_s=self._timeouts.read_s)
            self.end = self._parts.end(broken=reason)

    async def drain(self) -> None:
        """Lets the connection be used again, if the answer came to its end."""
        if self._body is not None and self.end is not None and self.end.broken is None:
            await self._body.drain(_DRAIN_S)

    def _transport_error(self, error: Exception) -> ModelError:
        return failures.transport_error(
            error, self.place, connect_s=self._timeouts.connect_s, read_s=self._timeouts.read_s
        )


def _url(target: ModelTarget) -> str:
    return target.base_url.rstrip("/") + "/chat/completions"


async def _start_of(answer: Answer) -> str:
    """The first kilobytes of an error's body."""
    collected = bytearray()
    while piece := await answer.read():
        collected += piece
        if len(collected) > _MAX_ERROR_BYTES:
            break
    return collected[:_MAX_ERROR_BYTES].decode("utf-8", "replace")
