"""uvicorn around the application: a socket that is there before anyone is told of it, and a quiet end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from types import FrameType
from typing import TYPE_CHECKING

from aivax_cli.core.errors import AivaxError

if TYPE_CHECKING:
    from starlette.applications import Starlette

_BACKLOG = 2048
_OBJECTS_A_COLLECTION = 10_000


async def run_server(app: Starlette, listening: socket.socket, *, drain_s: int) -> None:
    """Serves until SIGTERM or Ctrl-C; answers under way have `drain_s` seconds left then."""
    import uvicorn

    from aivax_cli.server.corking import corked_protocol
    from aivax_cli.server.heads import bounded_heads

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn's own raises the signal once more at the end, and the process would die of it.
            def told(number: int, frame: FrameType | None) -> None:
                self.handle_exit(number, frame)

            before = {each: signal.signal(each, told) for each in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)

    config = uvicorn.Config(
        app,
        http=bounded_heads(corked_protocol()),
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=drain_s,
        timeout_keep_alive=75,
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        date_header=False,
    )
    # What is loaded now stays: looking through it for garbage took a fifth of every request. The rest is soon
    # looked through; done a fifth as often, memory grew by 1.6 kB a stream in place of 0.3.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_A_COLLECTION, 5, 5)
    # The loop lists every generator until its end. Ours are closed by who uses them.
    sys.set_asyncgen_hooks(firstiter=None)
    await Server(config).serve(sockets=[listening])


def event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop that is quickest here: uvloop's, where there is one."""
    import uvicorn

    return uvicorn.Config("", log_config=None).get_loop_factory()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises AivaxError when the address cannot be had."""
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
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening


def is_local(listening: socket.socket) -> bool:
    """Whether a socket is reached from this machine alone."""
    return ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def url_of(listening: socket.socket) -> str:
    """Where a socket is to be found."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
