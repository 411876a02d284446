"""A real HTTP server on loopback that answers as its script says and records what it was asked.

    with Upstream(says("Paris")) as upstream:
        ...                                   # talk to upstream.url
    assert upstream.requests[0].body["stream"] is True

Answers are used in turn, the last one for good. An answer may also be a function of the request that
returns one. Bytes are written exactly as given, so an answer can be as broken as a real one.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from support.patience import PATIENT_S

Ending = Literal["finish", "cut", "reset", "stall"]
"""How a body ends: as HTTP wants it; by closing early; by a TCP reset; by saying nothing more."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. Header names are lower case; `body` is the parsed JSON; `port` is the
    client's, which tells connections apart."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    port: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. With `status` None nothing at all is sent before `ending` happens."""

    pieces: tuple[bytes, ...] = ()
    status: int | None = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Ending = "finish"
    pause_s: float = 0.0
    delay_s: float = 0.0


Script = Answer | Callable[[Request], Answer]


def usage(
    prompt: int, completion: int, *, cached: int | None = None, total: int | None = None
) -> dict[str, Any]:
    """An OpenAI `usage` object; `total` is the sum unless given."""
    value: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
    }
    if cached is not None:
        value["prompt_tokens_details"] = {"cached_tokens": cached}
    return value


def chunk(
    content: str | None = None, *, finish: str | None = None, model: str = "test-model", **extra: Any
) -> dict[str, Any]:
    """One `chat.completion.chunk`. `delta=` replaces the delta; other keywords are fields of the chunk."""
    delta = extra.pop("delta", {} if content is None else {"content": content})
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": model, "choices": [choice], **extra}


def completion(content: str | None, *, model: str = "test-model", **extra: Any) -> dict[str, Any]:
    """A whole `chat.completion`. `message=` replaces the message; other keywords are its fields."""
    message = extra.pop("message", {"role": "assistant", "content": content})
    choice = {"index": 0, "message": message, "finish_reason": extra.pop("finish", "stop")}
    return {"id": "c1", "object": "chat.completion", "model": model, "choices": [choice], **extra}


