"""A response's head and its body in one packet: a write to a socket takes as long as a tenth of a request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CorkedTransport:
    """A transport that sends what is written within one round of the loop at its end, at once."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """See asyncio.WriteTransport."""
        if not self._written:
            self._loop.call_soon(self.send_now)
        self._written.append(data)

    def close(self) -> None:
        """See asyncio.BaseTransport: what has been written is sent before."""
        self.send_now()
        self._transport.close()

    def send_now(self) -> None:
        """Sends what has been written."""
        written, self._written = self._written, []
        if written and not self._transport.is_closing():
            self._transport.write(written[0] if len(written) == 1 else b"".join(written))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def corked_protocol() -> type[HttpToolsProtocol]:
    """uvicorn's protocol over such transports. Raises ImportError where httptools is not installed."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Corked(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.corked = CorkedTransport(transport, self.loop)
            super().connection_made(self.corked)  # type: ignore[arg-type]

        def on_response_complete(self) -> None:
            self.corked.send_now()  # nothing follows that could go with it
            super().on_response_complete()

    return Corked
