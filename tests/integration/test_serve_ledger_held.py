"""Somebody holds the ledger for seconds: the server answers everybody, and no charge is lost or doubled."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from support.in_process import aivax_here
from support.serving import gateway, served, until
from support.upstream import Upstream, chunk, says, sse

HELD_S = 3.0
QUICK_S = 1.5
"""What an answer without anything to write may take: half of the time that the ledger is held."""
ASKED = {"model": "plain", "prompt": "Hi"}


@pytest.fixture(scope="module")
def upstream():
    with Upstream(says("Hello there.")) as server:
        yield server


@pytest.fixture(scope="module")
def root(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("held")
    limits = "parameters: {max_completion_tokens: 10}\nbudget: {usd_per_day: 1}\n"
    gateway(root, upstream, "plain", number=1)
    gateway(root, upstream, "limited", number=2, more=limits)
    return root


@pytest.fixture(scope="module")
def running(root):
    with served(root) as server:
        assert server.post(ASKED).status_code == 200
        yield server


@contextmanager
def held(root, seconds=HELD_S, name="ledger.db"):
    """The file's write lock, as another process would have it; given back by a thread."""
    connection = sqlite3.connect(root / ".aivax" / name, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(seconds, connection.rollback)
    timer.start()
    try:
        yield timer
    finally:
        timer.join()
        connection.close()


def turns(root) -> dict[str, int]:
    """How many charges each turn has."""
    with sqlite3.connect(root / ".aivax" / "ledger.db") as connection:
        return dict(connection.execute("SELECT turn_id, count(*) FROM charges GROUP BY 1"))


def slowest(running, timer, path="/healthz", **headers) -> float:
    """The longest that a path takes while the timer runs."""
    found = 0.0
    with httpx.Client(timeout=30, trust_env=False, headers=headers) as client:
        while timer.is_alive():
            began = time.perf_counter()
            assert client.get(running.url + path).status_code == 200
            found = max(found, time.perf_counter() - began)
            time.sleep(0.05)
    return found


def test_nobody_else_waits_and_every_charge_is_kept_once(running, root):
    """Whatever is written of a turn: its charges, room in a budget, metadata, an idempotency key."""
    changes: list[dict[str, object]] = [
        {},
        {"stream": True},
        {"metadata": {"user": "42"}},
        {"model": "limited"},
    ]
    changes += [{"idempotency_key": "one"}, {"idempotency_key": "two", "stream": True}]
    before = turns(root)
    with ThreadPoolExecutor(len(changes)) as pool, held(root) as timer:
        asked = [pool.submit(running.post, {**ASKED, **each}) for each in changes]
        assert slowest(running, timer) < QUICK_S
        answers = [each.result() for each in asked]
    assert [each.status_code for each in answers] == [200] * len(changes)
    assert all("there." in each.text for each in answers)
    fresh = {turn: count for turn, count in turns(root).items() if turn not in before}
    assert list(fresh.values()) == [2] * len(changes)


def test_an_answer_does_not_end_before_its_charge_is_kept(running, root):
    with ThreadPoolExecutor(1) as pool, held(root, 1.0) as timer:
        asked = pool.submit(running.post, ASKED)
        while timer.is_alive():
            assert not asked.done() or not timer.is_alive()
            time.sleep(0.02)
        assert asked.result().status_code == 200


def test_a_client_that_leaves_holds_nobody_up_and_is_charged(running, root, upstream):
    upstream.answers(sse([chunk("One ")], end=None, ending="stall"))
    before = turns(root)
    with held(root) as timer:
        with httpx.stream(
            "POST", f"{running.url}/v1/chat/completions", json={**ASKED, "stream": True}
        ) as answer:
            next(answer.iter_lines())
        assert slowest(running, timer) < QUICK_S
    upstream.answers(says("Hello there."))
    until(lambda: len(turns(root)) == len(before) + 1)


def test_a_server_that_is_ended_meanwhile_writes_what_is_left(tmp_path, upstream):
    gateway(tmp_path, upstream, "plain")
    with served(tmp_path) as server:
        server.post(ASKED)
        with ThreadPoolExecutor(1) as pool, held(tmp_path, 2.0):
            asked = pool.submit(server.post, ASKED)
            until(lambda: "in_flight 1" in server.get("/metrics").text)
            assert server.terminate() == 0
        assert asked.result().status_code == 200
    assert list(turns(tmp_path).values()) == [2, 2]


def test_reading_a_key_does_not_wait_for_counting_a_request(tmp_path, upstream):
    gateway(tmp_path, upstream, "plain")
    key = aivax_here("keys", "new", "one", "--rpm", "60", cwd=tmp_path).out.strip()
    with served(tmp_path) as server:
        headers = {"x-api-key": key}
        assert server.post(ASKED, headers=headers).status_code == 200
        with ThreadPoolExecutor(1) as pool, held(tmp_path, 2.5, "keys.db") as timer:
            asked = pool.submit(server.post, ASKED, headers=headers)
            assert slowest(server, timer, "/v1/models", **headers) < QUICK_S
        assert asked.result().status_code == 200
