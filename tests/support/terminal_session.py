"""The program in a pseudo-terminal, as a person uses it: keys go in, a screen comes out."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pexpect
import pyte
from support.patience import PATIENT_S
from support.virtual_terminal import TerminalScreen

from aivax_cli.assets.store import default_cache_dir

ENTER = "\r"
ALT_ENTER = "\x1b\r"
CTRL_C = "\x03"
CTRL_D = "\x04"
TAB = "\t"
UP = "\x1b[A"

_KEPT = ("PATH", "AIVAX_LANG", "LANG", "LC_ALL", "TMPDIR")


def pasted(text: str) -> str:
    """What a terminal sends when a block is pasted."""
    return f"\x1b[200~{text}\x1b[201~"


class TerminalSession:
    """`aivax …` on a screen of `columns` × `rows`, or another `program`. Ends with its `with` block."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        columns: int = 100,
        rows: int = 40,
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "aivax_cli"),
        screen: type[TerminalScreen] = TerminalScreen,
    ) -> None:
        environ = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environ |= {"HOME": str(cwd), "TERM": "xterm-256color"}
        environ |= {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ)), **(env or {})}
        self.screen: Any = screen(columns, rows, history=100_000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child: Any = pexpect.spawn(
            program[0],
            [*program[1:], *arguments],
            cwd=str(cwd),
            env=environ,  # type: ignore[arg-type]
            dimensions=(rows, columns),
            timeout=PATIENT_S,
        )
        # Programs ask where the cursor is; a terminal answers.
        self.screen.write_process_input = self.child.send
        self.child.delaybeforesend = None

    def __enter__(self) -> TerminalSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Kills what still runs, and waits for its end however long a busy machine takes."""
        if not self.child.terminated:
            os.kill(self.child.pid, signal.SIGKILL)
            self.child.wait()
        self.child.close()

    @property
    def lines(self) -> list[str]:
        """Every line so far, those that scrolled away included."""
        history = [
            "".join(line[x].data for x in range(self.screen.columns)) for line in self.screen.history.top
        ]
        lines = [line.rstrip() for line in [*history, *self.screen.display]]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def type(self, keys: str) -> TerminalSession:
        self.child.send(keys)
        return self

    def wait_for(self, pattern: str, *, count: int = 1, timeout_s: float = PATIENT_S) -> float:
        """Reads until the screen and its history hold the pattern `count` times; gives the seconds."""
        started = time.monotonic()
        while len(re.findall(pattern, self.text)) < count:
            if time.monotonic() - started > timeout_s:
                raise AssertionError(f"no {pattern!r} (×{count}) within {timeout_s} s on:\n{self.text}")
            self.read(0.05)
        return time.monotonic() - started

    def read_until(self, holds: Callable[[], bool], timeout_s: float = PATIENT_S) -> None:
        """Reads until something holds, and looks often."""
        ends = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < ends, f"not within {timeout_s} s, with this on the screen:\n{self.text}"
            self.read(0.005)

    def wait_for_prompt(self) -> float:
        """Reads until a prompt waits for input at the bottom."""
        started = time.monotonic()
        while not (self.at_prompt() and self._quiet()):
            if time.monotonic() - started > PATIENT_S or not self.child.isalive():
                raise AssertionError(f"no prompt on:\n{self.text}")
            self.read(0.02)
        return time.monotonic() - started

    def enter(self, text: str) -> TerminalSession:
        """Types a line, sends it, and waits until the prompt is back."""
        self.type(text)
        self.wait_for(re.escape(text.splitlines()[-1]))
        marks = self.text.count("›")
        self.type(ENTER)
        started = time.monotonic()
        while self.text.count("›") <= marks or not self.at_prompt():
            if time.monotonic() - started > PATIENT_S:
                raise AssertionError(f"no prompt after {text!r} on:\n{self.text}")
            self.read(0.05)
        return self

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def wait_for_end(self) -> int:
        """Reads until the program has ended; gives its exit code."""
        started = time.monotonic()
        while self.child.isalive():
            if time.monotonic() - started > PATIENT_S:
                raise AssertionError(f"still running:\n{self.text}")
            self.read(0.05)
        while self.read(0.05):
            pass
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -1)

    def at_prompt(self) -> bool:
        """Whether the cursor stands on a line that begins as a prompt does."""
        line = self.screen.display[self.screen.cursor.y]
        return re.match(r"(\d+% )?›", line) is not None and not self.screen.cursor.hidden

    def _quiet(self) -> bool:
        return not self.read(0.1)

    def read(self, timeout_s: float) -> bool:
        """Takes in what the program has written; waits that long for something. Whether there was any."""
        try:
            data = self.child.read_nonblocking(65536, timeout_s)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            time.sleep(0.01)
            return False
        self.raw += data
        self._stream.feed(data)
        return True
