"""`aivax serve` while clients leave and the model's endpoint fails: nothing is lost, doubled or left over.

    python benchmarks/serve_soak.py [--seconds 60] [--streams 200]

One upstream on loopback whose streams take a second; so many of them at once, for so long. Of every 20
requests one client leaves (before the first word, or in the middle) and one fails upstream (refused; refused
once and then answered; broken off in the middle). Every request has a number, so that the ledger is held
against the upstream's own record request by request. Afterwards the server's tasks, generators, sockets and
memory are held against those from before. What is not as it has to be is printed; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import AsyncGeneratorType

import aiohttp
from serve import cpu_s, free_port, rss_mb, running, workspace

FIRST_NUMBER = 1_000
"""More than there are words in an answer: the tokens of a charge tell which it is."""
WORDS, PAUSE_S = 20, 0.05
HEARD_BEFORE_LEAVING = 5
LONG_SILENCE_S, PATIENCE_S = 1.0, 0.4
WARM_UP_PART = 0.25
KEPT_ALIVE_S = 20.0
"""The server keeps a connection to the model for 15 s after its last use."""
SETTLED_S = 60.0
"""Long enough for any machine to come to rest after the load."""
FLAT_RATIO, FLAT_MB = 1.10, 12.0
"""Memory is flat when it grows by no more than either of these after the warm-up."""
OBJECTS_FILE = "objects.json"


def fate(number: int) -> str:
    """What becomes of a request, by its number."""
    turn = number // 20
    if number % 20 == 0:
        return ("refused", "refused once", "cut")[turn % 3]
    if number % 20 == 1:
        return ("left silent", "left")[turn % 2]
    return "done"


# The upstream


@dataclass(slots=True)
class Record:
    """What the upstream did: by number, how each attempt ended."""

    attempts: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))


def _event(value: object) -> bytes:
    data = b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chunk(content: str | None, finish: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


async def _serve_upstream(port: int) -> None:
    record = Record()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /record"):
                    body = json.dumps(record.attempts).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
                    continue
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                number = int(asked["messages"][-1]["content"])
                ended = record.attempts[number]
                ended.append("left")  # unless something else becomes of it
                ended[-1] = await _answered(number, len(ended), reader, writer)
                if ended[-1] in ("left", "cut"):
                    break
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


async def _answered(
    number: int, attempt: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> str:
    what = fate(number)
    if what == "refused" or (what == "refused once" and attempt == 1):
        status = b"400 Bad Request" if what == "refused" else b"503 Service Unavailable"
        body = b'{"error": {"message": "not now", "type": "test"}}'
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % (status, len(body)) + body)
        return "refused"
    if what == "left silent":
        await asyncio.sleep(LONG_SILENCE_S)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    word = _chunk("word ")
    for place in range(WORDS):
        if reader.at_eof():
            return "left"
        if what == "cut" and place == WORDS // 2:
            return "cut"
        writer.write(word)
        await writer.drain()
        await asyncio.sleep(PAUSE_S)
    if reader.at_eof():
        return "left"
    usage = {"prompt_tokens": number, "completion_tokens": WORDS, "total_tokens": number + WORDS}
    tail = _event({"model": "m", "choices": [], "usage": usage}) + _event(b"[DONE]") + b"0\r\n\r\n"
    writer.write(_chunk(None, "stop") + tail)
    await writer.drain()
    return "whole"


# The server, which tells on SIGUSR1 how many tasks and generators there are in it


def _serve_gateways(port: int) -> None:
    def told(*_: object) -> None:
        alive: Counter[str] = Counter()
        for each in gc.get_objects():
            if type(each) is asyncio.Task and not each.done():
                alive["tasks"] += 1
            elif type(each) is AsyncGeneratorType and each.ag_frame is not None:
                alive["generators"] += 1
        found = {"tasks": alive["tasks"], "generators": alive["generators"]}
        file = Path(OBJECTS_FILE)
        file.with_suffix(".new").write_text(json.dumps(found), encoding="ascii")
        file.with_suffix(".new").replace(file)

    signal.signal(signal.SIGUSR1, told)
    sys.argv = ["aivax", "serve", "--port", str(port)]
    from aivax_cli.__main__ import main

    main()


# The clients


async def _ask(session: aiohttp.ClientSession, url: str, number: int) -> str:
    """How a request ended, as its client saw it."""
    what = fate(number)
    body = {"model": "bench", "prompt": str(number), "stream": True, "metadata": {"n": str(number)}}
    patience = PATIENCE_S if what == "left silent" else 120
    try:
        async with asyncio.timeout(patience), session.post(url, json=body) as response:
            if response.status != 200:
                return str(response.status)
            heard = 0
            async for line in response.content:
                heard += line.count(b"word ")
                if line.startswith(b'data: {"error"'):
                    return "error"
                if line == b"data: [DONE]\n":
                    return "done"
                if what == "left" and heard > HEARD_BEFORE_LEAVING:
                    response.close()
                    return "left"
    except TimeoutError:
        return "left" if what == "left silent" else "nothing came"
    except aiohttp.ClientError as error:
        return type(error).__name__
    return "broke off"


async def _load(url: str, streams: int, seconds: float, seen: dict[int, str], pid: int) -> float:
    """Keeps so many streams going. Fills `seen`; returns the memory in MB after the warm-up."""
    numbers = itertools.count(FIRST_NUMBER + len(seen))
    until = time.perf_counter() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one_after_another(place: int) -> None:
            await asyncio.sleep(place / streams)
            while time.perf_counter() < until:
                number = next(numbers)
                seen[number] = await _ask(session, url, number)

        async def warm() -> float:
            await asyncio.sleep(seconds * WARM_UP_PART)
            return rss_mb(pid)

        async with asyncio.TaskGroup() as everybody:
            memory = everybody.create_task(warm())
            for place in range(streams):
                everybody.create_task(one_after_another(place))
    return memory.result()


# What has to hold


def charge_faults(
    record: Mapping[int, Sequence[str]], charges: Mapping[int, Sequence[tuple[str, int, int]]]
) -> Iterator[str]:
    """Where the ledger is not what the upstream's record says. Charges are (SKU, tokens, estimated)."""
    for number in sorted(record.keys() | charges.keys()):
        ended, found = record.get(number, ()), charges.get(number, ())
        # Whoever leaves while the request is being sent is charged like one whose request has arrived.
        last = ended[-1] if ended else "left" if fate(number).startswith("left") else "never asked"
        skus = sorted(sku.rpartition(".")[2] for sku, _, _ in found)
        exact = sorted(tokens for _, tokens, estimated in found if not estimated)
        if last in ("refused", "never asked"):
            sound = not found
        elif last == "whole" and fate(number) in ("done", "refused once"):
            sound = skus == ["in", "out"] and exact == sorted((number, WORDS))
        else:
            # What was under way is paid for: by an estimate, unless the end had come by then.
            sound = skus in (["in"], ["in", "out"]) and exact in ([], sorted((number, WORDS)))
            sound = sound or not (ended or found)
        if not sound:
            yield f"request {number} ({fate(number)}): upstream {ended}, ledger {list(found)}"


