"""What `aivax serve` costs in front of a model, beside calling it directly, a bare pass-through, and LiteLLM.

    python benchmarks/serve.py [--seconds 3] [--litellm PATH/TO/litellm]

One upstream on loopback that answers at once; every way in turn, in one run: requests a second and latency at
1, 16 and 64 requests at once, then CPU per chunk that the upstream streams (16 streams of 100 chunks, 2 ms
apart, and of 40, 25 ms apart). The ledger is on. The pass-through is Starlette on uvicorn that hands the body
on over httpx and aiohttp, parses nothing and keeps no account; "of it" is the requests a second beside its
own, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import cast

import aiohttp

CONCURRENCY = (1, 16, 64)
STREAMS = 16
PACES = {"quick": (100, 0.002), "slow": (40, 0.025)}
"""How many chunks, and the seconds between two, by the word in the message."""
ROUNDS = 5
USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
ASKED = {"model": "bench", "messages": [{"role": "user", "content": "What is the capital of France?"}]}


# The upstream


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _whole() -> bytes:
    message = {"role": "assistant", "content": "Paris it is."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps({**body, "usage": USAGE}).encode()


def _short_stream() -> bytes:
    words = b"".join(_chunk({"content": word}) for word in ("Paris ", "it ", "is."))
    tail = b"data: " + json.dumps({"model": "m", "choices": [], "usage": USAGE}).encode() + b"\n\n"
    return words + _chunk({}, "stop") + tail + b"data: [DONE]\n\n"


class _Upstream(asyncio.Protocol):
    """HTTP by hand, so that the upstream is never what is measured. Streams have a pace in the message."""

    whole, short = _whole(), _short_stream()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.data = b""
        pace = next((PACES[word] for word in PACES if word.encode() in body), None)
        if pace is not None:
            self.task = asyncio.ensure_future(self.stream(*pace))
        elif b'"stream":true' in body.replace(b" ", b""):
            self.answer(b"text/event-stream", self.short)
        else:
            self.answer(b"application/json", self.whole)

    def answer(self, kind: bytes, body: bytes) -> None:
        self.transport.write(self.head % kind + b"content-length: %d\r\n\r\n" % len(body) + body)

    async def stream(self, chunks: int, pause_s: float) -> None:
        self.transport.write(self.head % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n")
        word = _chunk({"content": "word "})
        for _ in range(chunks):
            self.transport.write(b"%x\r\n%b\r\n" % (len(word), word))
            await asyncio.sleep(pause_s)
        rest = self.short[self.short.index(b'data: {"id": "c1"') :]
        self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest))


async def _run_upstream(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Upstream, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


# The bare pass-through


async def _run_pass_through(port: int, upstream: str) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    from aivax_cli.model.aiohttp_transport import aiohttp_client

    client = aiohttp_client(timeout=60, trust_env=False)
    url = f"{upstream}/chat/completions"
    headers = {"content-type": "application/json"}

    async def passed(request: Request) -> Response:
        body = await request.body()
        if not json.loads(body).get("stream"):
            whole = await client.post(url, content=body, headers=headers)
            return Response(whole.content, media_type="application/json")
        response = await client.send(
            client.build_request("POST", url, content=body, headers=headers), stream=True
        )
        return StreamingResponse(response.aiter_raw(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", passed, methods=["POST"])])
    config = uvicorn.Config(app, port=port, log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()


# The measuring


@dataclass(frozen=True, slots=True)
class Figures:
    """Requests a second, seconds of the median and the slowest twentieth, the server's CPU seconds each."""

    per_s: float
    p50_s: float
    p95_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """A server that runs."""

    url: str
    pid: int
    started_s: float = 0.0


async def load(place: Place, concurrency: int, seconds: float) -> Figures:
    """Asks as often as it goes."""
    url = place.url
    took: list[float] = []
    body = json.dumps(ASKED).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
                assert response.status == 200, await response.text()
                await response.read()

        async def ask(until: float) -> None:
            while (began := time.perf_counter()) < until:
                await one()
                took.append(time.perf_counter() - began)

        await asyncio.gather(*(one() for _ in range(concurrency)))
        began, cpu = time.perf_counter(), cpu_s(place.pid)
        await asyncio.gather(*(ask(began + seconds) for _ in range(concurrency)))
        whole = time.perf_counter() - began
    took.sort()
    cpu = cpu_s(place.pid) - cpu
    return Figures(len(took) / whole, statistics.median(took), took[int(len(took) * 0.95)], cpu / len(took))


