"""Turns as OpenTelemetry spans: in memory, and sent to a collector by the program."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: TID253
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: TID253
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: TID253
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: TID253
from opentelemetry.trace import SpanKind, StatusCode  # noqa: TID253
from support.command_line import Done, aivax
from support.embedding_server import embeddings
from support.knowledge import write_files
from support.upstream import Answer, Request, Upstream, calls_tool, chunk, json_answer, says, sse, status
from support.workspaces import gateway_id, write_gateway

from aivax_cli.core.errors import AivaxError
from aivax_cli.core.events import Event
from aivax_cli.core.types import Message
from aivax_cli.gateway.workspace import find_workspace
from aivax_cli.usage.tracing import Tracing
from aivax_cli.wiring.gateways import open_workspace

QUESTION = "Where does the pangolin live?"


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of one turn, by name."""

    all: tuple[ReadableSpan, ...]

    def __getitem__(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self.all if span.name == name)
        return span

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.all]

    @property
    def text(self) -> str:
        """Everything that was recorded."""
        return "\n".join(span.to_json() for span in self.all)


class Place:
    """A workspace with one gateway that calls a scripted endpoint."""

    def __init__(self, root: Path, upstream: Upstream) -> None:
        self.root = root
        self.upstream = upstream
        self.gateway()

    def gateway(self, more: str = "") -> None:
        model = f"{{base_url: {self.upstream.url}, name: m}}"
        write_gateway(self.root, "g", model, more=f"description: Knows animals\n{more}")

    def spans(self, *, content: bool = False, until: type[Event] | None = None) -> Spans:
        """Asks once, and gives what was recorded; errors of the turn are part of it."""
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracing = Tracing(provider.get_tracer("test"), content)

        async def ask() -> None:
            workspace = find_workspace(self.root)
            async with open_workspace(workspace) as opened:
                runtime = replace(opened, tracing=tracing).gateway(workspace.load("g"))
                async with aclosing(runtime.turn((Message("user", QUESTION),))) as events:
                    async for event in events:
                        if until is not None and isinstance(event, until):
                            return

        with suppress(AivaxError):
            asyncio.run(ask())
        return Spans(exporter.get_finished_spans())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Upstream(says("In Africa.", prompt=84, cached=20, model="m-2026")) as upstream:
        yield Place(tmp_path, upstream)


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def test_a_turn_is_a_span_with_its_calls_below(place: Place) -> None:
    spans = place.spans()
    assert spans.names == ["chat m", "invoke_agent g"]
    root, call = spans["invoke_agent g"], spans["chat m"]
    assert root.parent is None
    assert call.parent is not None and root.context is not None
    assert call.parent.span_id == root.context.span_id
    assert attributes(root) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "aivax",
        "gen_ai.agent.name": "g",
        "gen_ai.agent.id": gateway_id(1),
        "gen_ai.agent.description": "Knows animals",
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "aivax.search.strategy": "Plain",
        "aivax.cost.usd": 0.0,
    }


def test_a_models_call_has_the_attributes_of_the_conventions(place: Place) -> None:
    place.gateway("parameters: {temperature: 0.5, max_completion_tokens: 9, stop: [END], seed: 7}\n")
    span = place.spans()["chat m"]
    found = dict(attributes(span))
    assert found.pop("gen_ai.response.time_to_first_chunk") > 0
    assert span.kind is SpanKind.CLIENT
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "127.0.0.1",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 84,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.output_tokens": 2,
        "server.address": "127.0.0.1",
        "server.port": place.upstream.port,
        "aivax.purpose": "inference.chat_completions",
    }


def test_what_was_said_is_not_recorded(place: Place) -> None:
    place.gateway("instructions: Be secretive.\n")
    text = place.spans().text
    for said in (QUESTION, "Be secretive.", "In Africa."):
        assert said not in text


def test_what_was_said_is_recorded_on_request(place: Place) -> None:
    place.gateway("instructions: Be open.\n")
    found = attributes(place.spans(content=True)["chat m"])
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be open."}]
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": QUESTION}]}
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "In Africa."}],
            "finish_reason": "stop",
        }
    ]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(status(401), "401"), (sse([chunk("In")], end=None, ending="cut"), "incomplete")],
)
def test_a_failure_is_on_the_call_and_on_the_turn(place: Place, answer: Answer, kind: str) -> None:
    place.upstream.answers(answer)
    spans = place.spans()
    for span in (spans["chat m"], spans["invoke_agent g"]):
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["error.type"] == kind


def test_retries_are_events_of_the_call(place: Place) -> None:
    place.upstream.answers(status(503, retry_after="0"), says("In Africa."))
    span = place.spans()["chat m"]
    assert [event.name for event in span.events] == ["aivax.retry"]
    assert span.status.status_code is StatusCode.UNSET


def test_a_turn_that_is_left_ends_its_spans(place: Place) -> None:
    from aivax_cli.core.events import TextDelta

    assert sorted(place.spans(until=TextDelta).names) == ["chat m", "invoke_agent g"]


def weather(request: Request) -> Answer:
    """A tool, and a model that calls it once."""
    if request.path.endswith("/weather"):
        return json_answer({"weather": "sunny"})
    called = any(message["role"] == "tool" for message in request.body["messages"])
    return says("Sunny.") if called else calls_tool("weather", {"city": "Paris"}, call_id="c1")


