"""How the models of pools have done, kept beside the charges in the ledger's file."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from aivax_cli.core.errors import LedgerError
from aivax_cli.core.ports import PriceBook
from aivax_cli.core.types import ModelTarget, Trial
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.pool import EXPIRES_S, MOST_TRIALS, Candidate, KeptTrial, arranged, standing

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS trials (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,             -- Unix time, when the trial ended
    model TEXT NOT NULL,
    seconds REAL NOT NULL,        -- to the whole answer, or to the failure
    problem TEXT NOT NULL,        -- empty: it answered
    timed_out INTEGER NOT NULL,
    benched INTEGER NOT NULL,     -- 1: such a failure keeps the model away for a while
    wait_s REAL                   -- what the endpoint asked to wait
)
"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS trials_model ON trials (model, id)"
_LONGEST_PROBLEM: Final = 200


class LedgerPool:
    """Implements `core.ports.ModelPool`. The table is made at the first trial, also in an older ledger.

    `now` gives Unix time, `chance` a number from 0 to 1, drawn evenly.
    """

    def __init__(
        self,
        file: LedgerFile,
        prices: PriceBook,
        *,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._file = file
        self._prices = prices
        self._now = now
        self._chance = chance

    def order(self, targets: Sequence[ModelTarget], price_margin: float) -> tuple[ModelTarget, ...]:
        """All of them in the order in which they are to be tried; by price alone without a sound ledger."""
        try:
            candidates = self.candidates(targets)
        except LedgerError:
            candidates = tuple(Candidate(target, self._prices.prices(target)) for target in targets)
        return tuple(each.target for each in arranged(candidates, price_margin, self._chance()))

    def candidates(self, targets: Sequence[ModelTarget]) -> tuple[Candidate, ...]:
        """The models with their prices and standing, in the given order. Raises LedgerError."""
        now = self._now()
        with self._file.reading() as connection:
            kept = [_trials(connection, target) for target in targets]
        return tuple(
            Candidate(target, self._prices.prices(target), standing(trials, now))
            for target, trials in zip(targets, kept, strict=True)
        )

    def record(self, target: ModelTarget, trial: Trial) -> None:
        """Keeps how one did, and forgets what no longer counts. Raises LedgerError."""
        now = self._now()
        model = _key(target)
        with self._file.writing() as connection:
            connection.execute(_TABLE)
            connection.execute(_INDEX)
            connection.execute(
                "INSERT INTO trials (at, model, seconds, problem, timed_out, benched, wait_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    now,
                    model,
                    trial.seconds,
                    trial.problem[:_LONGEST_PROBLEM],
                    int(trial.timed_out),
                    int(trial.benched),
                    trial.wait_s,
                ),
            )
            connection.execute(
                "DELETE FROM trials WHERE at < ? OR model = ? AND id NOT IN"
                " (SELECT id FROM trials WHERE model = ? ORDER BY id DESC LIMIT ?)",
                (now - EXPIRES_S, model, model, MOST_TRIALS),
            )

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        self._file.close()


def _trials(connection: sqlite3.Connection | None, target: ModelTarget) -> list[KeptTrial]:
    """Oldest first; none where nothing has been tried yet."""
    if connection is None:
        return []
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'trials'")
    if there.fetchone() is None:
        return []
    rows = connection.execute(
        "SELECT at, seconds, problem, timed_out, benched, wait_s FROM trials WHERE model = ? ORDER BY id",
        (_key(target),),
    )
    return [
        KeptTrial(at, Trial(seconds, problem, bool(timed_out), bool(benched), wait_s))
        for at, seconds, problem, timed_out, benched, wait_s in rows
    ]


def _key(target: ModelTarget) -> str:
    """What a model is remembered by: endpoints without a provider are told apart by host and port."""
    if target.provider:
        return target.label
    try:
        parts = urlsplit(target.base_url)
        return f"{target.name} at {parts.hostname}:{parts.port or parts.scheme}"
    except ValueError:
        return target.name
