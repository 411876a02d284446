"""A session with an MCP server, held open by a task of its own.

The SDK ties a session to the task that opened it. So one task opens it, waits until it is to end, and closes
it; calls come from wherever they are wanted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from aivax_cli.tools.results import one_line

if TYPE_CHECKING:
    from mcp import Client

T = TypeVar("T")

_COURTESY_S = 1.0
"""How long a call that is given up may take to say so to its server."""
_LONGEST_REASON = 300


class LinkEndedError(Exception):
    """The session ended, or had ended, before the call was answered."""


def load_sdk() -> None:
    """Imports the SDK, which takes most of a second, and keeps what it logs off the terminal. Blocks."""
    import_module("mcp")
    # Without any handler Python prints warnings on stderr, of loggers that are nobody's here.
    for name in ("mcp", "client"):
        logging.getLogger(name).addHandler(logging.NullHandler())


class Link:
    """One session. `patience_s` is how long closing it may take before it is torn down."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._client: Client | None = None
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return self._stop.is_set() or self._task is None or self._task.done()

    async def open(self, context: AbstractAsyncContextManager[Client]) -> None:
        """Opens the session. Raises what opening it raises; `close` it then."""
        ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(context, ready))
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            self._task.result()

    async def guarded(self, call: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """What a call on the session gives. Raises LinkEndedError when the session ends under it."""
        if self.ended or self._client is None or self._task is None:
            raise LinkEndedError("the connection was closed")
        calling = asyncio.create_task(call(self._client))
        try:
            await asyncio.wait({calling, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if calling.done():
                return calling.result()
        finally:
            if not calling.done():
                calling.cancel()
                await asyncio.wait({calling}, timeout=_COURTESY_S)
        raise LinkEndedError("the connection was lost") from self._fault()

    async def close(self) -> None:
        """Ends the session, whatever state it is in. Raises nothing but cancellation."""
        opened = self._client is not None
        self._stop.set()
        task = self._task
        if task is None or task.done():
            return
        if opened:
            await asyncio.wait({task}, timeout=self._patience_s)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=self._patience_s)

    async def _live(self, context: AbstractAsyncContextManager[Client], ready: asyncio.Future[None]) -> None:
        async with context as client:
            self._client = client
            ready.set_result(None)
            await self._stop.wait()

    def _fault(self) -> BaseException | None:
        task = self._task
        return task.exception() if task is not None and task.done() and not task.cancelled() else None


def is_gone(error: BaseException) -> bool:
    """Whether an error of a call means that its session cannot be used any more."""
    from anyio import BrokenResourceError, ClosedResourceError
    from mcp import MCPError
    from mcp.types import CONNECTION_CLOSED

    if isinstance(error, MCPError):
        return error.code == CONNECTION_CLOSED or error.message == "Session terminated"
    return isinstance(error, LinkEndedError | BrokenResourceError | ClosedResourceError)


def reason(error: BaseException) -> str:
    """Why a server cannot be used or a call failed, as one line."""
    import httpx2
    from pydantic import ValidationError

    error = _innermost(error)
    match error:
        case httpx2.ConnectError():
            return "no connection"
        case httpx2.HTTPError() | LinkEndedError():
            return "the connection was lost"
        case ValidationError():
            return "it answered what the protocol does not allow"
        case _ if is_gone(error):
            return "it ended before it answered"
    return one_line(str(error), _LONGEST_REASON) or type(error).__name__


def _innermost(error: BaseException) -> BaseException:
    """What lies below the groups and the losses of a connection that it caused."""
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif isinstance(error, LinkEndedError) and error.__cause__ is not None:
            error = error.__cause__
        else:
            return error
