"""How long `aivax usage` takes on a ledger of many charges, against one plain pass over its table.

    python benchmarks/usage.py [CHARGES]

Prints the median seconds of three runs (wall and CPU), and how many plain passes that is.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aivax_cli.gateway.ids import new_id
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.report import usage_overview, usage_report
from aivax_cli.usage.sums import Selection

BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
MODELS = (
    ("@openai/gpt-5-mini", "0.00000025", "0.000002"),
    ("@openai/gpt-5", "0.00000125", "0.00001"),
    ("@google/gemini-2.5-flash", "0.0000003", "0.0000025"),
    ("@inline/unpriced", None, None),
    ("@local/free", "0", "0"),
)
GATEWAYS = ("docs", "support", "demo", "legal", "internal")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        fill(path, count)
        print(f"{count:,} charges of a year, {path.stat().st_size / 2**20:,.0f} MiB")
        plain = told("one plain pass", lambda: plain_pass(path), None)
        for by in ("day", "month", "gateway", "model", "sku", "key"):
            told(f"usage --by {by}", lambda by=by: report(path, by), plain)
        told("usage --html", lambda: overview(path), plain)


def fill(path: Path, count: int) -> None:
    file = LedgerFile(path)
    with file.writing() as connection:
        connection.executemany(
            "INSERT INTO charges (at, turn_id, gateway, model, sku, quantity, unit_price_usd, description,"
            " estimated) VALUES (?, ?, ?, ?, ?, ?, ?, 'Inference for an AI model', ?)",
            charges(count),
        )
    file.close()


def charges(count: int) -> Iterator[tuple[object, ...]]:
    """Four charges a turn."""
    chance = random.Random(1)
    for number in range(count // 4):
        at = BEGIN + timedelta(days=365) * (4 * number / count)
        turn = new_id(int(at.timestamp() * 1000))
        model, reads, writes = chance.choice(MODELS)
        gateway = chance.choice(GATEWAYS)
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for sku, price in (
            ("rag.embedding.query", "0"),
            ("inference.chat_completions.in", reads),
            ("inference.chat_completions.in.cached", reads),
            ("inference.chat_completions.out", writes),
        ):
            yield stamp, turn, gateway, model, sku, chance.randrange(1, 5000), price, chance.random() < 0.02


def plain_pass(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT sum(quantity) FROM charges NOT INDEXED").fetchone()


def report(path: Path, by: str) -> None:
    file = LedgerFile(path)
    usage_report(file, by, Selection())
    file.close()


def overview(path: Path) -> None:
    file = LedgerFile(path)
    usage_overview(file, Selection())
    file.close()


def told(name: str, work: Callable[[], None], plain_s: float | None) -> float:
    wall, cpu = [], []
    for _ in range(3):
        began, began_cpu = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
    passes = f"{statistics.median(cpu) / plain_s:6.1f} passes" if plain_s else ""
    print(f"{name:22} {statistics.median(wall):6.2f} s  {statistics.median(cpu):6.2f} s CPU  {passes}")
    return statistics.median(cpu)


if __name__ == "__main__":
    main()
