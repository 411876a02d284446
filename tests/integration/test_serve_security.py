"""What nobody gets out of the server, or into it: images by their address, bodies, headers, comparisons."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import socket
import time

import httpx
import pytest
from support.patience import PATIENT_S
from support.serving import gateway, served
from support.upstream import Answer, Upstream, html, says, status

from aivax_cli.gateway.workspace import find_workspace
from aivax_cli.server import images
from aivax_cli.server.faults import RequestError
from aivax_cli.server.heads import bounded_heads
from aivax_cli.server.images import ImageFetcher
from aivax_cli.server.keys import PREFIX, KeyFile
from aivax_cli.server.running import listen

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
INSTRUCTIONS = "INSTRUCTIONS-NOBODY-SHALL-SEE"
KEY = "sk-upstream-secret-1"


def image(data: bytes = PNG, **headers: str) -> Answer:
    return Answer((data,), 200, {"content-type": "image/png", **headers})


def redirect(to: str) -> Answer:
    return Answer((b"",), 302, {"location": to})


@pytest.fixture
def host():
    with Upstream(image()) as server:
        yield server


def asked_for(*urls: str) -> list[dict[str, object]]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


def fetched(host: Upstream, *urls: str, hosts: tuple[str, ...] = (), **options: object) -> list[str]:
    """The addresses of the images after they were fetched from this machine, which is refused elsewhere."""

    async def fetch() -> list[str]:
        fetcher = ImageFetcher(**{"may_reach": lambda _: True, **options})  # type: ignore[arg-type]
        try:
            found = await fetcher.inlined(asked_for(*urls), hosts or (f"127.0.0.1:{host.port}",))
        finally:
            await fetcher.aclose()
        return [part["image_url"]["url"] for part in found[0]["content"][1:]]

    return asyncio.run(fetch())


def refused(host: Upstream, *urls: str, **options: object) -> RequestError:
    with pytest.raises(RequestError) as error:
        fetched(host, *urls, **options)  # type: ignore[arg-type]
    return error.value


# Images by their address


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\0\0\0WEBP", "image/webp"),
    ],
)
def test_an_image_of_an_allowed_host_is_sent_on_whole(host, begin, kind):
    host.answers(image(begin + b"rest"))
    given = base64.b64encode(begin + b"rest").decode()
    assert fetched(host, f"{host.url}/a") == [f"data:{kind};base64,{given}"]


def test_an_image_that_is_named_twice_is_fetched_once(host):
    assert len(set(fetched(host, f"{host.url}/a", f"{host.url}/a"))) == 1
    assert len(host.requests) == 1


def test_images_of_other_hosts_stay_addresses_and_are_not_asked_for(host):
    url = f"{host.url}/a"
    assert fetched(host, url, hosts=("images.example.com",)) == [url]
    assert not host.requests


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (html(), "PNG"),
        (image(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "PNG"),
        (image(b""), "PNG"),
        (image(b"\x1f\x8b" + PNG, **{"content-encoding": "gzip"}), "PNG"),
        (status(404), "404"),
        (status(500), "500"),
    ],
)
def test_what_is_no_image_is_refused(host, answer, word):
    host.answers(answer)
    error = refused(host, f"{host.url}/a")
    assert (error.status, word in str(error)) == (400, True)


def test_an_image_over_the_limit_is_refused(host):
    host.answers(Answer((PNG, *[bytes(64 * 1024)] * 100), 200, {"content-type": "image/png"}))
    assert refused(host, f"{host.url}/a").status == 413


def test_an_image_that_does_not_come_is_waited_for_a_while(host, monkeypatch):
    monkeypatch.setattr(images, "LONGEST_WAIT_S", 0.3)
    host.answers(Answer((PNG,), 200, {"content-type": "image/png"}, ending="stall"))
    assert "did not come" in str(refused(host, f"{host.url}/a"))


def test_more_images_than_there_may_be_are_not_begun_with(host):
    error = refused(host, *[f"{host.url}/{n}" for n in range(9)])
    assert (str(error), host.requests) == ("at most 8 images of a request are fetched", [])


def test_a_redirect_to_an_allowed_host_is_followed(host):
    host.answers(redirect("/other"), image())
    assert fetched(host, f"{host.url}/a")[0].startswith("data:image/png")


def test_a_redirect_elsewhere_is_not_followed(host):
    with Upstream(image()) as inside:
        host.answers(redirect(f"{inside.url}/secret"))
        assert "not allowed" in str(refused(host, f"{host.url}/a"))
        assert not inside.requests


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//169.254.169.254/latest", ""])
def test_a_redirect_to_anything_else_is_refused(host, to):
    host.answers(redirect(to))
    assert refused(host, f"{host.url}/a").status == 400
    assert len(host.requests) <= 4


def test_redirects_come_to_an_end(host):
    host.answers(redirect("/again"))
    assert "more than 3 redirects" in str(refused(host, f"{host.url}/a"))
    assert len(host.requests) == 4


def test_a_redirect_into_this_machine_is_refused_where_addresses_are_looked_at(host):
    """The first host may be reached, the second is the same address under an allowed name, and may not."""
    reached = []

    def once(address: object) -> bool:
        reached.append(address)
        return len(reached) == 1

    host.answers(Answer((b"",), 302, {"location": f"http://localhost:{host.port}/b", "connection": "close"}))
    hosts = (f"127.0.0.1:{host.port}", f"localhost:{host.port}")
    error = refused(host, f"{host.url}/a", hosts=hosts, may_reach=once)
    assert str(error) == "the image on localhost cannot be had: the host cannot be reached"
    assert len(host.requests) == 1


HERE = ("localhost", "127.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.1", "0.0.0.0", "0")


@pytest.fixture(scope="module")
def upstream():
    with Upstream(says("A picture.")) as server:
        yield server


@pytest.fixture(scope="module")
def root(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("security")
    gateway(root, upstream, "g", more=f"instructions: {INSTRUCTIONS}\ndescription: Answers.\n")
    gateway(root, upstream, "hosted", number=2, more="serve: {dialect: hosted}\n")
    names = ", ".join(f"'{name}:{upstream.port}'" for name in HERE)
    (root / "aivax.yaml").write_text(f"serve: {{image_hosts: [{names}]}}\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def running(root):
    with served(root, env={"UPSTREAM_KEY": KEY}) as server:
        yield server


@pytest.mark.parametrize("name", HERE)
def test_this_machine_is_not_reached_under_any_of_its_names(running, upstream, name):
    """They are all allowed, and the port is one that answers."""
    before = len(upstream.requests)
    body = {"model": "g", "messages": asked_for(f"http://{name}:{upstream.port}/v1/a.png")}
    found = running.post(body)
    assert (found.status_code, len(upstream.requests)) == (400, before)
    assert "cannot be had" in found.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_images_reach_the_model_by_every_way_to_ask(root, upstream, path):
    """In this process, where the guard can be told that this machine is the open internet."""
    from aivax_cli.wiring.keyed import open_application
    from aivax_cli.wiring.serving import open_backend

    url = f"http://127.0.0.1:{upstream.port}/v1/a.png"
    part = {
        "/v1/chat/completions": asked_for(url)[0]["content"],
        "/v1/responses": [{"type": "input_image", "image_url": url}],
        "/v1/messages": [{"type": "image", "source": {"type": "url", "url": url}}],
    }[path]
    message = {"role": "user", "content": part}

    async def ask() -> httpx.Response:
        async with (
            open_backend(find_workspace(root)) as backend,
            open_application(backend, local=True, on_ready=lambda: None) as app,
        ):
            app.state.images = ImageFetcher(may_reach=lambda _: True)
            here = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
            async with here as client:
                body = {"model": "g", "messages": [message], "input": [message], "max_tokens": 9}
                found = await client.post(path, json=body)
            await app.state.images.aclose()
        return found

    upstream.answers(lambda request: image() if request.method == "GET" else says("A picture."))
    try:
        assert asyncio.run(ask()).status_code == 200
    finally:
        upstream.answers(says("A picture."))
    sent = json.dumps(upstream.bodies[-1])
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in sent and url not in sent


# Bodies and headers


def raw(running, request: bytes) -> bytes:
    """What comes back for these very bytes."""
    host, _, port = running.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENT_S) as connection:
        connection.sendall(request)
        came = b""
        while piece := connection.recv(65536):
            came += piece
            if b"\r\n\r\n" in came:
                break
        return came


def test_a_body_in_pieces_is_not_read_beyond_the_limit(running):
    sent = 0

    def pieces():
        nonlocal sent
        for _ in range(64):
            sent += 1024 * 1024
            yield bytes(1024 * 1024)

    try:
        found = httpx.post(
            f"{running.url}/v1/chat/completions", content=pieces(), timeout=PATIENT_S, trust_env=False
        )
        assert found.status_code == 413
    except httpx.TransportError:  # it was closed while the rest was still being sent
        assert sent < 64 * 1024 * 1024


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"", b"NaN", b"1e999999"])
def test_bodies_that_are_no_object_are_refused(running, body):
    found = httpx.post(f"{running.url}/v1/chat/completions", content=body, timeout=PATIENT_S, trust_env=False)
    assert found.status_code == 400


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost : a\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}   ",
        b"GET /healthz HTTP/9.9\r\n\r\n",
    ],
)
def test_requests_that_may_be_read_in_two_ways_are_refused(running, request_bytes):
    assert raw(running, request_bytes).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "piece", [b"x: " + b"a" * 8_000 + b"\r\n", b"a" * 8_000], ids=["many headers", "one header"]
)
def test_a_head_without_end_is_cut_off(running, piece):
    host, _, port = running.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENT_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 200 * 1024 * 1024:
                sent += connection.send(piece)
        assert sent < 200 * 1024 * 1024


def test_a_head_that_does_not_come_is_waited_for_a_while():
    """Neither on a fresh connection nor on one that is used again, while a body may take its time."""
    import uvicorn
    from starlette.responses import PlainTextResponse
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("ok")(scope, receive, send)

    async def seconds_until_closed(port: int, *pieces: bytes) -> tuple[float, bytes]:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, piece in enumerate(pieces):
            await asyncio.sleep(0.6 if number else 0)
            writer.write(piece)
        came = await asyncio.wait_for(reader.read(), PATIENT_S)
        writer.close()
        return time.perf_counter() - began, came

    async def run() -> list[tuple[float, bytes]]:
        listening = listen("127.0.0.1", 0)
        config = uvicorn.Config(
            app, http=bounded_heads(HttpToolsProtocol, within_s=0.3), log_config=None, lifespan="off"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        port = listening.getsockname()[1]
        whole = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
        slow = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nx"
        found = [
            await seconds_until_closed(port),
            await seconds_until_closed(port, b"GET / HT"),
            await seconds_until_closed(port, whole + b"GET / HT"),
            await seconds_until_closed(port, slow, b"y"),
        ]
        server.should_exit = True
        await serving
        return found

    silent, half, again, slow = asyncio.run(run())
    assert (silent[1], half[1]) == (b"", b"") and again[1].count(b"200 OK") == 1
    assert slow[1].count(b"200 OK") == 1
    assert all(0.2 < seconds < PATIENT_S for seconds, _ in (silent, half, again))


def test_a_web_socket_is_not_opened(running):
    request = b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    request += b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert not raw(running, request).startswith(b"HTTP/1.1 101")


def test_what_a_request_says_is_in_no_header_of_the_answer(running):
    body = {"model": "g", "prompt": "x-bad", "metadata": {"x-bad": "1\r\nx-bad: 1"}, "dialect": "hosted"}
    found = running.post(body)
    assert found.status_code == 200 and "x-bad" not in str(found.headers)


# What stays inside


@pytest.mark.parametrize(
    "path", ["/", "/v1/models", "/v1/models/g", "/metrics", "/openapi.json", "/readyz", "/nothing", "/mcp"]
)
def test_nothing_that_is_read_tells_of_instructions_keys_or_the_endpoint(running, upstream, path):
    said = running.get(path).text
    assert not [each for each in (INSTRUCTIONS, KEY, str(upstream.port), "aivax.yaml") if each in said]


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/mcp"]
)
@pytest.mark.parametrize("model", ["nobody", INSTRUCTIONS[:5], "", None, 5])
def test_no_error_tells_of_instructions_or_files(running, root, path, model):
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "input": "Hi", "max_tokens": 5}
    said = running.post(body, path).text
    assert INSTRUCTIONS not in said and str(root) not in said and ".yaml" not in said


@pytest.mark.parametrize(
    ("path", "code"),
    [
        *(("/v1/chat/completions", code) for code in (400, 402, 404, 407, 413, 422, 429, 503)),
        ("/v1/responses", 400),
        ("/v1/messages", 400),
    ],
)
def test_no_failure_of_the_endpoint_tells_where_it_is(running, upstream, path, code):
    where = f"127.0.0.1:{upstream.port}"
    upstream.answers(status(code, f"{where} said so, at localhost:{upstream.port}; the key was {KEY}"))
    body = {"model": "g", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi", "max_tokens": 5}
    found = running.post(body, path)
    upstream.answers(says("A picture."))
    assert found.status_code >= 400
    assert not [each for each in ("127.0.0.1", str(upstream.port), "localhost", KEY) if each in found.text]


@pytest.mark.parametrize("given", ["the key's own id", "a wrong secret", "an unknown id", "nothing"])
def test_keys_are_compared_in_constant_time_also_where_there_is_none(tmp_path, monkeypatch, given):
    keys = KeyFile(tmp_path / "keys.db")
    key, text = keys.new("one")
    compared = []

    def spied(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return real(left, right)

    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", spied)
    sent = {
        "the key's own id": PREFIX + key.id,
        "a wrong secret": text[:-1] + ("0" if text[-1] != "0" else "1"),
        "an unknown id": PREFIX + "0" * (len(text) - len(PREFIX)),
        "nothing": "",
    }[given]
    assert keys.verified(sent) is None
    assert compared == [(32, 32)]
    keys.close()


# The hosted dialect


@pytest.mark.parametrize(
    ("dialect", "end"), [(None, "data: [END]"), ("openai", "data: [DONE]"), ("hosted", "data: [END]")]
)
def test_a_gateway_may_have_the_hosted_dialect_and_a_request_another(running, dialect, end):
    found = running.post({"model": "hosted", "prompt": "Hi", "stream": True, "dialect": dialect})
    assert found.text.rstrip().splitlines()[-1] == end