def client_faults(seen: Mapping[int, str]) -> Iterator[str]:
    """Where a client did not see what it should have."""
    right = {"refused": "400", "cut": "error", "left silent": "left"}
    for number, saw in sorted(seen.items()):
        what = fate(number)
        wanted = right.get(what, "done" if what == "refused once" else what)
        if saw != wanted:
            yield f"request {number} ({what}): its client saw {saw!r}"


def _charges(root: Path) -> dict[int, list[tuple[str, int, int]]]:
    found: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    with sqlite3.connect(root / ".aivax" / "ledger.db") as ledger:
        rows = ledger.execute(
            "SELECT value, sku, quantity, estimated FROM charges"
            " LEFT JOIN turn_metadata ON turn_metadata.turn_id = charges.turn_id AND key = 'n'"
        )
        for number, *charge in rows:
            found[int(number) if number else -1].append((str(charge[0]), int(charge[1]), int(charge[2])))
    return found


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    sockets: int
    threads: int
    tasks: int
    generators: int

    @classmethod
    def of(cls, root: Path, pid: int) -> Held:
        file = root / OBJECTS_FILE
        file.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        _wait(file.exists, SETTLED_S)
        sockets = 0
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets += str(each.readlink()).startswith("socket:")
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        return cls(sockets, threads, **json.loads(file.read_text(encoding="ascii")))


