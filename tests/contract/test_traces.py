"""Traces of pushes, as a collector of OpenTelemetry gets them."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bench.rig.ports import free_ports
from cometify import __version__
from cometify.core.account import Account
from cometify.transports.push import PushEndpoint
from tests.contract.support import API_KEY, API_SECRET, OPEN, by_query, texts
from tests.memory import World
from tests.wire import FORM, eventually, form, request_bytes, secure, secure_key

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
STEPS = ["accept", "keep", "announce", "write first", "write last"]


class Collector(InMemorySpanExporter):
    """Stands where the SDK's exporter does, and keeps the spans."""

    made: ClassVar[list["Collector"]] = []

    def __init__(self, url, timeout):
        super().__init__()
        self.url = url
        self.made.append(self)


@pytest.fixture
def traced(engine, monkeypatch):
    """Make a world whose pushes are traced."""
    monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", Collector)
    monkeypatch.setattr(Collector, "made", [])
    worlds = []

    def make(ratio=0.0, *accounts):
        worlds.append(World(*accounts, traces="http://collector:4318/", traces_ratio=ratio))
        return worlds[-1]

    yield make
    for world in worlds:
        world.server.traces.stop()


def push(world, headers, text="hello", identifier="chat", secret=0, signature=None):
    """Push, and let the deliveries happen. Returns the answer."""
    proof = signature or secure(identifier, text)
    wire = world.connect("127.0.0.1")
    body = form({"text": text, "secret": str(secret), "secure": proof})
    wire.receive(request_bytes("POST", f"/{API_KEY}/push/{identifier}", body, {**FORM, **headers}))
    answer = wire.answer()
    world.advance(0.1)
    return answer


def spans(world):
    """The spans that have come to the collector since the last call, by name. Each name is there once."""
    (collector,) = Collector.made
    assert collector.url == "http://collector:4318/v1/traces"
    world.server.traces.flush()
    found = {span.name: span for span in collector.get_finished_spans()}
    assert len(found) == len(collector.get_finished_spans())
    collector.clear()
    return found


@pytest.mark.parametrize("transport", OPEN)
def test_push_has_a_span_for_each_step_to_its_listeners(traced, transport):
    world = traced(0.0, Account(API_KEY, (API_SECRET,), listeners_per_ip=100))
    wires = [by_query(world, transport, "identifiers=chat") for _ in range(70)]
    position = push(world, SAMPLED).json["position"]
    assert all(texts(wire.frames()) == ["hello"] for wire in wires)
    found = spans(world)
    assert sorted(found) == sorted(["push", *STEPS])
    whole = found["push"]
    assert (f"{whole.context.trace_id:032x}", f"{whole.parent.span_id:016x}") == (TRACE, SPAN)
    assert whole.parent.is_remote
    assert whole.kind is SpanKind.SERVER
    assert whole.attributes == {
        "cometify.api_key": API_KEY,
        "cometify.identifier": "chat",
        "cometify.secret": False,
        "cometify.bytes": 5,
        "cometify.position": position,
        "cometify.duplicate": False,
    }
    assert whole.status.status_code is StatusCode.UNSET
    for name in STEPS:
        assert found[name].parent.span_id == whole.context.span_id
        assert found[name].context.trace_id == whole.context.trace_id
    assert whole.start_time == found["accept"].start_time
    assert found["accept"].end_time == found["keep"].start_time == found["announce"].start_time
    assert found["keep"].end_time == whole.end_time
    announced = found["announce"].end_time
    assert announced == found["write first"].start_time == found["write last"].start_time
    assert announced <= found["write first"].end_time < found["write last"].end_time
    assert whole.resource.attributes["service.name"] == "cometify"
    assert whole.resource.attributes["service.version"] == __version__


def test_trace_that_nobody_records_has_no_spans(traced):
    world = traced(1.0)
    by_query(world, "websocket", "identifiers=chat")
    push(world, NOT_SAMPLED)
    assert spans(world) == {}


@pytest.mark.parametrize(("ratio", "count"), [(0.0, 0), (1.0, 1)])
@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}])
def test_push_without_a_trace_begins_one_by_the_ratio(traced, ratio, count, headers):
    world = traced(ratio)
    push(world, headers)
    found = spans(world)
    assert len(found) == (4 if count else 0) - (world.redis is not None and count)
    if count:
        assert found["push"].parent is None


