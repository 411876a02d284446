"""Charges of many turns at once, in a server's ledger: few transactions, and none of them too late."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from aivax_cli.core.types import Charge
from aivax_cli.usage.unwaiting import Bookkeeper, UnwaitingLedger

CHARGE = Charge("inference.chat_completions.in", 7, Decimal("0.000001"), "a call")


def kept(path: Path) -> list[str]:
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        return [turn for (turn,) in connection.execute("SELECT turn_id FROM charges ORDER BY id")]


def record(ledger: UnwaitingLedger, turn_id: str) -> None:
    ledger.record([CHARGE], turn_id=turn_id, gateway="g", model="m")


def test_charges_of_one_round_are_one_transaction(tmp_path):
    path = tmp_path / "ledger.db"
    seen: list[int] = []

    async def turn(ledger: UnwaitingLedger, books: Bookkeeper, number: int) -> None:
        record(ledger, str(number))
        await books.settled()
        seen.append(len(kept(path)))

    async def run() -> None:
        books = Bookkeeper()
        ledger = UnwaitingLedger(path, books)
        await asyncio.gather(*(turn(ledger, books, number) for number in range(8)))
        books.close()
        ledger.close()

    asyncio.run(run())
    assert seen == [8] * 8


def test_the_charges_of_who_is_alone_are_kept_in_the_same_round(tmp_path):
    path = tmp_path / "ledger.db"

    async def run() -> tuple[list[str], list[str]]:
        books = Bookkeeper()
        ledger = UnwaitingLedger(path, books)
        record(ledger, "alone")
        seen: list[str] = []
        asyncio.get_running_loop().call_soon(lambda: seen.extend(("next round", *kept(path))))
        await books.settled(alone=True)
        found = kept(path), list(seen)
        books.close()
        ledger.close()
        return found

    assert asyncio.run(run()) == (["alone"], [])


def test_whoever_waits_for_nothing_is_kept_in_the_next_round(tmp_path):
    async def run() -> list[str]:
        books = Bookkeeper()
        ledger = UnwaitingLedger(tmp_path / "ledger.db", books)
        record(ledger, "left")
        await asyncio.sleep(0)
        found = kept(tmp_path / "ledger.db")
        books.close()
        ledger.close()
        return found

    assert asyncio.run(run()) == ["left"]


def test_what_is_told_after_a_charge_is_done_after_it(tmp_path):
    async def run() -> list[str]:
        books = Bookkeeper()
        ledger = UnwaitingLedger(tmp_path / "ledger.db", books)
        found: list[str] = []
        record(ledger, "first")
        books.do(lambda: found.extend(kept(tmp_path / "ledger.db")), lambda: None)
        books.close()
        ledger.close()
        return found

    assert asyncio.run(run()) == ["first"]


def test_a_thread_keeps_its_charges_itself(tmp_path):
    books = Bookkeeper()
    ledger = UnwaitingLedger(tmp_path / "ledger.db", books)
    thread = threading.Thread(target=record, args=(ledger, "thread"))
    thread.start()
    thread.join()
    assert kept(tmp_path / "ledger.db") == ["thread"]
    books.close()
    ledger.close()


def test_the_last_charges_are_kept_when_the_books_are_closed(tmp_path):
    async def run() -> None:
        books = Bookkeeper()
        ledger = UnwaitingLedger(tmp_path / "ledger.db", books)
        record(ledger, "last")
        await asyncio.to_thread(books.close)
        ledger.close()

    asyncio.run(run())
    assert kept(tmp_path / "ledger.db") == ["last"]
