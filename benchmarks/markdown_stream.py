"""Streaming Markdown into a terminal: ours beside `rich.live.Live`, on the same answer at the same pace.

    python benchmarks/markdown_stream.py

Tokens arrive at 60 a second on a simulated clock; both sides may paint 20 frames a second. Prints, for
the answer in tests/support/long_answer.md and for one four times as long, the median CPU time a token, the
bytes written a byte of source, and the ratio to Live. The sides run by turns. Takes about two minutes.
"""

from __future__ import annotations

import io
import re
import statistics
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


Show = Callable[[list[str], Console], None]


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


def measure(show: Show, tokens: list[str]) -> Run:
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


def cpu_ms(runs: list[Run], tokens: list[str]) -> float:
    """The median CPU time a token."""
    return statistics.median(run.cpu_s for run in runs) / len(tokens) * 1000


def compared(text: str, sides: dict[str, tuple[Show, int]]) -> float:
    """Runs the sides by turns, each as often as its number says. Prints all, gives our CPU ms a token."""
    tokens, size = tokens_of(text), len(text.encode())
    print(f"{len(tokens):,} tokens, {size:,} bytes of Markdown, {COLUMNS}×{ROWS}")
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for turn in range(max(times for _, times in sides.values())):
        for name, (show, times) in sides.items():
            if turn < times:
                runs[name].append(measure(show, tokens))
    mine = cpu_ms(runs["ours"], tokens)
    for name, measured in runs.items():
        each = cpu_ms(measured, tokens)
        print(
            f"  {name:<18} {each:7.3f} ms CPU/token  {measured[0].written / size:7.1f} bytes/byte"
            f"  {each / mine:6.1f} × ours"
        )
    return mine


def main() -> None:
    source = ANSWER.read_text(encoding="utf-8")
    # Imports, and the lexers of the answer's languages, are for every side alike.
    measure(ours, tokens_of(source))
    measure(live_by_frame, tokens_of(source))
    once = compared(
        source,
        {"ours": (ours, 7), "Live, every frame": (live_by_frame, 3), "Live, every token": (live_by_token, 1)},
    )
    longer = compared("\n".join([source] * 4), {"ours": (ours, 5), "Live, every frame": (live_by_frame, 1)})
    print(f"four times the answer: {longer / once:.2f} × the CPU time a token")


if __name__ == "__main__":
    main()
