"""OpenTelemetry, set up from its own environment variables: who gets the spans of this program.

Variables: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. Sampling,
limits, batching and the resource are the SDK's own; here it is chosen whether there is tracing, and by which
exporter.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aivax_cli.usage.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_LOGGER: Final = "aivax.tracing"
_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_LAST_SPANS_S: Final = 3.0
"""Seconds that the program's end waits for a collector."""


def tracing_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a place for spans. Imports nothing."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    chosen = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return chosen != "none" if chosen else any(environ.get(name) for name in _ENDPOINTS)


def start_tracing(environ: Mapping[str, str] = os.environ) -> Tracing | None:
    """Tracing as the environment wants it; None when it wants none or the extra `otel` is not installed.

    `environ` chooses; what the SDK reads beyond that it reads from the process's own environment.
    """
    if not tracing_wanted(environ):
        return None
    try:
        provider = _provider(environ)
    except ImportError as error:
        logging.getLogger(_LOGGER).debug(
            "OTEL_ variables ask for traces, and %s is not installed: pip install 'aivax[otel]'", error.name
        )
        return None
    if provider is None:
        return None
    content = environ.get(_CAPTURE, "").strip().lower() in ("true", "span_only", "span_and_event")
    return Tracing(provider.get_tracer("aivax"), content, lambda: _close(provider))


def _provider(environ: Mapping[str, str]) -> TracerProvider | None:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    _quiet()
    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource({} if named else {"service.name": "aivax"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporters = _exporters(environ)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider if exporters else None


def _exporters(environ: Mapping[str, str]) -> list[SpanExporter]:
    from importlib.metadata import entry_points

    found = []
    for name in environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        entry = _entry_name(name.strip().lower(), environ)
        points = list(entry_points(group="opentelemetry_traces_exporter", name=entry))
        if not points:
            raise ModuleNotFoundError(name=f"an exporter of traces named '{entry}'")
        exporter = points[0].load()
        found.append(_on_stderr(exporter) if entry == "console" else exporter())
    return found


def _entry_name(name: str, environ: Mapping[str, str]) -> str:
    """The exporter's name among the installed ones: that of OTLP depends on the protocol."""
    if name != "otlp":
        return name
    general = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general)
    return _PROTOCOLS.get(protocol.strip().lower(), protocol)


def _on_stderr(exporter: type[SpanExporter]) -> SpanExporter:
    """The console exporter: stdout carries the answer and nothing else."""
    import sys

    return exporter(out=sys.stderr)  # type: ignore[call-arg]


def _quiet() -> None:
    """A collector that is not there is told with --debug alone, not in the middle of an answer."""
    logger = logging.getLogger("opentelemetry")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


def _close(provider: TracerProvider) -> None:
    """Sends what is left; a collector that does not answer is not waited for."""
    from threading import Thread

    last = Thread(target=provider.shutdown, daemon=True)
    last.start()
    last.join(_LAST_SPANS_S)
