"""What the client costs in CPU per streamed chunk, against the least that httpx allows.

    python benchmarks/wire.py

A server in a process of its own streams chunks, one packet at a time as models do, then as fast as it can.
They are read by turns by `HttpChatModel` and by a bare loop (`httpx.AsyncClient.stream`, `aiter_lines`,
`json.loads`) in this process, whose CPU time is measured. The ratio is what counts; absolute times drift with
the machine.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from multiprocessing.connection import Connection

import httpx

from aivax_cli.core.types import Message, ModelCall, ModelTarget, ModelText, Purpose
from aivax_cli.model.client import HttpChatModel

CHUNKS = 1_000
ROUNDS = 5
# Between two packets; the path says which.
PAUSES_S = {"paced": 0.0002, "burst": None}


def chunk(text: str) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    return {
        "id": "chatcmpl-0198d263fd8076458b0",
        "object": "chat.completion.chunk",
        "created": 1755876425,
        "model": "@openai/gpt-5-mini",
        "system_fingerprint": "fp_2su4hm",
        "choices": [choice],
        "usage": None,
    }


async def serve(ready: Connection) -> None:
    """Answers every request with the same stream, each chunk in a write of its own."""
    events = [f"data: {json.dumps(chunk(f'word{n} '))}\n\n".encode() for n in range(CHUNKS)]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    events += [f"data: {json.dumps(last)}\n\n".encode(), b"data: [DONE]\n\n"]
    frames = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await read_head(reader):
            pause_s = PAUSES_S[head.split(b"/")[1].decode()]
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
            writer.write(b"transfer-encoding: chunked\r\n\r\n")
            for frame in frames:
                writer.write(frame)
                if pause_s is not None:
                    await asyncio.sleep(pause_s)
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    ready.send(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """A request's head; empty when the client has left."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def run_server(ready: Connection) -> None:
    asyncio.run(serve(ready))


async def with_client(model: HttpChatModel, base_url: str) -> int:
    target = ModelTarget("@bench/m", "bench", "m", base_url)
    call = ModelCall(Purpose.ANSWER, target, (Message("user", "hello"),))
    pieces = 0
    async with aclosing(model.stream(call)) as stream:
        async for item in stream:
            if isinstance(item, ModelText):  # what came together is one piece
                pieces += item.text.count(" ")
    return pieces


async def bare(client: httpx.AsyncClient, base_url: str) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    pieces = 0
    async with client.stream("POST", f"{base_url}/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line[6:])["choices"][0]["delta"]
                pieces += bool(delta.get("content"))
    return pieces


async def cpu_us_per_chunk(read: Callable[[], Awaitable[int]]) -> float:
    start = time.process_time()
    pieces = await read()
    if pieces != CHUNKS:
        raise SystemExit(f"{pieces} chunks of {CHUNKS} arrived")
    return (time.process_time() - start) / CHUNKS * 1e6


async def measure(base_url: str) -> list[tuple[float, float]]:
    """CPU microseconds per chunk of (client, bare loop), one pair a round, after one unmeasured round."""
    pairs = []
    async with HttpChatModel({}) as model, httpx.AsyncClient(timeout=30) as client:
        for _ in range(ROUNDS + 1):
            ours = await cpu_us_per_chunk(lambda: with_client(model, base_url))
            theirs = await cpu_us_per_chunk(lambda: bare(client, base_url))
            pairs.append((ours, theirs))
    return pairs[1:]


def report(name: str, pairs: list[tuple[float, float]]) -> None:
    ours = statistics.median(pair[0] for pair in pairs)
    theirs = statistics.median(pair[1] for pair in pairs)
    ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
    print(
        f"  {name}   HttpChatModel {ours:6.1f} µs   bare httpx and json {theirs:6.1f} µs   ratio {ratio:.2f}"
    )


def main() -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=run_server, args=(there,), daemon=True)
    server.start()
    print(f"CPU per streamed chunk, median of {ROUNDS} rounds of {CHUNKS:,} chunks")
    try:
        port = here.recv()
        for name in PAUSES_S:
            report(name, asyncio.run(measure(f"http://127.0.0.1:{port}/{name}")))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
