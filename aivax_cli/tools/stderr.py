"""What a child process says on stderr: kept, a little of it, instead of shown."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from aivax_cli.tools.results import one_line

_LINES = 5
_LONGEST_LINE = 200
_PIECE = 4096


class LastLines:
    """The last lines of a pipe, read by a thread until every writer has closed it."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES)

    @contextmanager
    def writer(self) -> Iterator[TextIO]:
        """The pipe's end for a child process."""
        read, write = os.pipe()
        threading.Thread(target=self._keep, args=(read,), daemon=True).start()
        with os.fdopen(write, "w", encoding="utf-8") as end:
            yield end

    @property
    def text(self) -> str:
        """The last lines as one."""
        return " | ".join(tuple(self._lines))

    def _keep(self, read: int) -> None:
        rest = b""
        with os.fdopen(read, "rb", buffering=0) as pipe:
            while piece := pipe.read(_PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                rest = rest[:_PIECE]
                for line in lines:
                    self._add(line)
        self._add(rest)

    def _add(self, line: bytes) -> None:
        text = one_line(line.decode("utf-8", "replace"), _LONGEST_LINE)
        if text:
            self._lines.append(text)
