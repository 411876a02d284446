"""What a chat adds to the time until an endpoint's first word is on the screen.

python benchmarks/first_token.py [--turns N] [--docs FOLDER]

A loopback endpoint answers at once. By turns: a bare httpx loop, from its request to the first word; `aivax
chat` in a terminal, without knowledge and with the documents of a folder, both warm, from Enter to the first
word on the screen. Medians; the bars are 30 ms more than the bare loop without knowledge and 120 ms with.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from chat_start import PROGRAM, PROMPT, Program

PLAIN_BAR_S, KNOWLEDGE_BAR_S = 0.030, 0.120
WORD = "Zebra"
QUESTION = "How is a document cut into chunks"

GATEWAY = """\
id: 0199c3f0-0000-7000-8000-00000000000{number}
name: {name}
model: {{base_url: "{url}", name: any}}
{more}"""
KNOWLEDGE = "knowledge: {collections: [kb], strategy: Plain}\n"


class Endpoint(BaseHTTPRequestHandler):
    """Says one word in one chunk, then that it is over."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        usage = {"prompt_tokens": 10, "completion_tokens": 1}
        parts = [
            {"delta": {"role": "assistant", "content": f"{WORD}."}},
            {"delta": {}, "finish_reason": "stop"},
        ]
        lines = [{"choices": [{"index": 0, **part}]} for part in parts] + [{"choices": [], "usage": usage}]
        body = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        return None


def bare_s(client: httpx.Client, url: str) -> float:
    """Seconds from a request to the first word of its answer."""
    body = {"model": "any", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    started = time.perf_counter()
    with client.stream("POST", f"{url}/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {") and WORD in line:
                return time.perf_counter() - started
    raise SystemExit("the endpoint said nothing")


class Chat:
    """A chat that has answered once, so that everything is loaded."""

    def __init__(self, workspace: Path, gateway: str) -> None:
        self.program = Program([*PROGRAM, gateway], workspace)
        self.program.read_until(PROMPT)
        for _ in range(3):
            self.turn_s()

    def turn_s(self) -> float:
        """Seconds from Enter to the first word of the answer."""
        self.program.type(QUESTION.encode())
        self.program.read_until(QUESTION.encode()[-4:])
        time.sleep(0.05)
        self.program.seen = b""
        started = time.perf_counter()
        self.program.type(b"\r")
        self.program.read_until(WORD.encode())
        seconds = time.perf_counter() - started
        self.program.read_until(PROMPT)
        return seconds


def make_workspace(root: Path, url: str, docs: Path) -> None:
    (root / "gateways").mkdir()
    for number, (name, more) in enumerate({"talk": "", "knows": KNOWLEDGE}.items(), start=1):
        text = GATEWAY.format(number=number, name=name, url=url, more=more)
        (root / "gateways" / f"{name}.yaml").write_text(text, encoding="utf-8")
    ingest = [sys.executable, "-m", "aivax_cli", "ingest", str(docs.resolve()), "--collection", "kb", "-q"]
    subprocess.run(ingest, cwd=root, check=True)


def main() -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--docs", type=Path, default=Path(__file__).parent.parent / "docs")
    options = parser.parse_args()
    os.environ.setdefault("AIVAX_OFFLINE", "1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    with tempfile.TemporaryDirectory() as folder, httpx.Client() as client:
        make_workspace(Path(folder), url, options.docs)
        chats = [Chat(Path(folder), "talk"), Chat(Path(folder), "knows")]
        try:
            rows = [(bare_s(client, url), *(chat.turn_s() for chat in chats)) for _ in range(options.turns)]
        finally:
            for chat in chats:
                chat.program.stop()
    bare, without, knowing = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"bare httpx loop         {bare * 1000:5.1f} ms")
    print(f"chat, no knowledge      {without * 1000:5.1f} ms: {(without - bare) * 1000:+.1f} (bar 30)")
    print(f"chat, with knowledge    {knowing * 1000:5.1f} ms: {(knowing - bare) * 1000:+.1f} (bar 120)")
    within = without - bare <= PLAIN_BAR_S and knowing - bare <= KNOWLEDGE_BAR_S
    raise SystemExit(0 if within else 1)


if __name__ == "__main__":
    main()
