"""Turns with spans of OpenTelemetry, where the environment asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedded, Embedder
    from aivax_cli.steps.plan import Ports
    from aivax_cli.usage.tracing import Tracing, TurnTrace


def open_tracing(environ: Mapping[str, str] = os.environ) -> Tracing | None:
    """Tracing as the environment wants it, None without. The caller closes it."""
    if not any(name.startswith("OTEL_") for name in environ):
        return None  # the usual case imports nothing
    from aivax_cli.usage.otel_sdk import start_tracing

    return start_tracing(environ)


def traced_ports(ports: Ports, trace: TurnTrace | None) -> Ports:
    """The ports of a turn whose searches are spans."""
    return replace(ports, retriever=trace.retriever(ports.retriever)) if trace else ports


def traced_embedders(tracing: Tracing | None) -> Callable[[Embedder], Embedder]:
    """What makes an embedder's questions spans below the search that asks them."""
    return lambda embedder: _TracedEmbedder(embedder, tracing) if tracing else embedder


class _TracedEmbedder(Struct, frozen=True):
    """Embedding search terms is a span. Implements `retrieval.embedding.base.Embedder`."""

    inner: Embedder
    tracing: Tracing

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    @property
    def max_tokens(self) -> int:
        return self.inner.max_tokens

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        from opentelemetry.trace import SpanKind

        from aivax_cli.usage.genai import embedder_attributes
        from aivax_cli.usage.tracing import failed

        attributes = embedder_attributes(self.name, len(texts))
        name = f"embeddings {attributes['gen_ai.request.model']}"
        # The search has made its own span the current one, also in the thread in which this runs.
        span = self.tracing.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        try:
            found = self.inner.embed_queries(texts)
            span.set_attribute("gen_ai.usage.input_tokens", found.tokens)
            span.set_attribute("gen_ai.embeddings.dimension.count", int(found.vectors.shape[1]))
            return found
        except Exception as error:
            failed(span, error)
            raise
        finally:
            span.end()

    def embed_passages(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Embedded:
        return self.inner.embed_passages(texts, on_batch)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self.inner.count_tokens(texts)
