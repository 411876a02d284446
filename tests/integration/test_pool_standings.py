"""The standing of pool models in the ledger's file: kept, shared, forgotten, and never in the way."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from support.patience import PATIENT_S

from aivax_cli.core.errors import LedgerError
from aivax_cli.core.types import Charge, ModelTarget, Prices, Trial
from aivax_cli.usage.ledger import SqliteLedger
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.pool import EXPIRES_S, MOST_TRIALS
from aivax_cli.usage.price_book import GenaiPriceBook
from aivax_cli.usage.standings import LedgerPool

PRICE = Prices(Decimal("1e-6"), Decimal("1e-6"))


def target(name: str, *, provider: str = "test", base_url: str = "http://127.0.0.1:1/v1") -> ModelTarget:
    return ModelTarget(f"@test/{name}" if provider else name, provider, name, base_url, prices=PRICE)


A, B = target("a"), target("b")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".aivax" / "ledger.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(path: Path, clock: Clock, chance: float = 1.0) -> LedgerPool:
    file = LedgerFile(path, busy_timeout_s=0.1)
    return LedgerPool(file, GenaiPriceBook(), now=clock, chance=lambda: chance)


def order(pool: LedgerPool) -> list[str]:
    return [each.name for each in pool.order((A, B), 0.1)]


def test_looking_at_a_standing_makes_no_file(path: Path, clock: Clock) -> None:
    assert order(opened(path, clock)) == ["a", "b"]
    assert not path.exists()


def test_the_quicker_of_two_equals_is_known_to_the_next_process(path: Path, clock: Clock) -> None:
    first = opened(path, clock)
    first.record(A, Trial(2.0))
    first.record(B, Trial(1.0))
    assert order(opened(path, clock)) == ["b", "a"]
    assert order(opened(path, clock, chance=0.0)) == ["a", "b"]


def test_a_slow_start_is_not_for_ever(path: Path, clock: Clock) -> None:
    pool = opened(path, clock)
    for seconds in (9.0, 1.0, 1.0):
        pool.record(A, Trial(seconds))
    pool.record(B, Trial(2.0))
    assert order(pool) == ["a", "b"]


def test_a_bench_ends_and_a_day_forgets(path: Path, clock: Clock) -> None:
    pool = opened(path, clock)
    pool.record(B, Trial(1.0))
    pool.record(A, Trial(0.1, "HTTP 503", benched=True))
    assert order(pool) == ["b", "a"]
    (candidate, _) = pool.candidates((A, B))
    assert candidate.standing.problem == "HTTP 503"
    assert candidate.standing.benched_until == clock.now + 30
    clock.now += EXPIRES_S + 1
    pool.record(B, Trial(1.0))
    assert order(pool) == ["a", "b"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM trials").fetchone() == (1,)


def test_only_the_newest_trials_are_kept(path: Path, clock: Clock) -> None:
    pool = opened(path, clock)
    pool.record(B, Trial(1.0))
    for _ in range(MOST_TRIALS + 5):
        pool.record(A, Trial(1.0))
    with closing(sqlite3.connect(path)) as connection:
        kept = dict(connection.execute("SELECT model, count(*) FROM trials GROUP BY 1").fetchall())
    assert kept == {"@test/a": MOST_TRIALS, "@test/b": 1}


def test_endpoints_without_a_provider_are_told_apart(path: Path, clock: Clock) -> None:
    one, other = (target("m", provider="", base_url=f"http://u:pw@127.0.0.1:{port}/v1") for port in (1, 2))
    pool = opened(path, clock)
    pool.record(one, Trial(1.0))
    assert [each.standing.samples for each in pool.candidates((one, other))] == [1, 0]
    assert b"pw" not in path.read_bytes()


def test_a_ledger_of_an_older_version_gets_the_table_and_keeps_its_charges(path: Path, clock: Clock) -> None:
    with SqliteLedger(path) as ledger:
        ledger.record((Charge("sku", 3, None, "d"),), turn_id="t", gateway="g", model="m")
    pool = opened(path, clock)
    assert order(pool) == ["a", "b"]
    pool.record(A, Trial(1.0))
    assert order(pool) == ["b", "a"]
    with SqliteLedger(path) as ledger:
        assert ledger.total().tokens == 3
        assert ledger.check() == 1


def test_charges_can_be_kept_in_a_file_that_began_with_trials(path: Path, clock: Clock) -> None:
    opened(path, clock).record(A, Trial(1.0))
    with SqliteLedger(path) as ledger:
        ledger.record((Charge("sku", 3, None, "d"),), turn_id="t", gateway="g", model="m")
        assert ledger.total().tokens == 3


def test_a_file_that_cannot_be_used_leaves_the_order_to_the_prices(path: Path, clock: Clock) -> None:
    path.mkdir(parents=True)
    pool = opened(path, clock)
    assert order(pool) == ["a", "b"]
    with pytest.raises(LedgerError, match=r"ledger\.db"):
        pool.record(A, Trial(1.0))


def test_a_ledger_that_another_holds_is_not_waited_for_long(path: Path, clock: Clock) -> None:
    pool = opened(path, clock)
    pool.record(A, Trial(1.0))
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert order(pool) == ["b", "a"]
        with pytest.raises(LedgerError, match="locked"):
            pool.record(B, Trial(1.0))


WRITER = """
import sys
from pathlib import Path
from aivax_cli.core.types import ModelTarget, Trial
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.price_book import GenaiPriceBook
from aivax_cli.usage.standings import LedgerPool
pool = LedgerPool(LedgerFile(Path(sys.argv[1]), busy_timeout_s=30), GenaiPriceBook())
target = ModelTarget(f"@test/{sys.argv[2]}", "test", sys.argv[2], "http://127.0.0.1/v1")
sys.stdin.readline()
for _ in range(15):
    pool.record(target, Trial(1.0))
"""


def test_several_processes_beginning_at_once_lose_nothing(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, text=True) for name in "abc"]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=PATIENT_S)
        assert writer.returncode == 0
    with closing(sqlite3.connect(path)) as connection:
        kept = dict(connection.execute("SELECT model, count(*) FROM trials GROUP BY 1").fetchall())
    assert kept == {"@test/a": 15, "@test/b": 15, "@test/c": 15}
