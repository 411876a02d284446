"""The ledger on a real disk, with real processes."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from support.patience import PATIENT_S

from aivax_cli.core.errors import LedgerError
from aivax_cli.core.types import Charge
from aivax_cli.usage.ledger import SqliteLedger

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def charge(quantity=10, unit="0.00000025", *, sku="inference.chat_completions.in", estimated=False):
    price = None if unit is None else Decimal(unit)
    return Charge(sku, quantity, price, "Inference for AI model '@x/y'", estimated)


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".aivax" / "ledger.db"


def record(ledger, *charges, turn="t1", gateway="g", model="@x/y"):
    ledger.record(charges, turn_id=turn, gateway=gateway, model=model)


def test_nothing_is_created_before_the_first_charge(path):
    with SqliteLedger(path) as ledger:
        assert ledger.summarise("day") == ()
        record(ledger)

    assert not path.parent.exists()


def test_charges_are_there_for_the_next_process(path):
    with SqliteLedger(path) as ledger:
        record(ledger, charge(84), charge(16, "0.000002", sku="inference.chat_completions.out"))

    with SqliteLedger(path) as ledger:
        total = ledger.total()

    assert (total.turns, total.tokens, total.amount_usd) == (1, 100, Decimal("0.000053"))


def test_a_row_holds_the_exact_decimals_as_text_and_the_moment_in_utc(path):
    elsewhere = datetime(2026, 5, 4, 22, 0, tzinfo=UTC).astimezone()
    with SqliteLedger(path, now=lambda: elsewhere) as ledger:
        record(ledger, charge(3, "2.5E-8"))

    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT at, unit_price_usd, amount_usd FROM charges").fetchone()
    assert row == ("2026-05-04T22:00:00.000Z", "0.000000025", "0.000000075")


def test_sums_are_exact_where_floats_would_not_be(path):
    with SqliteLedger(path) as ledger:
        for _ in range(10):
            record(ledger, charge(1, "0.1"), charge(1, "0.2"))

        assert ledger.total().amount_usd == Decimal("3.0")


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("day", ["2026-05-04", "2026-05-05"]),
        ("gateway", ["docs", "support"]),
        ("model", ["@a/one", "@b/two"]),
        ("sku", ["inference.chat_completions.in", "inference.chat_completions.out"]),
    ],
)
def test_usage_is_summed_by(by, keys, path):
    moments = iter([NOON, NOON + timedelta(days=1)])
    with SqliteLedger(path, now=lambda: next(moments)) as ledger:
        record(ledger, charge(1), turn="t1", gateway="docs", model="@a/one")
        out = charge(2, sku="inference.chat_completions.out")
        record(ledger, out, turn="t2", gateway="support", model="@b/two")

        rows = ledger.summarise(by)

    assert [(row.key, row.turns, row.tokens) for row in rows] == [(keys[0], 1, 1), (keys[1], 1, 2)]


def test_two_calls_of_one_turn_count_as_one_turn(path):
    with SqliteLedger(path) as ledger:
        record(ledger, charge(1, "0.1"), turn="t1")
        record(ledger, charge(1, "0.2"), turn="t1")

        assert ledger.summarise("gateway")[0].turns == 1


def test_unpriced_tokens_are_counted_apart(path):
    with SqliteLedger(path) as ledger:
        record(ledger, charge(10), charge(7, None))
        row = ledger.summarise("gateway")[0]

    assert (row.tokens, row.unpriced_tokens, row.amount_usd) == (17, 7, Decimal("0.0000025"))


def test_estimated_tokens_are_counted(path):
    with SqliteLedger(path) as ledger:
        record(ledger, charge(10), charge(7, estimated=True))

        assert ledger.total().estimated_tokens == 7


def test_since_is_included_and_until_is_not(path):
    moments = iter([NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)])
    with SqliteLedger(path, now=lambda: next(moments)) as ledger:
        for quantity in (1, 10, 100):
            record(ledger, charge(quantity))

        total = ledger.total(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=2))

    assert total.tokens == 10


def test_threads_may_share_a_ledger(path):
    with SqliteLedger(path) as ledger:
        threads = [
            threading.Thread(target=lambda: [record(ledger, charge(1)) for _ in range(25)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert ledger.total().tokens == 100


WRITER = """
import sys
from decimal import Decimal
from pathlib import Path
from aivax_cli.core.types import Charge
from aivax_cli.usage.ledger import SqliteLedger
ledger = SqliteLedger(Path(sys.argv[1]), busy_timeout_s=30)
line = Charge("inference.chat_completions.in", 1, Decimal("0.1"), "d")
sys.stdin.readline()
for turn in range(int(sys.argv[2])):
    ledger.record((line, line), turn_id=f"{sys.argv[3]}-{turn}", gateway="g", model="m")
    print(turn, flush=True)
