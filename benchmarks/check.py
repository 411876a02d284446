"""What `aivax check` costs around the answers that it waits for: whole processes, side by side.

    python benchmarks/check.py [--tests 100] [--rounds 5] [--promptfoo PATH-OF-ITS-main.js]

A server in a process of its own answers every request after 50 ms. Its answers are checked, one assertion a
test, by `aivax check`, by a bare loop of asyncio and httpx that does nothing else, and by promptfoo where it
is given (`npm install promptfoo`, then its `dist/src/main.js`); all in one run, by turns. Wall and CPU
seconds are medians, peak memory is the highest. The ratios count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

DELAY_S = 0.05
CONCURRENCIES = (4, 20)
# An installed package has its bytecode: one that is edited, and may write none, is compiled at every start.
_LEFT_OUT = ("AIVAX_", "CI", "PYTHONDONTWRITEBYTECODE")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process: seconds by the clock and of processor time, and megabytes at the peak."""

    wall_s: float
    cpu_s: float
    peak_mb: float


async def serve(ready: Connection) -> None:
    """Answers chat completions after `DELAY_S`, streamed or whole as asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError):
                writer.close()
                return
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            await asyncio.sleep(DELAY_S)
            writer.write(streamed() if body.get("stream") else whole())
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    ready.send(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


def streamed() -> bytes:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    chunks = [
        {"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "It is "}}]},
        {"model": "m", "choices": [{"index": 0, "delta": {"content": "Paris."}}]},
        {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"model": "m", "choices": [], "usage": usage},
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    return _response(b"text/event-stream", body + b"data: [DONE]\n\n")


def whole() -> bytes:
    message = {"role": "assistant", "content": "It is Paris."}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _response(
        b"application/json", json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
    )


def _response(kind: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)


def run_server(ready: Connection) -> None:
    asyncio.run(serve(ready))


BARE = """
import asyncio, json, sys
import httpx
url, tests, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
async def main():
    room = asyncio.Semaphore(concurrency)
    async with httpx.AsyncClient(timeout=30) as client:
        async def one(n):
            async with room:
                body = {"model": "m", "messages": [{"role": "user", "content": f"Question {n}?"}]}
                answer = (await client.post(f"{url}/chat/completions", json=body)).json()
                return "Paris" in answer["choices"][0]["message"]["content"]
        assert all(await asyncio.gather(*(one(n) for n in range(tests))))
asyncio.run(main())
"""


def workspace(folder: Path, url: str, tests: int, concurrency: int) -> None:
    (folder / "gateways").mkdir(parents=True)
    (folder / "checks").mkdir()
    (folder / "gateways" / "g.yaml").write_text(
        f"id: 0199c3f0-0000-7000-8000-000000000001\nname: g\nmodel: {{base_url: '{url}', name: m}}\n"
    )
    cases = [
        {"id": f"t{n}", "input": f"Question {n}?", "expect": [{"contains": "Paris"}]} for n in range(tests)
    ]
    (folder / "checks" / "t.yaml").write_text(
        json.dumps({"gateway": "g", "run": {"concurrency": concurrency}, "tests": cases})
    )


def promptfoo_config(file: Path, url: str, tests: int) -> None:
    provider = {"id": "openai:chat:m", "config": {"apiBaseUrl": url, "apiKey": "none"}}
    cases = [
        {"vars": {"question": f"Question {n}?"}, "assert": [{"type": "contains", "value": "Paris"}]}
        for n in range(tests)
    ]
    file.write_text(json.dumps({"prompts": ["{{question}}"], "providers": [provider], "tests": cases}))


def timed(command: Sequence[str], cwd: Path, environ: dict[str, str]) -> Cost:
    """Runs a process to its end; it must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{command[0]} failed: {errors.decode()[-500:]}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * scale / 1e6)


def measure(commands: dict[str, Callable[[], Cost]], rounds: int) -> dict[str, tuple[float, float, float]]:
    """Medians of wall and CPU seconds and the highest peak, by turns, after one unmeasured round."""
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, run in commands.items():
            cost = run()
            if number:
                found[name].append(cost)
    return {
        name: (
            statistics.median(cost.wall_s for cost in costs),
            statistics.median(cost.cpu_s for cost in costs),
            max(cost.peak_mb for cost in costs),
        )
        for name, costs in found.items()
    }


def compare(url: str, arguments: argparse.Namespace, concurrency: int, folder: Path) -> None:
    tests = arguments.tests
    workspace(folder, url, tests, concurrency)
    aivax = str(Path(sys.executable).parent / "aivax")
    environ = {**CLEAN, "HOME": str(folder), "NO_PROXY": "*"}
    commands = {
        "aivax check": lambda: timed([aivax, "check", "-q"], folder, environ),
        "bare loop": lambda: timed(
            [sys.executable, "-c", BARE, url, str(tests), str(concurrency)], folder, environ
        ),
    }
    if arguments.promptfoo:
        promptfoo_config(folder / "promptfoo.json", url, tests)
        quiet = {
            **environ,
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_CACHE_ENABLED": "false",
        }
        line = ["node", arguments.promptfoo, "eval", "-c", "promptfoo.json", "--no-cache", "--no-table"]
        commands["promptfoo"] = lambda: timed(
            [*line, "--no-progress-bar", "-j", str(concurrency)], folder, quiet
        )
    figures = measure(commands, arguments.rounds)
    bare = figures["bare loop"]
    print(f"{tests} tests, {concurrency} at once, answers after {DELAY_S * 1000:.0f} ms")
    for name, (wall_s, cpu_s, peak_mb) in figures.items():
        print(
            f"  {name:12} {wall_s:6.2f} s wall ({wall_s / bare[0]:5.2f} of the bare loop's)"
            f"   {cpu_s:6.2f} s CPU ({cpu_s / bare[1]:5.2f})   {peak_mb:6.0f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--promptfoo", metavar="MAIN.JS")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=run_server, args=(there,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{here.recv()}/v1"
        for concurrency in CONCURRENCIES:
            with tempfile.TemporaryDirectory() as folder:
                compare(url, arguments, concurrency, Path(folder))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