def test_stranger_cannot_make_spans(traced):
    world = traced(1.0)
    assert push(world, SAMPLED, signature="0" * 32).status == 403
    assert spans(world) == {}
    assert push(world, SAMPLED).status == 200
    assert "push" in spans(world)


def test_refusal_of_an_accepted_push_is_told(traced):
    world = traced(0.0, Account(API_KEY, (API_SECRET,), pushes_per_second=1, push_burst=1))
    assert push(world, {}).status == 200
    assert push(world, SAMPLED).status == 429
    found = spans(world)
    assert sorted(found) == ["accept", "push"]
    assert found["push"].status.status_code is StatusCode.ERROR
    assert found["push"].attributes["cometify.code"] == "too_many_pushes"


def test_listeners_of_every_view_are_waited_for(traced):
    world = traced()
    key = secure_key("chat")
    for transport in OPEN:
        by_query(world, transport, "identifiers=chat")
        by_query(world, transport, f"identifiers=chat&secureKey={key}")
    push(world, SAMPLED)
    found = spans(world)
    assert found["write first"].end_time < found["write last"].end_time


def test_push_that_no_listener_may_see_is_written_to_none(traced):
    world = traced()
    by_query(world, "websocket", "identifiers=chat")
    push(world, SAMPLED, secret=1)
    assert sorted(spans(world)) == ["accept", "announce", "keep", "push"]


def test_duplicate_was_announced_before(traced):
    world = traced()
    by_query(world, "websocket", "identifiers=chat")
    key = {"Idempotency-Key": "one"}
    push(world, key)
    assert push(world, {**SAMPLED, **key}).json["duplicate"]
    found = spans(world)
    assert sorted(found) == ["accept", "keep", "push"]
    assert found["push"].attributes["cometify.duplicate"]


def test_pushes_around_a_traced_one_have_no_spans(traced):
    world = traced()
    by_query(world, "websocket", "identifiers=chat,tweets")
    for headers, identifier in (({}, "chat"), (SAMPLED, "tweets"), ({}, "tweets")):
        push(world, headers, identifier=identifier)
    found = spans(world)
    assert found["push"].attributes["cometify.identifier"] == "tweets"
    assert sorted(found) == sorted(["push", *STEPS])


def test_listener_that_leaves_meanwhile_ends_the_wait(traced):
    world = traced()
    wires = [by_query(world, "websocket", "identifiers=chat") for _ in range(2)]
    wire = world.connect("127.0.0.1")
    body = form({"text": "x", "secret": "0", "secure": secure("chat", "x")})
    wire.receive(request_bytes("POST", f"/{API_KEY}/push/chat", body, {**FORM, **SAMPLED}))
    for listener in wires:
        listener.lose()
    world.advance(0.1)
    assert "push" in spans(world)


def test_no_text_and_no_secret_is_in_a_span(traced):
    world = traced()
    by_query(world, "websocket", "identifiers=chat")
    push(world, SAMPLED, text="the text")
    hidden = ("the text", API_SECRET, secure("chat", "the text"))
    told = "".join(span.to_json() for span in spans(world).values())
    assert [word for word in hidden if word in told] == []


def test_server_without_a_collector_watches_nothing(world):
    assert world.server.traces is None
    assert world.server.fan_out.trace is None
    assert type(world.server.push) is PushEndpoint


# A real server, and a collector on the network.


class Port(ThreadingHTTPServer):
    """A collector that takes OTLP over HTTP."""

    def __init__(self, port):
        self.requests = []
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def names(self):
        """The names of all spans."""
        return [
            span.name
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/traces":
            self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args):
        pass


def test_real_server_tells_of_a_collector_that_is_away_once(make_server):
    (port,) = free_ports(1)
    server = make_server(traces=f"http://127.0.0.1:{port}")

    def pushed():
        body = form({"text": "x", "secret": "0", "secure": secure("chat", "x")})
        return server.request("POST", f"/{API_KEY}/push/chat", body, {**FORM, **SAMPLED}).status == 200

    told = f"Traces cannot be sent to http://127.0.0.1:{port}."
    eventually(lambda: pushed() and told in server.log.read_text(), 30)
    collector = Port(port)
    try:
        eventually(lambda: pushed() and "push" in collector.names(), 30)
        eventually(lambda: "are sent to" in server.log.read_text(), 30)
        assert pushed()
        before = collector.names().count("push")
        server.stop()
        assert collector.names().count("push") > before  # what was left is sent
    finally:
        collector.shutdown()
        collector.server_close()
    log = server.log.read_text()
    assert log.count(told) == 1
    assert "opentelemetry" not in log
