"""What is written in one round of a loop leaves at its end, whole and in its order."""

from __future__ import annotations

import asyncio

from aivax_cli.server.corking import CorkedTransport


class Wire(asyncio.Transport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_what_is_written_in_one_round_is_one_packet():
    async def run() -> list[bytes]:
        wire = Wire()
        corked = CorkedTransport(wire, asyncio.get_running_loop())
        corked.write(b"head ")
        corked.write(b"body")
        assert wire.sent == []
        await asyncio.sleep(0)
        corked.write(b"more")
        await asyncio.sleep(0)
        return wire.sent

    assert asyncio.run(run()) == [b"head body", b"more"]


def test_what_is_written_is_sent_before_the_end():
    async def run() -> tuple[list[bytes], bool]:
        wire = Wire()
        corked = CorkedTransport(wire, asyncio.get_running_loop())
        corked.write(b"last words")
        corked.close()
        await asyncio.sleep(0)
        return wire.sent, corked.is_closing()

    assert asyncio.run(run()) == ([b"last words"], True)


def test_nothing_is_sent_to_who_has_gone():
    async def run() -> list[bytes]:
        wire = Wire()
        corked = CorkedTransport(wire, asyncio.get_running_loop())
        corked.write(b"too late")
        wire.close()
        await asyncio.sleep(0)
        return wire.sent

    assert asyncio.run(run()) == []
