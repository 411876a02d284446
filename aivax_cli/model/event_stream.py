"""Server-sent events out of bytes as they come. Pure.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. Only the data
of events is of use here; their names, ids and comments are passed over.
"""

from __future__ import annotations

_EMPTY_LINE = b"\n\n"


class EventParser:
    """Cuts a stream into the data of its events. `pending` is how many bytes wait for their event's end."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._after_return = False

    @property
    def pending(self) -> int:
        return len(self._rest)

    def feed(self, piece: bytes) -> list[str]:
        """The data of the events that are complete with this piece. Bytes that are no UTF-8 become U+FFFD."""
        piece = self._with_line_feeds(piece)
        rest = self._rest
        searched = max(0, len(rest) - 1)
        rest += piece
        end = rest.rfind(_EMPTY_LINE, searched)
        if end < 0:
            return []
        # Decoded as one: no character of UTF-8 reaches over a line's end.
        blocks = rest[:end].decode("utf-8", "replace").split("\n\n")
        del rest[: end + len(_EMPTY_LINE)]
        return [data for block in blocks if (data := _data(block)) is not None]

    def finish(self) -> list[str]:
        """The data of a last event that no empty line follows."""
        data = _data(self._rest.decode("utf-8", "replace"))
        self._rest.clear()
        return [] if data is None else [data]

    def _with_line_feeds(self, piece: bytes) -> bytes:
        """The piece with every line end (CR LF, CR, LF) as LF; a pair may be cut in two."""
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_return = False
        if b"\r" not in piece:
            self._after_return = self._after_return and not piece
            return piece
        self._after_return = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(block: str) -> str | None:
    """The data of an event; None for a block without any."""
    if block.startswith("data: ") and "\n" not in block:
        return block[6:]  # as nearly every event is written
    lines = []
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        if name == "data":
            lines.append(value.removeprefix(" "))
    return "\n".join(lines) if lines else None
