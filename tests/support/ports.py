"""Ports for programs that are told theirs: nobody else takes one between its choice and its use."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

LOWEST, HIGHEST = 20_000, 32_000
"""Below those that systems hand out by themselves: to servers on port 0, and to connections that go out."""


def free_port() -> int:
    """A port that is free and is handed out to nobody. Other processes of a test run choose among others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    room = (HIGHEST - LOWEST) // 16
    for port in random.sample(range(LOWEST + worker * room, LOWEST + (worker + 1) * room), room):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def closed_port() -> Iterator[int]:
    """A port at which connections are refused for as long as the block lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
