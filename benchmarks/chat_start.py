"""The chat's start, whole process: until its prompt has echoed a key, against importing what it is made of.

python benchmarks/chat_start.py [--pairs N] [--workspace FOLDER] [--gateway NAME] [--keys N]

By turns, each in a terminal of its own: `aivax chat` until a typed key stands on the screen, and the whole of
`python -c "import prompt_toolkit, rich"`. The bar is a ratio of 2 between the medians. Then how long a key
takes to be echoed while the gateway, its model and its indexes are loaded behind the prompt; the bar is 50 ms
for 95 of 100.
"""

from __future__ import annotations

import argparse
import os
import pty
import select
import statistics
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = [sys.executable, "-c", "import prompt_toolkit, rich"]
PROGRAM = [sys.executable, "-m", "aivax_cli", "chat"]
BAR = 2.0
ECHO_BAR_S = 0.05
KEY = b"q"
KEY_EVERY_S = 0.03
PROMPT = "›".encode()
WHERE_IS_THE_CURSOR, HERE = b"\x1b[6n", b"\x1b[1;1R"
PATIENCE_S = 30.0

GATEWAY = """\
id: 0199c3f0-0000-7000-8000-000000000001
name: talk
model: {base_url: "http://127.0.0.1:9", name: any}
"""


class Program:
    """A command in a pseudo-terminal of 100 x 40."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.started = time.perf_counter()
        mine, its = pty.openpty()
        os.set_blocking(mine, False)
        environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        self.process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)
        self.terminal = mine
        self.seen = b""

    def read_until(self, wanted: bytes) -> float:
        """Seconds from the start until the output since the last call holds `wanted`."""
        while wanted not in self.seen:
            if time.perf_counter() - self.started > PATIENCE_S:
                raise SystemExit(f"no {wanted!r} in {self.seen[-2000:]!r}")
            if select.select([self.terminal], [], [], 1)[0]:
                new = os.read(self.terminal, 65536)
                self.seen += new
                if WHERE_IS_THE_CURSOR in new:
                    os.write(self.terminal, HERE)
        self.seen = self.seen.partition(wanted)[2]
        return time.perf_counter() - self.started

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def end(self) -> float:
        """Seconds from the start until the process has ended by itself."""
        self.process.wait()
        os.close(self.terminal)
        return time.perf_counter() - self.started

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


def chat_s(folder: Path, gateway: list[str]) -> float:
    """Seconds until a key that was typed at the prompt is echoed."""
    chat = Program([*PROGRAM, *gateway], folder)
    try:
        chat.read_until(PROMPT)
        chat.type(KEY)
        return chat.read_until(KEY)
    finally:
        chat.stop()


def echoes_s(folder: Path, gateway: list[str], keys: int) -> list[float]:
    """How long each of these keys takes to be echoed, typed from the first moment on while things load."""
    chat = Program([*PROGRAM, *gateway], folder)
    found = []
    try:
        chat.read_until(PROMPT)
        for number in range(keys):
            key = string.ascii_lowercase[number % 26].encode()
            chat.seen = b""
            pressed = time.perf_counter()
            chat.type(key)
            chat.read_until(key)
            found.append(time.perf_counter() - pressed)
            time.sleep(KEY_EVERY_S)
    finally:
        chat.stop()
    return found


def peer_s(folder: Path) -> float:
    return Program(PEER, folder).end()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--keys", type=int, default=60, help="typed while things load, one every 30 ms")
    parser.add_argument("--workspace", type=Path, help="a workspace of your own; else one is made")
    parser.add_argument("--gateway", nargs="?", help="the gateway to talk with, where there are several")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = options.workspace or Path(folder)
        if not options.workspace:
            (workspace / "gateways").mkdir()
            (workspace / "gateways" / "talk.yaml").write_text(GATEWAY, encoding="utf-8")
        gateway = [options.gateway] if options.gateway else []
        chat_s(workspace, gateway), peer_s(workspace)  # warm the file cache
        pairs = [(chat_s(workspace, gateway), peer_s(workspace)) for _ in range(options.pairs)]
        echoes = sorted(echo for _ in range(3) for echo in echoes_s(workspace, gateway, options.keys))
    ours = statistics.median(chat for chat, _ in pairs)
    peer = statistics.median(peer for _, peer in pairs)
    ratio = ours / peer
    print(f"aivax chat, a key echoed       {ours * 1000:4.0f} ms")
    print(f"import prompt_toolkit, rich    {peer * 1000:4.0f} ms")
    print(f"ratio {ratio:.2f} (bar {BAR:.1f}; medians of {len(pairs)} pairs by turns)")
    most, often = echoes[-1], echoes[int(len(echoes) * 0.95)]
    print(
        f"echo of {len(echoes)} keys while loading: median {statistics.median(echoes) * 1000:.0f} ms, "
        f"95 of 100 within {often * 1000:.0f} ms (bar {ECHO_BAR_S * 1000:.0f}), slowest {most * 1000:.0f} ms"
    )
    raise SystemExit(0 if ratio <= BAR and often <= ECHO_BAR_S else 1)


if __name__ == "__main__":
    main()
