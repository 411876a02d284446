"""What the server has done since it started, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct, field

from aivax_cli.core.types import Charge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_FAMILIES = (
    ("aivax_requests_in_flight", "gauge", "Requests that wait for their answer."),
    ("aivax_requests_total", "counter", "Requests by gateway and HTTP status."),
    ("aivax_tokens_total", "counter", "Tokens by gateway and SKU."),
    ("aivax_cost_usd_total", "counter", "What priced tokens cost, in USD."),
    ("aivax_unpriced_tokens_total", "counter", "Tokens whose price nobody has said."),
    ("aivax_request_seconds", "histogram", "Seconds until a request's whole answer."),
)

Samples = Mapping[str, Sequence[str]]
"""The lines of each family of one process, by the family's name."""


class Metrics(Struct):
    """Counters of one process. `gateway` is the name of one that is there, "" for a request that found none:
    what clients make up makes no series. `worker` is a label of every sample where there are several."""

    in_flight: int = 0
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    usd: dict[str, Decimal] = field(default_factory=dict)
    unpriced: Counter[str] = field(default_factory=Counter)
    _waits: dict[str, list[int]] = field(default_factory=dict)
    _seconds: Counter[str] = field(default_factory=Counter)
    worker: str = ""

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

    def text(self, others: Sequence[Samples] = ()) -> str:
        """Everything, a line each; with the samples of other workers beside this one's."""
        everybody = sorted([self.samples(), *others], key=_worker_of)
        lines: list[str] = []
        for name, kind, about in _FAMILIES:
            lines += (f"# HELP {name} {about}", f"# TYPE {name} {kind}")
            lines += (line for samples in everybody for line in samples.get(name, ()))
        return "\n".join(lines) + "\n"

    def samples(self) -> Samples:
        """The lines of each family."""
        return {
            "aivax_requests_in_flight": [f"aivax_requests_in_flight{self._labels({})} {self.in_flight}"],
            "aivax_requests_total": [
                f"aivax_requests_total{self._labels({'gateway': gateway, 'status': str(status)})} {count}"
                for (gateway, status), count in sorted(self.requests.items())
            ],
            "aivax_tokens_total": [
                f"aivax_tokens_total{self._labels({'gateway': gateway, 'sku': sku})} {count}"
                for (gateway, sku), count in sorted(self.tokens.items())
            ],
            "aivax_cost_usd_total": [
                f"aivax_cost_usd_total{self._labels({'gateway': gateway})} {usd:f}"
                for gateway, usd in sorted(self.usd.items())
            ],
            "aivax_unpriced_tokens_total": [
                f"aivax_unpriced_tokens_total{self._labels({'gateway': gateway})} {count}"
                for gateway, count in sorted(self.unpriced.items())
            ],
            "aivax_request_seconds": [
                line
                for gateway, waits in sorted(self._waits.items())
                for line in self._histogram(gateway, waits)
            ],
        }

    def _histogram(self, gateway: str, waits: Sequence[int]) -> Iterator[str]:
        total = 0
        for bound, count in zip((*map(str, _SECONDS), "+Inf"), waits, strict=True):
            total += count
            yield f"aivax_request_seconds_bucket{self._labels({'gateway': gateway, 'le': bound})} {total}"
        labels = self._labels({"gateway": gateway})
        yield f"aivax_request_seconds_sum{labels} {self._seconds[gateway]:.6f}"
        yield f"aivax_request_seconds_count{labels} {total}"

    def _labels(self, labels: Mapping[str, str]) -> str:
        whole = {**labels, "worker": self.worker} if self.worker else labels
        return (
            "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in whole.items()) + "}"
            if whole
            else ""
        )


def _worker_of(samples: Samples) -> str:
    return samples["aivax_requests_in_flight"][0]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
