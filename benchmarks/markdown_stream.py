"""Streaming Markdown into a terminal: ours beside `rich.live.Live`, on the same answer at the same pace.

    python benchmarks/markdown_stream.py

Tokens arrive at 60 a second on a simulated clock; both sides may paint 20 frames a second. Prints, for
the answer in tests/support/long_answer.md and for one four times as long, the CPU time a token, the bytes
written a byte of source, and the ratio to Live.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

from aivax_cli.render.markdown_stream import MarkdownStream

ANSWER = Path(__file__).parent.parent / "tests" / "support" / "long_answer.md"
TOKENS_PER_S = 60
FRAME_S = 0.05
COLUMNS, ROWS = 100, 40


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Run:
    """What showing an answer took."""

    cpu_s: float
    written: int


def tokens_of(text: str) -> list[str]:
    """Pieces about as long as a model's tokens."""
    return re.findall(r"\s?\w{1,6}|\s+|[^\w\s]", text)


def console(file: io.StringIO) -> Console:
    return Console(
        file=file, force_terminal=True, width=COLUMNS, height=ROWS, color_system="256", legacy_windows=False
    )


def measure(show: Callable[[list[str], Console], None], tokens: list[str]) -> Run:
    file = io.StringIO()
    started = time.process_time()
    show(tokens, console(file))
    return Run(time.process_time() - started, len(file.getvalue().encode()))


def ours(tokens: list[str], screen: Console) -> None:
    clock = Clock()
    stream = MarkdownStream(screen, clock=clock)
    for token in tokens:
        clock.now += 1 / TOKENS_PER_S
        stream.feed(token)
    stream.close()


def live_by_frame(tokens: list[str], screen: Console) -> None:
    """Live at our frame rate: a new Markdown is made only for a frame."""
    now, painted, text = 0.0, -1.0, ""
    with Live(console=screen, auto_refresh=False) as live:
        for token in tokens:
            now += 1 / TOKENS_PER_S
            text += token
            if now - painted >= FRAME_S:
                painted = now
                live.update(Markdown(text), refresh=True)
        live.update(Markdown(text), refresh=True)


def live_by_token(tokens: list[str], screen: Console) -> None:
    """Live as it is mostly written: `live.update(Markdown(text), refresh=True)` for every token."""
    text = ""
    with Live(console=screen, auto_refresh=False) as live:
        for token in tokens:
            text += token
            live.update(Markdown(text), refresh=True)


def main() -> None:
    source = ANSWER.read_text(encoding="utf-8")
    # Imports, and the lexers of the answer's languages, are for every side alike.
    measure(ours, tokens_of(source))
    measure(live_by_frame, tokens_of(source))
    ours_once: dict[int, float] = {}
    for times in (1, 4):
        text = "\n".join([source] * times)
        tokens = tokens_of(text)
        size = len(text.encode())
        print(f"{len(tokens):,} tokens, {size:,} bytes of Markdown, {COLUMNS}×{ROWS}")
        mine = measure(ours, tokens)
        ours_once[times] = mine.cpu_s / len(tokens)
        sides = [("ours", mine), ("Live, every frame", measure(live_by_frame, tokens))]
        if times == 1:
            sides.append(("Live, every token", measure(live_by_token, tokens)))
        for name, run in sides:
            per_token_ms = run.cpu_s / len(tokens) * 1000
            print(
                f"  {name:<18} {per_token_ms:7.3f} ms CPU/token  {run.written / size:7.1f} bytes/byte"
                f"  {run.cpu_s / mine.cpu_s:6.1f} × ours"
            )
    print(f"four times the answer: {ours_once[4] / ours_once[1]:.2f} × the CPU time a token")


if __name__ == "__main__":
    main()
