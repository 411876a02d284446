"""Several processes behind one socket: started, started again when one dies, and ended together."""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from msgspec import Struct, field

from aivax_cli.core.errors import AivaxError, UsageError

_LOG = logging.getLogger("aivax.server")
_START_WITHIN_S = 300.0
_SPARE_S = 5.0
_PAUSE_S = 0.2


class Workers(Struct):
    """`count` processes that run `command` with the socket's and a pipe's number added, and where they meet.

    A worker writes a byte into the pipe when it is ready. They meet in a folder that this user alone may
    enter, each under the number of its place, which one that takes its place has too.
    """

    command: Sequence[str]
    count: int
    listening: socket.socket
    drain_s: int
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _meeting: str = ""
    _told: bool = False

    def run(self, on_ready: Callable[[], None]) -> None:
        """Runs until SIGTERM or Ctrl-C. Raises AivaxError when a worker does not start."""
        if sys.platform == "win32":
            raise UsageError("--workers needs a system that hands sockets on", fix="leave it out on Windows")
        before = {each: signal.signal(each, self._end) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._meeting = tempfile.mkdtemp(prefix="aivax-")
            self._start_all()
            if not self._told:
                on_ready()
            while not self._told:
                self._look_after()
                time.sleep(_PAUSE_S)
        finally:
            self._stop()
            shutil.rmtree(self._meeting, ignore_errors=True)
            for each, handler in before.items():
                signal.signal(each, handler)

    def _start_all(self) -> None:
        reading, writing = os.pipe()
        try:
            for place in range(self.count):
                self._running.append(self._start(place, writing))
            ready, until = 0, time.monotonic() + _START_WITHIN_S
            while ready < self.count and not self._told:
                if select.select([reading], [], [], _PAUSE_S)[0]:
                    ready += len(os.read(reading, self.count))
                elif any(each.poll() is not None for each in self._running) or time.monotonic() > until:
                    raise AivaxError("a worker did not start", fix="see its message above")
        finally:
            os.close(reading)
            os.close(writing)

    def _start(self, place: int, ready_to: int | None = None) -> subprocess.Popen[bytes]:
        number = self.listening.fileno()
        passed = (number,) if ready_to is None else (number, ready_to)
        joined = ",".join(map(str, passed))
        # A session of its own: Ctrl-C at the terminal is this process's to pass on.
        return subprocess.Popen(
            [*self.command, "--inherited", joined, "--meeting", f"{self._meeting}/{place + 1}.sock"],
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _look_after(self) -> None:
        for place, worker in enumerate(self._running):
            if worker.poll() is not None:
                _LOG.warning(
                    "worker %d ended with %s; another takes its place", worker.pid, worker.returncode
                )
                time.sleep(_PAUSE_S)
                self._running[place] = self._start(place)

    def _end(self, number: int, frame: object) -> None:
        del number, frame
        self._told = True

    def _stop(self) -> None:
        for worker in self._running:
            if worker.poll() is None:
                worker.terminate()
        until = time.monotonic() + self.drain_s + _SPARE_S
        for worker in self._running:
            try:
                worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
