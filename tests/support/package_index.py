"""A package index and file host on loopback that can misbehave in the ways real ones do."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

from aivax_cli.assets.config import IndexConfig
from aivax_cli.assets.fetch import Fetcher, Patience
from aivax_cli.assets.table import WheelMember

HURRIED = Patience(connect_s=1.0, stall_s=0.5, attempts=3, connect_attempts=1, first_wait_s=0.01)


def hurried_fetcher(*roots: str) -> Fetcher:
    """A fetcher that asks these indexes and gives up soon."""
    return Fetcher(IndexConfig(roots, None), HURRIED)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Seen:
    """A request that arrived."""

    path: str
    range: str | None
    authorization: str | None


@dataclass
class Behaviour:
    """How one file is served. Counts go down with every request that they spoiled."""

    cut_after: int | None = None
    cuts: int = 0
    stall_after: int | None = None
    fail_status: int = 0
    failures: int = 0
    retry_after: str | None = None
    ignore_range: bool = False
    bytes_per_s: int | None = None


@dataclass
class PackageIndex:
    """Serves projects below `/simple/` and their files below `/files/`, as JSON unless `html`."""

    html: bool = False
    state_hashes: bool = True
    credentials: str | None = None
    seen: list[Seen] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    projects: dict[str, list[str]] = field(default_factory=dict)
    stated_hashes: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> PackageIndex:
        index = self
        self.stopping = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Tests read `seen` instead."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def root(self) -> str:
        """The simple API's address, with the credentials that the index asks for."""
        user = f"{self.credentials}@" if self.credentials else ""
        return f"http://{user}{self.host}/simple"

    def add_file(self, name: str, data: bytes) -> str:
        """Serves a file; returns its address."""
        self.files[f"/files/{name}"] = data
        return f"http://{self.host}/files/{name}"

    def add_wheel(self, package: str, members: Mapping[str, bytes]) -> list[WheelMember]:
        """Serves a wheel of a project; returns its members as sources."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        wheel = f"{package}-1.0-py3-none-any.whl"
        self.add_file(wheel, buffer.getvalue())
        self.projects.setdefault(package, []).append(wheel)
        size = len(buffer.getvalue())
        return [WheelMember(package, "1.0", wheel, name, len(data), size) for name, data in members.items()]

    def behave(self, name: str) -> Behaviour:
        """The behaviour of a served file, to be changed."""
        return self.behaviours.setdefault(f"/files/{name}", Behaviour())

    def requests_of(self, name: str) -> list[Seen]:
        """The requests for a served file."""
        return [seen for seen in self.seen if seen.path == f"/files/{name}"]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        authorization = request.headers.get("Authorization")
        self.seen.append(Seen(path, request.headers.get("Range"), authorization))
        project = path.removeprefix("/simple/").strip("/")
        if self.credentials and authorization != _basic(self.credentials):
            _send(request, 401, "text/plain", b"who are you?")
        elif path.startswith("/simple/") and project in self.projects:
            self._send_project(request, project)
        elif path in self.files:
            self._send_file(request, path)
        else:
            _send(request, 404, "text/plain", b"no such thing")

    def _send_project(self, request: BaseHTTPRequestHandler, project: str) -> None:
        names = self.projects[project]
        hashes = {name: self.stated_hashes.get(name, sha256(self.files[f"/files/{name}"])) for name in names}
        if self.html:
            links = [
                f'<a href="../../files/{name}{f"#sha256={hashes[name]}" if self.state_hashes else ""}">x</a>'
                for name in names
            ]
            body = "<!DOCTYPE html><html><body>" + "<br>".join(links) + "</body></html>"
            _send(request, 200, "text/html", body.encode())
            return
        entries = [
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": hashes[name]} if self.state_hashes else {},
            }
            for name in names
        ]
        body = json.dumps({"meta": {"api-version": "1.1"}, "files": entries})
        _send(request, 200, "application/vnd.pypi.simple.v1+json", body.encode())

    def _send_file(self, request: BaseHTTPRequestHandler, path: str) -> None:
        data, behaviour = self.files[path], self.behaviours.get(path, Behaviour())
        if behaviour.failures:
            behaviour.failures -= 1
            extra = {"Retry-After": behaviour.retry_after} if behaviour.retry_after else {}
            _send(request, behaviour.fail_status, "text/plain", b"not now", extra)
            return
        start = 0
        wanted = request.headers.get("Range")
        if wanted and not behaviour.ignore_range:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                _send(request, 416, "text/plain", b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        self._send_body(request, data, start, behaviour)

    def _send_body(
        self, request: BaseHTTPRequestHandler, data: bytes, start: int, behaviour: Behaviour
    ) -> None:
        end = len(data)
        if behaviour.cuts and behaviour.cut_after is not None:
            behaviour.cuts -= 1
            end = behaviour.cut_after
            request.close_connection = True
        if behaviour.stall_after is not None:
            end = behaviour.stall_after
        step = behaviour.bytes_per_s // 50 if behaviour.bytes_per_s else 1 << 16
        try:
            for at in range(start, end, step):
                request.wfile.write(data[at : min(at + step, end)])
                if behaviour.bytes_per_s:
                    time.sleep(1 / 50)
            if behaviour.stall_after is not None:
                self.stopping.wait(10)
                request.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            request.close_connection = True


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    content_type: str,
    body: bytes,
    extra: Mapping[str, str] | None = None,
) -> None:
    request.send_response(status)
    headers = {"Content-Type": content_type, "Content-Length": str(len(body))} | dict(extra or {})
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
