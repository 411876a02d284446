"""The running server: its files change, its clients leave, it is told to end, there are several of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from support.command_line import aivax
from support.patience import PATIENT_S
from support.serving import gateway, served, until
from support.upstream import Answer, Request, Upstream, chunk, says, silence, sse, status, usage

SOON_S = 10.0
"""What takes a moment may take this long on a machine that does much else; a call to a model, a minute."""
ASKED = {"model": "support", "prompt": "Hi"}
SLOW = sse([chunk(f"{n} ") for n in range(20)] + [chunk(finish="stop", usage=usage(3, 20))], pause_s=0.1)


def charged(workspace) -> list[tuple[str, int, int]]:
    """SKU, tokens, and whether they are an estimate, of every charge; none of a ledger that is being made."""
    try:
        with sqlite3.connect(f"file:{workspace / '.aivax' / 'ledger.db'}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT sku, quantity, estimated FROM charges ORDER BY id").fetchall()
    except sqlite3.OperationalError:
        return []
    return [(str(sku), int(tokens), int(estimated)) for sku, tokens, estimated in rows]


def leaves(server, body: dict, once: Callable[[bytes], bool]) -> bytes:
    """Asks over a bare socket, hangs up once something holds of what has come, and gives that."""
    import json

    host, _, port = server.url.removeprefix("http://").partition(":")
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(data)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + data)
        connection.settimeout(0.05)
        came, ends = b"", time.monotonic() + PATIENT_S
        while not once(came):
            assert time.monotonic() < ends, came
            with suppress(TimeoutError):
                came += connection.recv(65536)
        return came


# Its files


def test_a_changed_gateway_is_served_at_once_and_a_broken_one_stays_as_it_was(tmp_path):
    with Upstream(says("Hello.")) as upstream:
        file = gateway(tmp_path, upstream, more="instructions: First.\n")
        with served(tmp_path) as server:

            def system() -> str:
                assert server.post(ASKED).status_code == 200
                return upstream.bodies[-1]["messages"][0]["content"]

            assert system() == "First."
            gateway(tmp_path, upstream, more="instructions: Second.\n")
            until(lambda: system() == "Second.")
            file.write_text("model: [", encoding="utf-8")
            until(lambda: "support.yaml stays as it was" in server.said)
            assert system() == "Second."
            gateway(tmp_path, upstream, "added", number=2)
            until(lambda: len(server.get("/v1/models").json()["data"]) == 2)
            file.unlink()
            until(lambda: server.post(ASKED).status_code == 404)


def test_changed_files_are_left_unread_when_nobody_wants_them(tmp_path):
    with Upstream(says("Hello.")) as upstream:
        gateway(tmp_path, upstream, more="instructions: First.\n")
        with served(tmp_path, "--no-reload", "--workers", "2") as server:
            gateway(tmp_path, upstream, more="instructions: Second.\n")
            time.sleep(1)
            assert server.post(ASKED).status_code == 200
        assert upstream.bodies[-1]["messages"][0]["content"] == "First."


def test_broken_settings_leave_everything_as_it_was(tmp_path):
    with Upstream(says("Hello.")) as upstream:
        gateway(tmp_path, upstream)
        with served(tmp_path) as server:
            (tmp_path / "aivax.yaml").write_text("nonsense: 1\n", encoding="utf-8")
            until(lambda: "everything stays as it was" in server.said)
            assert server.post(ASKED).status_code == 200


def test_a_server_does_not_start_over_broken_settings(tmp_path):
    with Upstream() as upstream:
        gateway(tmp_path, upstream)
        (tmp_path / "aivax.yaml").write_text("nonsense: 1\n", encoding="utf-8")
        done = aivax("serve", "--port", "0", cwd=tmp_path, home=tmp_path)
    assert done.code == 2
    assert "aivax.yaml:1: nonsense" in done.err


def test_a_taken_port_is_said_in_a_line(tmp_path):
    with Upstream() as upstream:
        gateway(tmp_path, upstream)
        done = aivax("serve", "--port", str(upstream.port), cwd=tmp_path, home=tmp_path)
    assert done.code == 1
    assert "cannot listen on 127.0.0.1" in done.err
    assert "Traceback" not in done.err


def test_models_are_called_directly_where_that_is_allowed(tmp_path):
    with Upstream(says("Direct.")) as upstream:
        gateway(tmp_path, upstream)
        settings = f"providers:\n  mine: {{base_url: {upstream.url}}}\n"
        (tmp_path / "aivax.yaml").write_text(settings, encoding="utf-8")
        with served(tmp_path, "--allow-direct") as server:
            found = server.post({"model": "@mine/some-model", "prompt": "Hi"}).json()
            assert found["model"] == "@mine/some-model"
            assert upstream.bodies[-1]["model"] == "some-model"
            assert server.post({"model": "@nobody/x", "prompt": "Hi"}).status_code == 404


# Its clients


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_word_ends_the_upstream_call(tmp_path, stream):
    with Upstream(silence()) as upstream:
        gateway(tmp_path, upstream)
        with served(tmp_path) as server:
            assert leaves(server, {**ASKED, "stream": stream}, lambda _: bool(upstream.requests)) == b""
            assert upstream.disconnected.wait(SOON_S)
            until(lambda: 'status="499"} 1' in server.get("/metrics").text)
        assert [(sku, estimated) for sku, _, estimated in charged(tmp_path)] == [
            ("inference.chat_completions.in", 1)
        ]


def test_a_client_that_leaves_in_the_middle_pays_for_what_was_said(tmp_path):
    stalled = sse([chunk("some words")], end=None, ending="stall")
    with Upstream(stalled) as upstream:
        gateway(tmp_path, upstream)
        with served(tmp_path) as server:
            leaves(server, {**ASKED, "stream": True}, lambda came: b"some words" in came)
            assert upstream.disconnected.wait(SOON_S)
            until(lambda: len(charged(tmp_path)) == 2)


# Its end


def test_sigterm_lets_streams_end_and_refuses_new_ones(tmp_path):
    with Upstream(SLOW) as upstream:
        gateway(tmp_path, upstream)
        with served(tmp_path) as server, ThreadPoolExecutor(1) as pool:
            answer = pool.submit(server.post, {**ASKED, "stream": True})
            until(lambda: bool(upstream.requests))
            server.process.send_signal(signal.SIGTERM)
            until(lambda: _refused(server.url))
            assert answer.result(PATIENT_S).text.endswith("data: [DONE]\n\n")
            assert server.process.wait(PATIENT_S) == 0
        assert [tokens for _, tokens, _ in charged(tmp_path)] == [3, 20]


def hear(server, heard: list[str]) -> None:
    """Asks for a stream and keeps what comes."""
    body = {**ASKED, "stream": True}
    path = "/v1/chat/completions"
    with httpx.stream("POST", server.url + path, json=body, timeout=PATIENT_S, trust_env=False) as answer:
        for text in answer.iter_text():
            heard.append(text)


def test_a_stream_that_outlasts_the_drain_ends_with_an_error_and_is_charged(tmp_path):
    with Upstream(sse([chunk("word")], end=None, ending="stall")) as upstream:
        gateway(tmp_path, upstream)
        with served(tmp_path, "--drain-s", "1") as server, ThreadPoolExecutor(1) as pool:
            heard: list[str] = []
            answer = pool.submit(hear, server, heard)
            until(lambda: "word" in "".join(heard))
            assert server.terminate() == 0
            answer.result(PATIENT_S)
            assert '"error"' in "".join(heard)
            assert "Traceback" not in server.said
        assert len(charged(tmp_path)) == 2


# Several of it


def test_workers_share_the_port_and_the_ledger_and_are_replaced(tmp_path):
    with Upstream(says("Hi.", prompt=7)) as upstream:
        gateway(tmp_path, upstream)
        with served(tmp_path, "--workers", "2") as server:
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: server.post(ASKED).status_code, range(40)))
            assert answers == [200] * 40
            children = _children(server.process.pid)
            assert len(children) == 2
            os.kill(children[0], signal.SIGKILL)
            until(lambda: "another takes its place" in server.said)
            until(lambda: len(_children(server.process.pid)) == 2)
            until(lambda: server.post(ASKED).status_code == 200)
            assert server.terminate() == 0
        assert sum(tokens for sku, tokens, _ in charged(tmp_path) if sku.endswith(".in")) == 41 * 7


def test_workers_end_when_what_started_them_was_killed(tmp_path):
    with Upstream(says("Hi.")) as upstream:
        gateway(tmp_path, upstream)
        with served(tmp_path, "--workers", "2", "--drain-s", "1") as server:
            server.process.kill()
            until(lambda: _refused(server.url))


def _refused(url: str) -> bool:
    try:
        httpx.get(url + "/healthz", timeout=PATIENT_S, trust_env=False)
    except httpx.TransportError:
        return True
    return False


def _children(pid: int) -> list[int]:
    return [
        int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


# Many at once


def test_many_streams_at_once_are_charged_once_each(tmp_path):
    """200 at a time; every 20th client leaves, every 20th request fails upstream."""
    lock, served_tokens = threading.Lock(), [0]

    def script(request: Request) -> Answer:
        number = int(request.body["messages"][-1]["content"])
        if number % 20 == 0:
            return status(400, "overloaded")
        with lock:
            served_tokens[0] += number if number % 20 != 1 else 0
        events = [chunk("word ") for _ in range(5)]
        return sse([*events, chunk(finish="stop", usage=usage(number, 5))], pause_s=0.02)

    async def ask(client: httpx.AsyncClient, url: str, number: int) -> str:
        body = {"model": "support", "prompt": str(number), "stream": True}
        async with client.stream("POST", url, json=body) as response:
            if response.status_code != 200:
                return str(response.status_code)
            async for line in response.aiter_lines():
                if number % 20 == 1:
                    return "left"
                if line == "data: [DONE]":
                    return "done"
        return "cut"

    async def everybody(url: str) -> list[str]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=PATIENT_S, trust_env=False) as client:
            return await asyncio.gather(*(ask(client, url, number) for number in range(400)))

    with Upstream(script) as upstream:
        gateway(tmp_path, upstream)
        with served(tmp_path) as server:
            found = asyncio.run(everybody(server.url + "/v1/chat/completions"))
            assert sorted(set(found)) == ["400", "done", "left"]
            assert (found.count("400"), found.count("left"), found.count("done")) == (20, 20, 360)
            until(lambda: "aivax_requests_in_flight 0" in server.get("/metrics").text)
            assert _open_sockets(server.process.pid) < 450
    exact = [(sku, tokens) for sku, tokens, estimated in charged(tmp_path) if not estimated]
    assert sum(tokens for sku, tokens in exact if sku.endswith(".in")) >= served_tokens[0]
    done = [tokens for sku, tokens in exact if sku.endswith(".out")]
    assert 360 <= len(done) <= 380
    with sqlite3.connect(tmp_path / ".aivax" / "ledger.db") as connection:
        rows = connection.execute("SELECT turn_id, sku, count(*) FROM charges GROUP BY 1, 2").fetchall()
    assert all(count == 1 for _, _, count in rows)
    assert len({turn for turn, _, _ in rows}) == 380


def _open_sockets(pid: int) -> int:
    count = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            count += str(file.readlink()).startswith("socket:")
    return count
