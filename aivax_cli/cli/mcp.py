"""`aivax mcp`: the workspace's gateways and collections as tools, over stdin and stdout."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from aivax_cli.cli.command import Session

if TYPE_CHECKING:
    import asyncio

    from aivax_cli.gateway.workspace import Workspace

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 0}


def mcp(session: Session) -> None:
    """Serve gateways and collections to an MCP client that starts this command.

    Each gateway is a tool `invoke_NAME(prompt)`, each collection `NAME_search(search_terms)`. `aivax serve`
    has the same at `/mcp`.
    """
    import asyncio

    from aivax_cli.gateway.workspace import find_workspace

    asyncio.run(_serve(find_workspace(session.directory)))


async def _serve(workspace: Workspace) -> None:
    """Serves until stdin ends, or the process is told to."""
    import asyncio
    import contextlib

    from aivax_cli.server.mcp_tools import serve_stdio
    from aivax_cli.wiring.keyed import open_everything
    from aivax_cli.wiring.serving import open_backend

    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number, code in _CODES.items():
        with contextlib.suppress(NotImplementedError):  # on Windows
            asyncio.get_running_loop().add_signal_handler(number, _tell, told, code)
    async with open_backend(workspace) as backend, open_everything(backend) as everything:
        serving = asyncio.ensure_future(serve_stdio(everything))
        ends: list[asyncio.Future[Any]] = [serving, told]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if told.done():
        # Everything is closed but stdin, whose reader would keep the process until the client closes it.
        os._exit(told.result())
    await serving


def _tell(told: asyncio.Future[int], code: int) -> None:
    if not told.done():
        told.set_result(code)
