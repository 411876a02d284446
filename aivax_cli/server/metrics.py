"""What the server has done since it started, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from aivax_cli.core.types import Charge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@dataclass(slots=True)
class Metrics:
    """Counters of one process. `gateway` is the name of one that is there, "" for a request that found none:
    what clients make up makes no series."""

    in_flight: int = 0
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    usd: dict[str, Decimal] = field(default_factory=dict)
    unpriced: Counter[str] = field(default_factory=Counter)
    _waits: dict[str, list[int]] = field(default_factory=dict)
    _seconds: Counter[str] = field(default_factory=Counter)

    def done(self, gateway: str, status: int, seconds: float, charges: Sequence[Charge]) -> None:
        """A request has its answer. `status` is 499 for a client that went first."""
        self.requests[gateway, status] += 1
        waits = self._waits.setdefault(gateway, [0] * (len(_SECONDS) + 1))
        waits[bisect.bisect_left(_SECONDS, seconds)] += 1
        self._seconds[gateway] += seconds  # type: ignore[assignment]
        for charge in charges:
            self.tokens[gateway, charge.sku] += charge.quantity
            amount = charge.amount_usd
            if amount is None:
                self.unpriced[gateway] += charge.quantity
            else:
                self.usd[gateway] = self.usd.get(gateway, Decimal(0)) + amount

    def text(self) -> str:
        """Everything, a line each."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _head("aivax_requests_in_flight", "gauge", "Requests that wait for their answer.")
        yield f"aivax_requests_in_flight {self.in_flight}"
        yield from _head("aivax_requests_total", "counter", "Requests by gateway and HTTP status.")
        for (gateway, status), count in sorted(self.requests.items()):
            yield f"aivax_requests_total{_labels({'gateway': gateway, 'status': str(status)})} {count}"
        yield from _head("aivax_tokens_total", "counter", "Tokens by gateway and SKU.")
        for (gateway, sku), count in sorted(self.tokens.items()):
            yield f"aivax_tokens_total{_labels({'gateway': gateway, 'sku': sku})} {count}"
        yield from _head("aivax_cost_usd_total", "counter", "What priced tokens cost, in USD.")
        for gateway, usd in sorted(self.usd.items()):
            yield f"aivax_cost_usd_total{_labels({'gateway': gateway})} {usd:f}"
        yield from _head("aivax_unpriced_tokens_total", "counter", "Tokens whose price nobody has said.")
        for gateway, count in sorted(self.unpriced.items()):
            yield f"aivax_unpriced_tokens_total{_labels({'gateway': gateway})} {count}"
        yield from _head("aivax_request_seconds", "histogram", "Seconds until a request's whole answer.")
        for gateway, waits in sorted(self._waits.items()):
            yield from self._histogram(gateway, waits)

    def _histogram(self, gateway: str, waits: Sequence[int]) -> Iterator[str]:
        total = 0
        for bound, count in zip((*map(str, _SECONDS), "+Inf"), waits, strict=True):
            total += count
            yield f"aivax_request_seconds_bucket{_labels({'gateway': gateway, 'le': bound})} {total}"
        yield f"aivax_request_seconds_sum{_labels({'gateway': gateway})} {self._seconds[gateway]:.6f}"
        yield f"aivax_request_seconds_count{_labels({'gateway': gateway})} {total}"


def _head(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _labels(labels: Mapping[str, str]) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{escaped(text)}"' for name, text in labels.items()) + "}"