def grown(before: Held, after: Held) -> list[str]:
    """What there is more of, of what ends with a request."""
    return [name for name in ("tasks", "generators") if getattr(after, name) > getattr(before, name)]


def _wait(holds: object, seconds: float) -> bool:
    assert callable(holds)
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


async def _text(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


def _soak(root: Path, seconds: float, streams: int, *, connections: bool) -> list[str]:
    me = [sys.executable, str(Path(__file__).resolve()), "--run"]
    at, port = free_port(), free_port()
    workspace(root, f"http://127.0.0.1:{at}/v1")
    with (
        running([*me, "upstream", str(at)], at, str(root)),
        running([*me, "serve", str(port)], port, str(root)) as (pid, _),
    ):
        url = f"http://127.0.0.1:{port}"
        seen: dict[int, str] = {}
        asyncio.run(_load(f"{url}/v1/chat/completions", 2, 0.1, seen, pid))
        _wait(lambda: "in_flight 0" in asyncio.run(_text(f"{url}/metrics")), SETTLED_S)
        before, spent, began = Held.of(root, pid), cpu_s(pid), time.perf_counter()
        warm_mb = asyncio.run(_load(f"{url}/v1/chat/completions", streams, seconds, seen, pid))
        took, spent = time.perf_counter() - began, cpu_s(pid) - spent
        settled = _wait(lambda: "in_flight 0" in asyncio.run(_text(f"{url}/metrics")), SETTLED_S)
        _wait(lambda: not grown(before, Held.of(root, pid)), SETTLED_S)
        if connections:
            _wait(lambda: Held.of(root, pid).sockets <= before.sockets, KEPT_ALIVE_S)
        after, end_mb = Held.of(root, pid), rss_mb(pid)
        record = json.loads(asyncio.run(_text(f"http://127.0.0.1:{at}/record")))
    asked = {int(number): ended for number, ended in record.items()}
    charges = _charges(root)
    faults = [*client_faults(seen), *charge_faults(asked, charges)]
    if not settled:
        faults.append("requests are still in flight")
    if connections and after.sockets > before.sockets:
        faults.append(f"{after.sockets} sockets are open, {before.sockets} were before")
    for name in grown(before, after):
        faults.append(f"{getattr(after, name)} {name} are left, {getattr(before, name)} were before")
    if end_mb > max(warm_mb * FLAT_RATIO, warm_mb + FLAT_MB):
        faults.append(f"memory grew from {warm_mb:.0f} to {end_mb:.0f} MB")
    outcomes = Counter(fate(number) for number in seen)
    unsent = len(charges.keys() - asked.keys())
    tokens = sum(tokens for found in charges.values() for _, tokens, _ in found)
    print(
        f"{len(seen):,} streams in {took:.1f} s, {streams} at once; {spent / len(seen) * 1e3:.2f} ms CPU each"
    )
    print("  " + ", ".join(f"{name} {count:,}" for name, count in sorted(outcomes.items())))
    print(f"  {len(charges):,} of them charged, {tokens:,} tokens; {unsent} left while they were being sent")
    print(f"memory {warm_mb:.1f} MB after the warm-up, {end_mb:.1f} MB at the end ({end_mb / warm_mb:.3f})")
    print(f"before {before}\nafter  {after}")
    return faults


def main() -> None:
    """Runs the load and prints what it came to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the load lasts")
    parser.add_argument("--streams", type=int, default=200, help="how many streams at once")
    parser.add_argument(
        "--no-wait", action="store_true", help="do not wait for the server's idle connections to end"
    )
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        kind, port = given.run[0], int(given.run[1])
        if kind == "serve":
            _serve_gateways(port)
        else:
            import uvloop

            uvloop.run(_serve_upstream(port))
        return
    with tempfile.TemporaryDirectory() as folder:
        faults = _soak(Path(folder), given.seconds, given.streams, connections=not given.no_wait)
    for fault in faults[:20]:
        print(f"FAULT {fault}")
    print(f"{len(faults)} faults")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
