"""A process that forks an ingest for every line it is given, so that tests can kill one without a slow start.

A line on stdin is `BASE SECONDS_PER_WINDOW`; the answer is the child's pid, and when it has ended a line with
its exit code and how many texts it embedded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from support.patience import PATIENT_S

WINDOW_CHUNKS = 8


def _answer(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def serve() -> None:
    import chromadb  # noqa: F401 - imported once, before the forks
    from support.knowledge import HashEmbedder, run_ingest

    from aivax_cli.ingest import embed
    from aivax_cli.retrieval import served

    class Slow(HashEmbedder):
        def embed_passages(self, texts, on_batch=None):
            time.sleep(pause)
            return super().embed_passages(texts, on_batch)

    embed.WINDOW_CHUNKS = WINDOW_CHUNKS
    served.SERVER_BATCH_ROWS, served.NOTED_ROWS = 8, 16
    _answer("ready")
    for line in sys.stdin:
        base, seconds = line.split()
        pause = float(seconds)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            embedder = Slow()
            run_ingest(Path(base), embedder=embedder)
            # What the embedder's own background took is not the collection's text.
            os.write(writing, str(sum("#" in text for text in embedder.passages)).encode())
            os._exit(0)
        os.close(writing)
        _answer(pid)
        _, status = os.waitpid(pid, 0)
        embedded = os.read(reading, 100).decode() or "0"
        os.close(reading)
        _answer(os.waitstatus_to_exitcode(status), embedded)


class IngestServer:
    """The test's end of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.ingest_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self._line() == "ready"

    def start(self, base: Path, seconds_per_window: float = 0.0) -> int:
        """Starts an ingest of BASE/docs into BASE/.aivax and gives its pid."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{base} {seconds_per_window}\n")
        self._process.stdin.flush()
        return int(self._line())

    def wait(self) -> tuple[int, int]:
        """The exit code of the one that was started (minus the signal), and the texts that it embedded."""
        code, embedded = self._line().split()
        return int(code), int(embedded)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENT_S)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


if __name__ == "__main__":
    serve()