"""


def writer(path, turns, name):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(turns), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_several_processes_beginning_at_once_lose_nothing(path):
    writers = [writer(path, 40, f"w{number}") for number in range(4)]
    for process in writers:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in writers:
        process.communicate(timeout=2 * PATIENT_S)
        assert process.returncode == 0

    with SqliteLedger(path) as ledger:
        total = ledger.total()
    assert (total.turns, total.tokens) == (160, 320)


def test_a_killed_process_loses_nothing_that_was_recorded(path):
    process = writer(path, 1_000_000, "w")
    process.stdin.write("go\n")
    process.stdin.flush()
    for _ in range(50):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    told = 50 + len(process.stdout.read().splitlines())
    process.communicate(timeout=2 * PATIENT_S)

    with SqliteLedger(path) as ledger:
        ledger.check()
        total = ledger.total()
    # The last one may have been kept and not yet told; a turn's two lines are kept together.
    assert total.turns in (told, told + 1)
    assert total.tokens == 2 * total.turns


def test_a_full_disk_is_a_ledger_error_and_spoils_nothing(path):
    with SqliteLedger(path) as ledger:
        record(ledger, charge(1))
    program = """
import resource, sys
from pathlib import Path
from aivax_cli.core.errors import LedgerError
from aivax_cli.core.types import Charge
from aivax_cli.usage.ledger import SqliteLedger
sys.dont_write_bytecode = True
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
ledger = SqliteLedger(Path(sys.argv[1]))
line = Charge("sku", 1, None, "d" * 1000)
try:
    for turn in range(100):
        ledger.record([line], turn_id=str(turn), gateway="g", model="m")
except LedgerError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )

    assert "ledger.db: the ledger cannot be used" in done.stdout, done.stderr
    with SqliteLedger(path) as ledger:
        assert ledger.check() >= 1


def test_a_ledger_that_another_holds_for_too_long_is_an_error(path):
    with SqliteLedger(path, busy_timeout_s=0.05) as ledger:
        record(ledger, charge(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match="locked"):
                record(ledger, charge(1))
        record(ledger, charge(1))

        assert ledger.total().tokens == 2


def test_a_file_that_is_no_ledger_is_called_damaged_and_left_alone(path):
    path.parent.mkdir()
    path.write_bytes(b"not a database, and longer than the header of one: " * 40)

    with SqliteLedger(path) as ledger, pytest.raises(LedgerError, match=r"damaged.*move the file away"):
        ledger.summarise("day")
    assert path.read_bytes().startswith(b"not a database")


def test_a_ledger_with_spoilt_pages_is_found_by_the_check(path):
    with SqliteLedger(path) as ledger:
        for turn in range(200):
            record(ledger, charge(1), turn=str(turn))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096 * 3))

    with SqliteLedger(path) as ledger, pytest.raises(LedgerError, match="damaged"):
        ledger.check()


def test_a_ledger_of_a_newer_program_is_not_touched(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")

    with SqliteLedger(path) as ledger, pytest.raises(LedgerError, match="newer aivax"):
        record(ledger, charge(1))


def test_a_folder_that_cannot_be_made_is_a_ledger_error(tmp_path):
    (tmp_path / ".aivax").write_text("a file where the folder should be")

    with SqliteLedger(tmp_path / ".aivax" / "ledger.db") as ledger, pytest.raises(LedgerError):
        record(ledger, charge(1))
