"""What is said when the proxy that the environment names is at fault, and not the endpoint behind it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.calling import ONCE, ask
from support.patience import PATIENT_S

from aivax_cli.core.errors import ModelError
from aivax_cli.model.aiohttp_sending import aiohttp_sender
from aivax_cli.model.sending import Sender, httpx_sender

PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
REFUSES = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def proxy(answer: bytes | None) -> Iterator[str]:
    """The address of a proxy that answers everything so; None: nobody listens there."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        if answer is None:
            yield address
            return
        listening.listen()

        def serve() -> None:
            try:
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(answer)
            except OSError:  # the test is over
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield address
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENT_S)


@pytest.mark.parametrize("sender", [httpx_sender, aiohttp_sender])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("answer", "said"),
    [(None, "(cannot be reached|refused)"), (REFUSES, "refuse[sd].*407")],
    ids=["away", "refuses"],
)
def test_a_proxy_at_fault_is_named_and_not_the_endpoint(
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes | None,
    said: str,
    scheme: str,
    sender: Callable[..., Sender],
) -> None:
    with proxy(answer) as address:
        monkeypatch.setenv("ALL_PROXY", f"http://me:hush@{address}")
        with pytest.raises(ModelError) as caught:
            ask(f"{scheme}://models.example/v1", retry=ONCE, sender=sender)
    told = caught.value
    pattern = rf"the proxy .*on the way to {scheme}://models\.example/v1/chat/completions {said}"
    assert caught.match(pattern)
    assert told.fix is not None
    assert "ALL_PROXY" in told.fix
    assert "hush" not in str(told)


@pytest.mark.parametrize("sender", [httpx_sender, aiohttp_sender])
def test_an_address_that_needs_no_proxy_is_named_itself(
    monkeypatch: pytest.MonkeyPatch, sender: Callable[..., Sender]
) -> None:
    with proxy(None) as address:
        monkeypatch.setenv("ALL_PROXY", f"http://{address}")
        monkeypatch.setenv("NO_PROXY", "models.invalid")
        with pytest.raises(
            ModelError, match=r"cannot reach http://models\.invalid/v1/chat/completions: its host"
        ):
            ask("http://models.invalid/v1", retry=ONCE, sender=sender)
