"""The head of a request is neither endless nor awaited without end, which uvicorn itself leaves open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES: Final = 64 * 1024
"""The longest head: the address, the headers and their values. One that comes in one piece may be longer."""
WITHIN_S: Final = 30.0
"""Seconds for a head to come: from the connection on, or from its first byte on one that is used again."""


def bounded_heads(
    protocol: type[HttpToolsProtocol], *, within_s: float = WITHIN_S
) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, or one made of it, that ends connections whose head does not."""

    class Bounded(protocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._in_head = False
            self._head_bytes = 0
            self._awaited: asyncio.TimerHandle | None = self.loop.call_later(within_s, self._too_late)

        def connection_lost(self, exc: Exception | None) -> None:
            self._has_come()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            before = self._in_head
            super().data_received(data)
            if not self._in_head or self.transport.is_closing():
                return
            if before:  # a head that began in the middle of this piece is counted from the next one on
                self._head_bytes += len(data)
            if self._head_bytes > MOST_BYTES:
                self.send_400_response("The head of the request is too long.")
            elif self._awaited is None:
                self._awaited = self.loop.call_later(within_s, self._too_late)

        def on_message_begin(self) -> None:
            self._in_head = True
            self._head_bytes = 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._has_come()
            super().on_headers_complete()

        def _has_come(self) -> None:
            if self._awaited is not None:
                self._awaited.cancel()
                self._awaited = None

        def _too_late(self) -> None:
            self._awaited = None
            self.transport.close()

    return Bounded
