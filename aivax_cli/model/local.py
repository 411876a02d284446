"""`@local/…`: models that run on this machine, in llama.cpp's server, one process a model."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from aivax_cli.core.errors import ModelError
from aivax_cli.model.client import Endpoint
from aivax_cli.model.engine import EngineProcess

CONTEXT_TOKENS = 8192
"""Prompt and answer together. Twice llama.cpp's usual 4,096 costs the 0.5B model 48 MiB and no speed."""

_LOAD_TIMEOUT_S = 300.0


class _Running(Struct, frozen=True):
    process: EngineProcess
    base_url: str
    key: str

    def __repr__(self) -> str:
        """Without the key."""
        return f"_Running({self.base_url!r})"


class LocalEngine:
    """Starts models when they are first called and keeps them until it is closed.

    `weights` gives the GGUF file of a model's name and may fetch it first; it runs in a worker thread and
    raises AivaxError. `environ` is what the engine processes see. Safe to use from several threads and loops.
    """

    def __init__(
        self,
        weights: Callable[[str], Path],
        environ: Mapping[str, str],
        *,
        context_tokens: int = CONTEXT_TOKENS,
        load_timeout_s: float = _LOAD_TIMEOUT_S,
    ) -> None:
        self._weights = weights
        self._environ = environ
        self._context_tokens = context_tokens
        self._load_timeout_s = load_timeout_s
        self._running: dict[str, _Running] = {}
        self._starting: dict[str, Future[_Running]] = {}
        self._processes: set[EngineProcess] = set()
        self._closings = 0
        # Held for moments only: closing must not wait for a download.
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def endpoint(self, name: str) -> Endpoint:
        """Where `@local/name` answers. Starts it if it does not run (or no longer does).

        Raises ModelError when the engine is missing or cannot load the model, and what `weights` raises.
        """
        running = await _result(self._started(name))
        return Endpoint(running.base_url, running.key)

    def pids(self) -> Mapping[str, int]:
        """The process of each model that runs now."""
        return {name: run.process.pid for name, run in dict(self._running).items() if run.process.alive}

    def close(self) -> None:
        """Ends all engine processes, also those that still load. The next call would start them again."""
        with self._lock:
            self._closings += 1
            self._running, self._starting = {}, {}
            processes, self._processes = self._processes, set()
        for process in processes:
            process.abandon()

    def _started(self, name: str) -> Future[_Running]:
        """The model that runs, or is being started in a thread of its own.

        The thread is no worker of the event loop's: Ctrl-C in the middle of a download must not have to wait
        for the download's end.
        """
        with self._lock:
            running = self._running.get(name)
            if running is not None and running.process.alive:
                done: Future[_Running] = Future()
                done.set_result(running)
                return done
            future = self._starting.get(name)
            if future is None:
                future = self._starting[name] = Future()
                work = (name, future, self._closings)
                threading.Thread(target=self._start, args=work, name="aivax-start", daemon=True).start()
            return future

    def _start(self, name: str, future: Future[_Running], closings: int) -> None:
        try:
            running = self._run(name, closings)
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits for the model
            self._forget(name, future)
            future.set_exception(error)
            return
        with self._lock:
            if closings == self._closings:
                self._running[name] = running
        self._forget(name, future)
        future.set_result(running)

    def _forget(self, name: str, future: Future[_Running]) -> None:
        with self._lock:
            if self._starting.get(name) is future:
                del self._starting[name]

    def _run(self, name: str, closings: int) -> _Running:
        process = EngineProcess(self._environ)
        with self._lock:
            closed = closings != self._closings
            if not closed:
                self._processes.add(process)
        try:
            if closed:
                raise ModelError("the local engine was closed while it was being started")
            # First, so that nobody waits for a download and is then told to install something.
            process.wait_imported()
            model = self._weights(name)
            key = secrets.token_urlsafe(24)
            address = process.load(
                model,
                alias=name,
                key=key,
                context_tokens=self._context_tokens,
                timeout_s=self._load_timeout_s,
            )
        except BaseException:
            with self._lock:
                self._processes.discard(process)
            process.stop()
            raise
        return _Running(process, f"{address}/v1", key)


async def _result(future: Future[_Running]) -> _Running:
    """Waits without tying the future to this loop, which may be gone when the model is there."""
    if not future.done():
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def wake(_: Future[_Running]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        future.add_done_callback(wake)
        await done.wait()
    return future.result()


def engine_fault(environ: Mapping[str, str]) -> ModelError | None:
    """Whether the local engine could be loaded on this machine: None, or the error that says what to install.

    Starts a process for a moment.
    """
    try:
        process = EngineProcess(environ)
        process.wait_imported()
    except ModelError as error:
        return error
    process.stop()
    return None
