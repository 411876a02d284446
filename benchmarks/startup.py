"""Start-up of the whole process: `aivax --help` and `--version` against `python -c "import typer, rich"`.

python benchmarks/startup.py [--runs N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

PEER = [sys.executable, "-c", "import typer, rich"]
OURS = {"--help": ["--help"], "--version": ["--version"]}


def seconds(command: list[str]) -> float:
    """Wall time of one whole process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    program = [sys.executable, "-m", "aivax_cli"]
    for name, arguments in OURS.items():
        seconds(PEER), seconds([*program, *arguments])  # warm the file cache
        pairs = [(seconds(PEER), seconds([*program, *arguments])) for _ in range(runs)]
        peer = statistics.median(peer for peer, _ in pairs)
        ours = statistics.median(ours for _, ours in pairs)
        ratio = statistics.median(ours / peer for peer, ours in pairs)
        times = f"{ours * 1000:4.0f} ms   import typer, rich {peer * 1000:4.0f} ms"
        print(f"aivax {name:<10} {times}   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
