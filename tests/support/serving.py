"""`aivax serve` as a subprocess on a free port, over a workspace of a test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from support.patience import PATIENT_S, until
from support.upstream import Upstream
from support.workspaces import write_gateway

__all__ = ["Server", "gateway", "served", "until"]

_KEPT = ("PATH", "AIVAX_LANG", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR")
_CALL = {"timeout": PATIENT_S, "trust_env": False, "verify": False}


class Server:
    """The running program. `lines` are what it has said on stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, timeout_s: float = PATIENT_S) -> None:
        assert self._ready.wait(timeout_s), self.said
        assert self.url, self.said

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def post(self, body: object, path: str = "/v1/chat/completions", **more: object) -> httpx.Response:
        return httpx.post(self.url + path, json=body, **{**_CALL, **more})  # type: ignore[arg-type]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, **_CALL)  # type: ignore[arg-type]

    def terminate(self, timeout_s: float = PATIENT_S) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            found = re.search(r"serving .* at (http://\S+)/v1", line)
            if found:
                self.url = found[1]
                self._ready.set()
        self._ready.set()


@contextmanager
def served(workspace: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """The server, ready; ended with the block if it has not ended before."""
    environ = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environ |= {"HOME": str(workspace), "AIVAX_CACHE_DIR": str(workspace / "cache"), "COLUMNS": "200"}
    environ |= env or {}
    process = subprocess.Popen(
        [sys.executable, "-m", "aivax_cli", "serve", "--port", "0", *options],
        cwd=workspace,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    server = Server(process)
    try:
        server.wait_ready()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def gateway(
    workspace: Path, upstream: Upstream, name: str = "support", *, number: int = 1, more: str = ""
) -> Path:
    """A gateway over a scripted upstream, at 1 USD a million tokens read and 2 written."""
    model = f'{{base_url: "{upstream.url}", name: test-model}}'
    pricing = "pricing: {input: 1, output: 2, cached_input: 0.5}\n"
    return write_gateway(workspace, name, model, number=number, more=pricing + more)
