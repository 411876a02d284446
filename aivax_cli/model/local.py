"""`@local/…`: models that run on this machine, in llama.cpp's server, one process a model."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from aivax_cli.core.errors import ModelError
from aivax_cli.model.client import Endpoint
from aivax_cli.model.engine import EngineProcess

CONTEXT_TOKENS = 8192
"""Prompt and answer together. Twice llama.cpp's usual 4,096 costs the 0.5B model 48 MiB and no speed."""

_LOAD_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class _Running:
    process: EngineProcess
    base_url: str
    key: str = field(repr=False)


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
        running = self._running.get(name)
        if running is None or not running.process.alive:
            running = await asyncio.to_thread(self._start, name)
        return Endpoint(running.base_url, running.key)

    def pids(self) -> Mapping[str, int]:
        """The process of each model that runs now."""
        return {name: run.process.pid for name, run in dict(self._running).items() if run.process.alive}

    def close(self) -> None:
        """Ends all engine processes. The next call would start them again."""
        with self._lock:
            running, self._running = self._running, {}
        for run in running.values():
            run.process.stop()

    def _start(self, name: str) -> _Running:
        with self._lock:
            running = self._running.get(name)
            if running is not None and running.process.alive:
                return running
            process = EngineProcess(self._environ)
            try:
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
                process.stop()
                raise
            self._running[name] = running = _Running(process, f"{address}/v1", key)
            return running


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