@pytest.mark.parametrize("content", [False, True])
def test_a_tool_is_a_span_between_two_calls(place: Place, content: bool) -> None:
    place.upstream.answers(weather)
    place.gateway(f"tools: [{{name: weather, description: D., url: '{place.upstream.url}/weather'}}]\n")
    spans = place.spans(content=content)
    assert spans.names == ["chat m", "execute_tool weather", "chat m", "invoke_agent g"]
    found = dict(attributes(spans["execute_tool weather"]))
    recorded = {found.pop(f"gen_ai.tool.call.{part}", None) for part in ("arguments", "result")}
    assert ('{"city": "Paris"}' in recorded) == content
    assert any("sunny" in str(text) for text in recorded) == content
    assert found == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.type": "function",
    }


# By the program, to a collector.


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.server = Upstream(Answer(headers={"content-type": "application/x-protobuf"}))

    @property
    def environ(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.port}"}

    @property
    def resources(self) -> list[dict[str, str]]:
        return [
            {each.key: each.value.string_value for each in group.resource.attributes}
            for group in self._groups()
        ]

    @property
    def spans(self) -> list[Any]:
        return [span for group in self._groups() for scope in group.scope_spans for span in scope.spans]

    def parent(self, span: Any) -> str | None:
        return next((each.name for each in self.spans if each.span_id == span.parent_span_id), None)

    def _groups(self) -> list[Any]:
        read = ExportTraceServiceRequest.FromString
        return [group for body in self.server.bodies for group in read(body).resource_spans]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    with made.server:
        yield made


def complete(place: Place, environ: Mapping[str, str]) -> Done:
    return aivax("complete", "g", QUESTION, cwd=place.root, home=place.root, env=environ, stdin="")


def test_the_environment_alone_sends_spans(place: Place, collector: Collector) -> None:
    done = complete(place, collector.environ)
    assert (done.out, "error" in done.err) == ("In Africa.\n", False)
    assert sorted(span.name for span in collector.spans) == ["chat m", "invoke_agent g"]
    assert collector.resources[0]["service.name"] == "aivax"
    assert collector.server.requests[0].path == "/v1/traces"
    assert QUESTION.encode() not in collector.server.bodies[0]


def test_the_environment_names_the_service_and_asks_for_content(place: Place, collector: Collector) -> None:
    capture = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true", "OTEL_SERVICE_NAME": "zoo"}
    complete(place, collector.environ | capture)
    assert collector.resources[0]["service.name"] == "zoo"
    assert QUESTION.encode() in collector.server.bodies[0]


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_the_environment_switches_it_off(place: Place, collector: Collector, off: dict[str, str]) -> None:
    assert complete(place, collector.environ | off).out == "In Africa.\n"
    assert collector.server.requests == []


def test_the_console_exporter_leaves_stdout_to_the_answer(place: Place) -> None:
    done = complete(place, {"OTEL_TRACES_EXPORTER": "console"})
    assert done.out == "In Africa.\n"
    assert '"name": "chat m"' in done.err


def test_an_exporter_that_is_not_there_costs_nothing_but_a_line_of_debug(place: Place) -> None:
    done = complete(place, {"OTEL_TRACES_EXPORTER": "zipkin9"})
    assert (done.out, "zipkin9" in done.err) == ("In Africa.\n", False)
    debug = aivax("complete", "g", "hi", "--debug", cwd=place.root, home=place.root, stdin="", env=ZIPKIN)
    assert "an exporter of traces named 'zipkin9' is not installed: pip install 'aivax[otel]'" in debug.err


ZIPKIN = {"OTEL_TRACES_EXPORTER": "zipkin9"}


def test_a_collector_that_is_not_there_is_neither_waited_for_nor_told(place: Place) -> None:
    began = time.monotonic()
    complete(place, {})
    usual_s = time.monotonic() - began
    began = time.monotonic()
    done = complete(place, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    assert done.out == "In Africa.\n"
    assert "Traceback" not in done.err
    assert "127.0.0.1:9" not in done.err
    assert time.monotonic() - began < 30 + 5 * usual_s


def test_without_such_variables_nothing_of_it_is_imported(place: Place) -> None:
    done = complete(place, {"PYTHONPROFILEIMPORTTIME": "1"})
    assert "aivax_cli.turn" in done.err
    assert "opentelemetry" not in done.err


def test_a_search_is_a_span_with_its_embeddings_below(place: Place, collector: Collector) -> None:
    def answer(request: Request) -> Answer:
        return embeddings()(request) if request.path.endswith("/embeddings") else says("In Africa.")

    place.upstream.answers(answer)
    embedder = f"{{model: {{base_url: {place.upstream.url}, name: e}}, dimensions: 32}}"
    files = {"docs/a.md": "Pangolins live in Africa.", "collections/kb.yaml": f"embedder: {embedder}\n"}
    write_files(place.root, files)
    made = aivax("ingest", "docs", "-c", "kb", cwd=place.root, home=place.root)
    assert made.code == 0, made.err
    place.gateway("knowledge: {collections: [kb], min_score: 0}\n")
    assert complete(place, collector.environ).out == "In Africa.\n"
    found = {span.name: span for span in collector.spans}
    assert sorted(found) == ["chat m", "embeddings e", "invoke_agent g", "retrieval kb"]
    assert collector.parent(found["embeddings e"]) == "retrieval kb"
    assert collector.parent(found["retrieval kb"]) == "invoke_agent g"
    told = {each.key: each.value for each in found["embeddings e"].attributes}
    assert told["gen_ai.operation.name"].string_value == "embeddings"
    assert told["gen_ai.usage.input_tokens"].int_value > 0
    assert told["gen_ai.embeddings.dimension.count"].int_value == 32