async def streamed(place: Place, pace: str) -> tuple[float, float]:
    """CPU seconds of the process a chunk, and the median wait in seconds for the first byte."""
    url, pid = place.url, place.pid
    first: list[float] = []
    body = json.dumps({**ASKED, "stream": True, "messages": [{"role": "user", "content": pace}]}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            began = time.perf_counter()
            async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
                await response.content.readany()
                first.append(time.perf_counter() - began)
                await response.read()

        await one()
        before = cpu_s(pid)
        await asyncio.gather(*(one() for _ in range(STREAMS)))
        spent = cpu_s(pid) - before
    return spent / (STREAMS * PACES[pace][0]), statistics.median(first)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has taken: by its own clock, where the system lets others read it."""
    with suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of a process, as Linux numbers clocks
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    return (
        int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        * os.sysconf("SC_PAGE_SIZE")
        / 1e6
    )


# The ways


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, cwd: str) -> Iterator[tuple[int, float]]:
    """A server in a process of its own: its number, and the seconds until it listened."""
    began = time.perf_counter()
    environ = {**os.environ, "HOME": cwd, "NO_PROXY": "*"}
    process = subprocess.Popen(
        command, cwd=cwd, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.perf_counter() - began > 120:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.02)
        yield process.pid, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def workspace(root: Path, upstream: str) -> None:
    """One gateway without knowledge."""
    (root / "gateways").mkdir(parents=True)
    (root / "gateways" / "bench.yaml").write_text(
        "id: 0199c3f0-0000-7000-8000-000000000001\nname: bench\n"
        f'model: {{base_url: "{upstream}", name: m}}\npricing: {{input: 1, output: 2}}\n',
        encoding="utf-8",
    )


def litellm_config(root: Path, upstream: str) -> None:
    """The same model for LiteLLM's proxy, without a key as well, which it wants to be told twice."""
    (root / "litellm.yaml").write_text(
        "model_list:\n- model_name: bench\n  litellm_params:\n"
        f"    model: openai/m\n    api_base: {upstream}\n    api_key: none\n"
        "general_settings:\n  dangerously_permit_weak_or_unset_master_key: true\n",
        encoding="utf-8",
    )


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load lasts")
    parser.add_argument("--litellm", help="LiteLLM's executable")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--upstream", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        kind, port = given.run[0], int(given.run[1])
        work = _run_upstream(port) if kind == "upstream" else _run_pass_through(port, given.upstream)
        import uvloop

        uvloop.run(work)
        return
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), given.seconds, given.litellm)


def _measure(root: Path, seconds: float, litellm: str | None) -> None:
    me = [sys.executable, str(Path(__file__).resolve())]
    port = free_port()
    upstream = f"http://127.0.0.1:{port}/v1"
    workspace(root, upstream)
    litellm_config(root, upstream)
    ports = [free_port() for _ in range(3)]
    ways = {
        "pass-through": [*me, "--run", "pass", str(ports[0]), "--upstream", upstream],
        "aivax serve": [sys.executable, "-m", "aivax_cli", "serve", "--port", str(ports[1])],
    }
    if litellm:
        ways["litellm"] = [litellm, "--config", "litellm.yaml", "--port", str(ports[2])]
    ended = ExitStack()
    with ended:
        pid, _ = ended.enter_context(running([*me, "--run", "upstream", str(port)], port, str(root)))
        places = {"direct": Place(upstream, pid)}
        for (name, command), at in zip(ways.items(), ports, strict=False):
            pid, started_s = ended.enter_context(running(command, at, str(root)))
            places[name] = Place(f"http://127.0.0.1:{at}/v1", pid, started_s)
        _loads(places, seconds)
        _streams({name: place for name, place in places.items() if name != "direct"})


def _loads(places: dict[str, Place], seconds: float) -> None:
    """Every way in turn, `ROUNDS` times; medians, because a machine has other things to do."""
    heads = (
        f"{'at once':>8} {'requests/s':>11} {'of it':>6} {'p50 ms':>8} {'p95 ms':>8} {'µs CPU a request':>17}"
    )
    print(f"{'':14} {heads}")
    for concurrency in CONCURRENCY:
        found: dict[str, list[Figures]] = {name: [] for name in places}
        for _ in range(ROUNDS):
            for name, place in places.items():
                found[name].append(asyncio.run(load(place, concurrency, seconds / ROUNDS)))
        for name, figures in found.items():
            per_s, p50, p95, cpu = (
                statistics.median(each) for each in zip(*map(astuple, figures), strict=True)
            )
            bare = zip(figures, found["pass-through"], strict=True)
            share = statistics.median(each.per_s / beside.per_s for each, beside in bare)
            row = f"{per_s:11,.0f} {share:6.2f} {p50 * 1e3:8.2f} {p95 * 1e3:8.2f} {cpu * 1e6:17,.0f}"
            print(f"{name:14} {concurrency:8} {row}", flush=True)


def _streams(places: dict[str, Place]) -> None:
    paces = [f"µs CPU a chunk, {pause_s * 1e3:.0f} ms apart" for _, pause_s in PACES.values()]
    print(f"{'':14} {paces[0]:>27} {paces[1]:>27} {'first byte ms':>14} {'listening after s':>18} {'MB':>5}")
    found: dict[str, dict[str, list[tuple[float, float]]]] = {
        name: {pace: [] for pace in PACES} for name in places
    }
    for number in range(ROUNDS + 1):
        for name, place in places.items():
            for pace, figures in found[name].items():
                figure = asyncio.run(streamed(place, pace))
                if number:  # the first round makes the connections
                    figures.append(figure)
    for name, place in places.items():
        cpu = [statistics.median(each for each, _ in figures) * 1e6 for figures in found[name].values()]
        first_s = statistics.median(each for _, each in found[name]["slow"])
        row = f"{first_s * 1e3:14.1f} {place.started_s:18.2f} {rss_mb(place.pid):5.0f}"
        print(f"{name:14} {cpu[0]:27.0f} {cpu[1]:27.0f} {row}", flush=True)


if __name__ == "__main__":
    main()
