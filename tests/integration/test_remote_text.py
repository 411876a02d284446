"""Texts from elsewhere: fetched from a real server, kept in real files."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.patience import PATIENT_S
from support.upstream import Answer, Request, Upstream, html, reset, silence, status

from aivax_cli.core.errors import RemoteTextError
from aivax_cli.model.remote_text import MAX_BYTES, RemoteRead, RemoteSource, RemoteTexts, without_secrets


def text(body: str | bytes, *, kind: str = "text/plain; charset=utf-8", **headers: str) -> Answer:
    raw = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer((raw,), 200, {"content-type": kind, **named})


def moved(where: str) -> Answer:
    return Answer((), 302, {"location": where})


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(text("Be brief.")) as server:
        yield server


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def source(url: str, *, cache_s: float = 600, timeout_s: float = PATIENT_S) -> RemoteSource:
    return RemoteSource(url, without_secrets(url), cache_s, timeout_s)


def read(texts: RemoteTexts, *sources: RemoteSource) -> RemoteRead:
    return asyncio.run(texts.read(sources))


def refusal(tmp_path: Path, url: str, *, timeout_s: float = PATIENT_S) -> str:
    with pytest.raises(RemoteTextError) as caught:
        read(RemoteTexts(tmp_path), source(url, timeout_s=timeout_s))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_text_is_fetched_once_and_kept(tmp_path: Path, upstream: Upstream) -> None:
    for _ in range(2):  # the second reader knows of the first by its file alone
        assert read(RemoteTexts(tmp_path), source(upstream.url)) == RemoteRead(("Be brief.",))
    assert [request.method for request in upstream.requests] == ["GET"]


def test_an_old_copy_is_asked_for_again(tmp_path: Path, upstream: Upstream) -> None:
    clock = Clock()
    texts = RemoteTexts(tmp_path, clock=clock)
    read(texts, source(upstream.url))
    upstream.answers(text("Be kind."))
    clock.now += 599
    assert read(texts, source(upstream.url)).texts == ("Be brief.",)
    clock.now += 1
    assert read(texts, source(upstream.url)).texts == ("Be kind.",)


def test_a_clock_that_was_set_back_keeps_no_copy_for_ever(tmp_path: Path, upstream: Upstream) -> None:
    clock = Clock()
    read(RemoteTexts(tmp_path, clock=clock), source(upstream.url))
    clock.now -= 10_000
    upstream.answers(text("Be kind."))
    assert read(RemoteTexts(tmp_path, clock=clock), source(upstream.url)).texts == ("Be kind.",)


def test_an_unchanged_text_is_confirmed_without_being_sent(tmp_path: Path, upstream: Upstream) -> None:
    def answer(request: Request) -> Answer:
        return Answer((), 304) if request.headers.get("if-none-match") == '"v1"' else text("A", etag='"v1"')

    upstream.answers(answer)
    texts = RemoteTexts(tmp_path)
    for _ in range(3):
        assert read(texts, source(upstream.url, cache_s=0)).texts == ("A",)
    assert [request.headers.get("if-none-match") for request in upstream.requests] == [None, '"v1"', '"v1"']


def test_the_date_of_a_text_confirms_it_too(tmp_path: Path, upstream: Upstream) -> None:
    date = "Sun, 22 Nov 2026 02:00:00 GMT"
    upstream.answers(text("A", last_modified=date), Answer((), 304))
    texts = RemoteTexts(tmp_path)
    assert [read(texts, source(upstream.url, cache_s=0)).texts for _ in range(2)] == [("A",), ("A",)]
    assert upstream.requests[1].headers["if-modified-since"] == date


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (status(500), "HTTP 500"),
        (status(404), "HTTP 404"),
        (reset(), "the connection was lost"),
        (html(), "it is a web page (HTML), not a text"),
        (text(b"caf\xe9"), "it is no text in utf-8"),
        (text("  \n"), "it is empty"),
        (text("x", kind="image/png"), "it is image/png, not a text"),
    ],
)
def test_a_failing_source_gives_its_last_good_copy_and_a_warning(
    tmp_path: Path, upstream: Upstream, failure: Answer, reason: str
) -> None:
    texts = RemoteTexts(tmp_path)
    read(texts, source(upstream.url))
    upstream.answers(failure)
    found = read(texts, source(upstream.url, cache_s=0))
    assert found.texts == ("Be brief.",)
    assert found.warnings[0].startswith(f"the instructions at {upstream.url}: {reason}; using the copy of 20")


def test_a_source_that_failed_is_left_in_peace_for_a_while(tmp_path: Path, upstream: Upstream) -> None:
    clock = Clock()
    texts = RemoteTexts(tmp_path, clock=clock)
    read(texts, source(upstream.url))
    upstream.answers(status(503))
    warned = [read(texts, source(upstream.url, cache_s=0)).warnings for _ in range(3)]
    assert (warned[0], len(upstream.requests)) == (warned[2], 2)
    clock.now += 31
    upstream.answers(text("Be kind."))
    assert read(texts, source(upstream.url, cache_s=0)) == RemoteRead(("Be kind.",))


def test_without_a_copy_a_failure_is_an_error_that_names_the_address(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.answers(status(404))
    assert refusal(tmp_path, upstream.url) == (
        f"the instructions at {upstream.url} cannot be had: HTTP 404; check the address"
    )


def test_no_secret_of_an_address_is_told(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(status(500))
    address = upstream.url.replace("//", "//anna:hunter2@") + "?token=hunter3#hunter4"
    told = refusal(tmp_path, address)
    assert "hunter" not in told
    assert "anna" not in told


def test_the_address_is_not_in_the_copy(tmp_path: Path, upstream: Upstream) -> None:
    read(RemoteTexts(tmp_path), source(upstream.url + "?token=hunter3"))
    assert all("hunter3" not in file.name + file.read_text() for file in tmp_path.iterdir())


def test_a_source_that_says_nothing_is_not_waited_for(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(silence())
    assert "no whole answer within 0.3 s" in refusal(tmp_path, upstream.url, timeout_s=0.3)


def test_a_source_that_drips_is_not_waited_for_either(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(Answer((b"a",) * 50, 200, {"content-type": "text/plain"}, pause_s=0.1))
    assert "no whole answer within 0.4 s" in refusal(tmp_path, upstream.url, timeout_s=0.4)


def test_the_limit_holds_while_a_text_is_being_read(tmp_path: Path, upstream: Upstream) -> None:
    piece = b"x" * (1024 * 1024)
    upstream.answers(Answer((piece,) * 11, 200, {"content-type": "text/plain"}, ending="stall"))
    assert "it is longer than 10 MB" in refusal(tmp_path, upstream.url, timeout_s=PATIENT_S)


def test_a_text_of_just_the_limit_is_taken(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(text(b"x" * MAX_BYTES))
    assert len(read(RemoteTexts(tmp_path), source(upstream.url, timeout_s=PATIENT_S)).texts[0]) == MAX_BYTES


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ("olá".encode("latin-1"), "text/plain; charset=ISO-8859-1", "olá"),
        ("olá".encode("utf-16"), 'text/plain; charset="utf-16"', "olá"),
        ("\ufeffolá".encode(), "text/markdown", "olá"),
        ("olá".encode(), "application/octet-stream", "olá"),
        (b'{"tone": "kind"}', "application/json", '{"tone": "kind"}'),
    ],
)
def test_the_charset_of_the_server_is_honoured(
    tmp_path: Path, upstream: Upstream, body: bytes, kind: str, expected: str
) -> None:
    upstream.answers(text(body, kind=kind))
    assert read(RemoteTexts(tmp_path), source(upstream.url)).texts == (expected,)


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"x", "text/plain; charset=klingon", "it is no text in klingon"),
        (b"<!DOCTYPE html><html></html>", "text/plain", "web page"),
        (b"a\0b", "application/octet-stream", "it is no text"),
        (b"%PDF", "application/pdf", "it is application/pdf, not a text"),
    ],
)
def test_what_is_no_text_is_refused(
    tmp_path: Path, upstream: Upstream, body: bytes, kind: str, reason: str
) -> None:
    upstream.answers(text(body, kind=kind))
    assert reason in refusal(tmp_path, upstream.url)


def test_redirects_on_this_machine_are_followed(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(moved("/elsewhere"), text("Moved."))
    assert read(RemoteTexts(tmp_path), source(upstream.url)).texts == ("Moved.",)
    assert upstream.requests[1].path == "/elsewhere"


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("http://example.com/a.txt", "redirects to an address that is not https"),
        ("file:///etc/passwd", "redirects to an address that is not https"),
        ("/again", "more than 5 redirects"),
        ("http://[", "its address is none that can be called"),
    ],
)
def test_other_redirects_are_refused(tmp_path: Path, upstream: Upstream, where: str, reason: str) -> None:
    upstream.answers(moved(where))
    assert reason in refusal(tmp_path, upstream.url)


def test_plain_http_is_for_this_machine_alone(tmp_path: Path) -> None:
    assert "its address is not https" in refusal(tmp_path, "http://example.com/a.txt")


def test_a_port_where_nobody_listens(tmp_path: Path) -> None:
    with Upstream(text("x")) as server:
        url = server.url
    assert "connection refused" in refusal(tmp_path, url)


def test_offline_the_copy_is_used_whatever_its_age(tmp_path: Path, upstream: Upstream) -> None:
    read(RemoteTexts(tmp_path), source(upstream.url))
    offline = RemoteTexts(tmp_path, offline=True)
    assert read(offline, source(upstream.url, cache_s=0)) == RemoteRead(("Be brief.",))
    assert len(upstream.requests) == 1


def test_offline_without_a_copy_is_an_error(tmp_path: Path, upstream: Upstream) -> None:
    with pytest.raises(RemoteTextError, match="AIVAX_OFFLINE is set, and there is no copy"):
        read(RemoteTexts(tmp_path, offline=True), source(upstream.url))
    assert upstream.requests == []


@pytest.mark.parametrize("junk", ["", "{", "[]", '{"text": "x"}', '{"text":"x","etag":1,"checked":"y"}'])
def test_a_damaged_copy_is_fetched_anew(tmp_path: Path, upstream: Upstream, junk: str) -> None:
    read(RemoteTexts(tmp_path), source(upstream.url))
    (file,) = tmp_path.iterdir()
    file.write_text(junk)
    assert read(RemoteTexts(tmp_path), source(upstream.url)).texts == ("Be brief.",)
    assert len(upstream.requests) == 2


def test_a_folder_that_cannot_be_made_keeps_the_text_for_this_process(
    tmp_path: Path, upstream: Upstream
) -> None:
    (tmp_path / "file").touch()
    texts = RemoteTexts(tmp_path / "file" / "remote")
    assert [read(texts, source(upstream.url)).texts for _ in range(2)] == [("Be brief.",)] * 2
    assert len(upstream.requests) == 1


def test_many_turns_at_once_ask_once(tmp_path: Path, upstream: Upstream) -> None:
    async def turns() -> list[RemoteRead]:
        texts = RemoteTexts(tmp_path)
        return await asyncio.gather(*(texts.read([source(upstream.url)]) for _ in range(10)))

    assert {each.texts for each in asyncio.run(turns())} == {("Be brief.",)}
    assert len(upstream.requests) == 1


def test_sources_are_asked_side_by_side_and_keep_their_order(tmp_path: Path, upstream: Upstream) -> None:
    all_at_once = threading.Barrier(5, timeout=PATIENT_S)

    def answer(request: Request) -> Answer:
        all_at_once.wait()
        return text(request.path.encode())

    upstream.answers(answer)
    sources = [source(f"{upstream.url}/{name}") for name in "abcde"]
    found = asyncio.run(RemoteTexts(tmp_path).read(sources))
    assert found.texts == tuple(f"/v1/{name}" for name in "abcde")


def test_two_processes_leave_one_whole_copy(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(text("z" * 300_000))
    program = textwrap.dedent(f"""
        import asyncio, pathlib
        from aivax_cli.model.remote_text import RemoteSource, RemoteTexts
        source = RemoteSource({upstream.url!r}, "x", 0, {PATIENT_S})
        for _ in range(20):
            found = asyncio.run(RemoteTexts(pathlib.Path({str(tmp_path)!r})).read([source]))
            assert found.texts == ("z" * 300_000,) and not found.warnings
    """)
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(PATIENT_S) for process in running] == [0, 0]
    assert [file.suffix for file in tmp_path.iterdir()] == [".json"]
