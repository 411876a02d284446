"""Everything that goes wrong with an endpoint, as answers of `support.upstream`.

A fault makes a bad answer of the good one that was due, so that what is cut or left out was an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from support.upstream import Answer, html, json_answer, reset, silence, sse, status

KEY = "mykey-4f9a8b7c6d5e4f3a2b1c"
"""What endpoints are sent as a key, and repeat where they refuse it: it must never be shown."""

CLOSED = "http://127.0.0.1:9/v1"
"""An address where nobody listens."""

_OVERLOADED = {"error": {"message": "overloaded", "type": "server_error", "code": 503}}
_LONG = b"x" * 10_000_000

Spoil = Callable[[Answer], Answer]


@dataclass(frozen=True, slots=True)
class Fault:
    """`stream` spoils a stream of events, `whole` an answer in one piece. None: nobody listens at all."""

    stream: Spoil | None
    whole: Spoil | None


def _always(answer: Answer) -> Fault:
    return Fault(lambda good: answer, lambda good: answer)


def _begun(good: Answer, *more: Answer, ending: str) -> Answer:
    """The first words of a good stream, then the pieces of others, then that ending."""
    pieces = good.pieces[:2] + tuple(piece for each in more for piece in each.pieces)
    return replace(good, pieces=pieces, ending=ending)


def _half(good: Answer, ending: str) -> Answer:
    raw = b"".join(good.pieces)
    return replace(good, pieces=(raw[: len(raw) // 2],), ending=ending)


def _no_choices(good: Answer) -> Answer:
    """The lists of an answer, emptied, whatever it calls them."""
    return json_answer({"choices": [], "data": [], "results": []})


def _without_usage(good: Answer) -> Answer:
    return replace(good, pieces=tuple(piece for piece in good.pieces if b'"usage"' not in piece))


def _usage_removed(good: Answer) -> Answer:
    raw = b"".join(good.pieces)
    if not raw.startswith(b"{"):
        return good
    body = json.loads(raw)
    body.pop("usage", None)
    return replace(good, pieces=(json.dumps(body).encode(),))


FAULTS: Mapping[str, Fault] = {
    "silence": _always(silence()),
    "connection refused": Fault(None, None),
    "reset before the answer": _always(reset()),
    "reset in the middle": Fault(
        lambda good: _begun(good, ending="reset"), lambda good: _half(good, "reset")
    ),
    "silence in the middle": Fault(
        lambda good: _begun(good, ending="stall"), lambda good: _half(good, "stall")
    ),
    "400": _always(status(400, "no such parameter")),
    "401": _always(status(401, f"wrong key {KEY}")),
    "404": _always(status(404, "no such model")),
    "429 with Retry-After": _always(status(429, "slow down", retry_after=120)),
    "429": _always(status(429, "slow down")),
    "500": _always(status(500, "boom")),
    "503": _always(status(503, "maintenance")),
    "HTML": _always(html()),
    "truncated JSON": _always(json_answer('{"choices": [{"mess')),
    "empty choices": Fault(_no_choices, _no_choices),
    "error object": Fault(
        lambda good: _begun(good, sse([_OVERLOADED], end=None), ending="finish"),
        lambda good: json_answer(_OVERLOADED),
    ),
    "no end": Fault(lambda good: _begun(good, ending="finish"), lambda good: _half(good, "cut")),
    "no usage": Fault(_without_usage, _usage_removed),
    "10 MB line": Fault(
        lambda good: sse([b"data: " + _LONG + b"\n\n"]),
        lambda good: Answer((_LONG,), headers={"content-type": "text/plain"}),
    ),
}
