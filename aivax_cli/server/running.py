"""uvicorn around the application: a socket that is there before anyone is told of it, and a quiet end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from aivax_cli.core.errors import AivaxError
from aivax_cli.server.app import application
from aivax_cli.server.backend import Backend

_DRAIN_S = 10
"""Seconds that streams under way have left when the server is told to end."""


async def run_server(
    backend: Callable[[], AbstractAsyncContextManager[Backend]],
    host: str,
    port: int,
    *,
    on_ready: Callable[[str], None],
) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises AivaxError when the address is taken."""
    import uvicorn

    listening = _listen(host, port)
    address = listening.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    config = uvicorn.Config(
        application(backend),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_DRAIN_S,
        lifespan="on",
        server_header=False,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                on_ready(f"http://{shown}:{address[1]}")

    await Server(config).serve(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, proto)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise AivaxError(
            f"cannot listen on {host}:{port}: {reason.lower()}", fix="choose another: aivax serve --port 8766"
        ) from error
    listening.listen(2048)
    return listening
