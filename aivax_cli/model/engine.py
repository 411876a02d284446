"""One engine process from the parent's side. Its methods block: call them in a worker thread."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from aivax_cli.core.errors import ModelError

_INSTALL = 'pip install "aivax[local]"'
_IMPORT_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 3.0
_LOG_LINES = 200
_LONGEST_LINE = 500
# signal.SIGKILL, which does not exist on Windows.
_SIGKILL = 9
# subprocess.CREATE_NEW_PROCESS_GROUP, which exists on Windows only.
_CREATE_NEW_PROCESS_GROUP = 0x200


class EngineProcess:
    """A child that runs `engine_process`. It has a process group of its own, so that Ctrl-C in the terminal
    stops the answer and not the engine, and it ends when this process ends, for whatever reason."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._answers = False
        self._replies: queue.Queue[dict[str, object] | None] = queue.Queue()
        self._started: queue.Queue[subprocess.Popen[bytes] | OSError] = queue.Queue()
        # The kernel ties the child's life to the thread that started it, so this one stays until the end.
        self._keeper = threading.Thread(target=self._keep, name="aivax-engine", daemon=True)
        self._keeper.start()
        started = self._started.get()
        if isinstance(started, OSError):
            raise ModelError(f"the local engine cannot be started: {started.strerror}") from started
        self._process = started
        threading.Thread(target=self._read_replies, name="aivax-engine-replies", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_imported(self) -> None:
        """Waits until llama.cpp is loaded. Raises ModelError with what to install if it cannot be."""
        try:
            reply = self._reply(_IMPORT_TIMEOUT_S)
        except queue.Empty:
            reply = {"detail": f"nothing happened for {_IMPORT_TIMEOUT_S:g} s"}
        if reply is None or reply.get("imported") is not True:
            raise self._import_error(reply)

    def load(self, model: Path, *, alias: str, key: str, context_tokens: int, timeout_s: float) -> str:
        """Has the engine load a GGUF file; returns the server's address once it answers.

        Raises ModelError with the end of the engine's log.
        """
        order = {"model": str(model), "alias": alias, "key": key, "context_tokens": context_tokens}
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already, which the missing reply tells
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        try:
            reply = self._reply(timeout_s)
        except queue.Empty as error:
            raise self._load_error(alias, model, f"it took more than {timeout_s:g} s") from error
        address = reply.get("ready") if reply is not None else None
        if not isinstance(address, str):
            raise self._load_error(alias, model)
        self._answers = True
        return address

    def abandon(self) -> None:
        """Ends the process: at once while it loads, when it listens to nothing."""
        if not self._answers:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Has the process end and waits for it."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._keeper.join()

    def why(self) -> str:
        """The first error in llama.cpp's log, which names the cause of those that follow; else its last line.

        Lines look like `0.00.002.323 E gguf_init_from_reader: failed to read key-value pairs`.
        """
        errors = [line.partition(" E ")[2].strip() for line in self._log if " E " in line[:24]]
        return errors[0] if errors else next(reversed(self._log), "")

    def _keep(self) -> None:
        command = [sys.executable, "-P", "-m", "aivax_cli.model.engine_process", str(os.getpid())]
        windows = sys.platform == "win32"
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environ,
                process_group=None if windows else 0,
                creationflags=_CREATE_NEW_PROCESS_GROUP if windows else 0,
            )
        except OSError as error:
            self._started.put(error)
            return
        self._started.put(process)
        assert process.stderr is not None
        with process.stderr as log:
            while line := log.readline(_LONGEST_LINE):
                self._log.append(line.decode("utf-8", "replace").strip())
        process.wait()

    def _read_replies(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as replies:
            for line in replies:
                self._replies.put(json.loads(line))
        self._replies.put(None)

    def _reply(self, timeout_s: float) -> dict[str, object] | None:
        """The next message, None when the process ended. Raises queue.Empty when it takes too long."""
        return self._replies.get(timeout=timeout_s)

    def _import_error(self, reply: Mapping[str, object] | None) -> ModelError:
        self.stop()
        detail = str(reply.get("detail", "")) if reply else self.why()
        if reply is not None and reply.get("failed") == "missing":
            return ModelError("the local engine is not installed (package xllamacpp)", fix=_INSTALL)
        if "libgomp" in detail:
            return ModelError(
                "the local engine needs the system library libgomp.so.1",
                fix="install it: apt-get install libgomp1 (Debian, Ubuntu) or dnf install libgomp (Fedora)",
            )
        return ModelError(f"the local engine does not load: {detail or self._how_it_ended()}", fix=_INSTALL)

    def _load_error(self, alias: str, model: Path, reason: str | None = None) -> ModelError:
        self.stop()
        size = f"{model.stat().st_size / 1024**2:,.0f} MiB" if model.exists() else "no such file"
        what = f"the local engine could not load '{alias}' ({model}, {size})"
        if reason is None and self._process.returncode == -_SIGKILL:
            return ModelError(
                f"{what}: the system ended it, most likely for want of memory",
                fix="free some memory or choose a smaller model",
            )
        reason = reason or self.why() or self._how_it_ended()
        return ModelError(f"{what}: {reason}", fix="check that the file is a whole GGUF file of a chat model")

    def _how_it_ended(self) -> str:
        return f"it ended with exit code {self._process.returncode}"