def tool_call(name: str, arguments: str, *, call_id: str = "call_1", index: int = 0) -> dict[str, Any]:
    """A chunk that asks for one whole tool call."""
    call = {
        "index": index,
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    return chunk(delta={"tool_calls": [call]})


def sse(
    events: Iterable[Mapping[str, Any] | str | bytes],
    *,
    end: str | None = "[DONE]",
    ending: Ending = "finish",
    pause_s: float = 0.0,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """An event stream. Objects and texts become `data:` events; bytes are written as they are.

    `end` is the closing event's data, None for none. `pause_s` passes between two pieces.
    """
    pieces = [_event(event) for event in events]
    if end is not None:
        pieces.append(_event(end))
    return Answer(
        pieces=tuple(pieces),
        headers={"content-type": "text/event-stream", **(headers or {})},
        ending=ending,
        pause_s=pause_s,
    )


def says(
    text: str, *, prompt: int = 10, cached: int | None = None, model: str = "test-model", finish: str = "stop"
) -> Answer:
    """The stream of a well-behaved endpoint: one chunk a word, finish reason, usage, `[DONE]`."""
    words = [word + " " for word in text.split(" ")]
    words[-1] = words[-1][:-1]
    events = [chunk(delta={"role": "assistant", "content": ""}, model=model)]
    events += [chunk(word, model=model) for word in words]
    events.append(chunk(finish=finish, model=model))
    events.append({"model": model, "choices": [], "usage": usage(prompt, len(words), cached=cached)})
    return sse(events)


def calls_tool(name: str, arguments: Mapping[str, Any], *, call_id: str = "call_1") -> Answer:
    """The stream of an endpoint that asks for one tool call."""
    events = [tool_call(name, json.dumps(arguments), call_id=call_id), chunk(finish="tool_calls")]
    return sse([*events, {"choices": [], "usage": usage(10, 5)}])


def json_answer(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON body; a text or bytes are sent as they are."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return Answer((raw,), status, {"content-type": "application/json", **(headers or {})})


def status(
    code: int,
    message: str = "",
    *,
    retry_after: str | float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """An error status with OpenAI's error object."""
    hint = {} if retry_after is None else {"retry-after": str(retry_after)}
    body = {"error": {"message": message or f"status {code}", "type": "test_error", "code": None}}
    return json_answer(body, status=code, headers={**hint, **(headers or {})})


def html(page: str = "<!doctype html><html><title>Welcome</title></html>", *, status: int = 200) -> Answer:
    """A web page where an API was expected."""
    return Answer((page.encode(),), status, {"content-type": "text/html; charset=utf-8"})


def reset() -> Answer:
    """A TCP reset instead of an answer."""
    return Answer(status=None, ending="reset")


def hang_up() -> Answer:
    """The connection is closed without an answer."""
    return Answer(status=None, ending="cut")


def silence() -> Answer:
    """The request is read and never answered."""
    return Answer(status=None, ending="stall")


def _event(event: Mapping[str, Any] | str | bytes) -> bytes:
    if isinstance(event, bytes):
        return event
    data = event if isinstance(event, str) else json.dumps(event)
    return f"data: {data}\n\n".encode()


class Upstream:
    """The server. Runs from `with` to the end of its block, on a port of its own.

    `requests` grows as requests come in. `disconnected` is set when a client closes its connection
    while an answer stalls or is being written.
    """

    def __init__(self, *answers: Script) -> None:
        self._answers: list[Script] = list(answers)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.requests: list[Request] = []
        self.disconnected = threading.Event()
        upstream = self

        class Handler(_Handler):
            owner = upstream

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The API's root, to be used as a model's `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def bodies(self) -> list[Any]:
        """The parsed bodies of all requests so far."""
        return [request.body for request in self.requests]

    def answers(self, *answers: Script) -> None:
        """Replaces what is left of the script."""
        with self._lock:
            self._answers = list(answers)

    def stop_listening(self) -> None:
        """From here on new connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self.stop_listening()
        self._thread.join()

    def take(self, request: Request) -> Answer:
        """Records the request and gives the answer that is due."""
        with self._lock:
            self.requests.append(request)
            if not self._answers:
                return status(501, "the test scripted no answer")
            script = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return script if isinstance(script, Answer) else script(request)

    def wait_stalled(self, connection: socket.socket) -> None:
        """Holds the connection until the client leaves or the server is stopped."""
        while not self._stopping.is_set():
            readable, _, _ = select.select([connection], [], [], 0.02)
            if readable and not _still_there(connection):
                self.disconnected.set()
                return


def _still_there(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def _wait_until_read(connection: socket.socket) -> None:
    """Waits until the client, on this machine, has read what was sent, as /proc tells where it is there."""
    table = Path("/proc/net/tcp")
    ours, theirs = (f":{name[1]:04X}" for name in (connection.getsockname(), connection.getpeername()))
    ends = time.monotonic() + PATIENT_S
    while table.exists() and time.monotonic() < ends:
        rows = [line.split() for line in table.read_text().splitlines()]
        # Local address, remote address, state, bytes not yet sent and bytes not yet read.
        waiting = {(row[1][-5:], row[2][-5:]): row[4].split(":") for row in rows[1:]}
        unread = waiting.get((theirs, ours), ("", "0"))[1]
        unsent = waiting.get((ours, theirs), ("0", ""))[0]
        if int(unread, 16) == int(unsent, 16) == 0:
            return
        time.sleep(0.01)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client may leave whenever it likes
            super().handle_error(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        # A socket with a linger time of 0 sends RST when closed, but not after a shutdown, which sends FIN.
        lingering = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        if lingering == struct.pack("ii", 1, 0):
            self.close_request(request)
        else:
            super().shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    owner: Upstream
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        answer = self.owner.take(Request(self.command, self.path, headers, body, self.client_address[1]))
        try:
            self._send(answer)
        except OSError:  # the client went away, which is what some tests are about
            self.owner.disconnected.set()
            self.close_connection = True

    do_GET = do_POST

    def _send(self, answer: Answer) -> None:
        time.sleep(answer.delay_s)
        if answer.status is not None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._send_pieces(answer.pieces, answer.pause_s)
        if answer.ending == "finish" and answer.status is not None:
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True
        if answer.ending == "stall":
            self.owner.wait_stalled(self.connection)
        elif answer.ending == "reset":
            if answer.pieces:  # a reset throws away what the client's kernel holds unread
                _wait_until_read(self.connection)
                time.sleep(0.1)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _send_pieces(self, pieces: Sequence[bytes], pause_s: float) -> None:
        for number, piece in enumerate(pieces):
            if number and pause_s:
                time.sleep(pause_s)
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the tests' output is not the server's."""
