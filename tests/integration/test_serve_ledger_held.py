"""Somebody holds the ledger for seconds: the server answers everybody, and no charge is lost or doubled."""

from __future__ import annotations

import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
import pytest
from support.in_process import aivax_here
from support.patience import PATIENT_S
from support.serving import gateway, served, until
from support.upstream import Upstream, chunk, says, sse

HELD_S = 3.0
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
def held(root, name="ledger.db"):
    """The file's write lock, as another process would have it, for the block."""
    with closing(sqlite3.connect(root / ".aivax" / name, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def turns(root) -> dict[str, int]:
    """How many charges each turn has."""
    with sqlite3.connect(root / ".aivax" / "ledger.db") as connection:
        return dict(connection.execute("SELECT turn_id, count(*) FROM charges GROUP BY 1"))


def ask_meanwhile(running, seconds=HELD_S, path="/healthz", **headers) -> None:
    """Asks for a path for so long. Whoever had to wait for what is held would wait for ever."""
    ends = time.monotonic() + seconds
    with httpx.Client(timeout=PATIENT_S / 2, trust_env=False, headers=headers) as client:
        while time.monotonic() < ends:
            assert client.get(running.url + path).status_code == 200
            time.sleep(0.05)


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
    with ThreadPoolExecutor(len(changes)) as pool:
        with held(root):
            asked = [pool.submit(running.post, {**ASKED, **each}) for each in changes]
            ask_meanwhile(running)
        answers = [each.result() for each in asked]
    assert [each.status_code for each in answers] == [200] * len(changes)
    assert all("there." in each.text for each in answers)

    def fresh() -> list[int]:
        return [count for turn, count in turns(root).items() if turn not in before]

    until(lambda: fresh() == [2] * len(changes))


def test_an_answer_does_not_end_before_its_charge_is_kept(running, root):
    with ThreadPoolExecutor(1) as pool:
        with held(root):
            asked = pool.submit(running.post, ASKED)
            until(lambda: "in_flight 1" in running.get("/metrics").text)
            time.sleep(0.5)
            assert not asked.done()
        assert asked.result().status_code == 200


def test_a_client_that_leaves_holds_nobody_up_and_is_charged(running, root, upstream):
    upstream.answers(sse([chunk("One ")], end=None, ending="stall"))
    before = turns(root)
    path = "/v1/chat/completions"
    with held(root):
        with httpx.stream(
            "POST", running.url + path, json={**ASKED, "stream": True}, timeout=PATIENT_S
        ) as answer:
            next(answer.iter_lines())
        ask_meanwhile(running)
    upstream.answers(says("Hello there."))
    until(lambda: len(turns(root)) == len(before) + 1)


def test_a_server_that_is_ended_meanwhile_writes_what_is_left(tmp_path, upstream):
    gateway(tmp_path, upstream, "plain")
    with served(tmp_path) as server:
        server.post(ASKED)
        with ThreadPoolExecutor(1) as pool:
            with held(tmp_path):
                asked = pool.submit(server.post, ASKED)
                until(lambda: "in_flight 1" in server.get("/metrics").text)
                server.process.send_signal(signal.SIGTERM)
                time.sleep(1)
            assert server.process.wait(PATIENT_S) == 0
            assert asked.result().status_code == 200
    assert list(turns(tmp_path).values()) == [2, 2]


def test_reading_a_key_does_not_wait_for_counting_a_request(tmp_path, upstream):
    gateway(tmp_path, upstream, "plain")
    key = aivax_here("keys", "new", "one", "--rpm", "60", cwd=tmp_path).out.strip()
    with served(tmp_path) as server:
        headers = {"x-api-key": key}
        assert server.post(ASKED, headers=headers).status_code == 200
        with ThreadPoolExecutor(1) as pool:
            with held(tmp_path, "keys.db"):
                asked = pool.submit(server.post, ASKED, headers=headers)
                ask_meanwhile(server, 1.0, "/v1/models", **headers)
            assert asked.result().status_code == 200
