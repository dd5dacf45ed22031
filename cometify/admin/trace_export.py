"""The way of spans to a collector of OpenTelemetry, by its SDK, which the extra `otel` installs.

The SDK sends spans in batches from a thread of its own, and drops them if they are too many. It is imported only if the
setting `traces` is there.
"""

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from cometify import __version__
from cometify.core.trace_parent import TraceParent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

log = Logger()

PATIENCE = 2.0
"""Seconds that one request to the collector, and the last one of a server that stops, may take."""
BATCH_EVERY = 1_000
"""Milliseconds between two requests to the collector."""


class Exporter:
    """Makes spans, and sends them to the collector at `url`, by OTLP over HTTP. `url`: without the path /v1/traces."""

    def __init__(self, url: str) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - the extra may be missing, and the import takes a quarter of a second
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult  # noqa: PLC0415

        class Telling(SpanExporter):
            """Sends spans, and logs once that the collector does not take them, and once that it does again."""

            def __init__(self, sender: SpanExporter) -> None:
                self._sender = sender
                self._fails = False

            def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
                result = self._sender.export(spans)
                fails = result is not SpanExportResult.SUCCESS
                if fails and not self._fails:
                    log.warn("Traces cannot be sent to {url}. They are dropped until it takes them.", url=url)  # noqa: G010 - a logger of Twisted
                elif self._fails and not fails:
                    log.info("Traces are sent to {url} again.", url=url)
                self._fails = fails
                return result

            def shutdown(self) -> None:
                self._sender.shutdown()

        # Its lines would come again and again, and in another form than the log of the server.
        logging.getLogger("opentelemetry").propagate = False
        logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
        instance = f"{socket.gethostname()}:{os.getpid()}"
        name = os.environ.get("OTEL_SERVICE_NAME", "cometify")
        names = {"service.name": name, "service.version": __version__, "service.instance.id": instance}
        # Its sampler is the default: a span without a parent is recorded, one with a parent if that is recorded.
        self._provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
        sender = trace_exporter.OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=PATIENCE)
        processor = BatchSpanProcessor(
            Telling(sender), schedule_delay_millis=BATCH_EVERY, export_timeout_millis=1_000 * PATIENCE
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("cometify", __version__)
        self._trace = trace

    def begin(
        self, name: str, began: int, parent: TraceParent | None, attributes: Mapping[str, str | int | bool]
    ) -> Any:
        """Make the span of a request. The times of this class are Unix nanoseconds."""
        trace, context = self._trace, None
        if parent is not None:
            remote = trace.SpanContext(
                parent.trace_id, parent.span_id, is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED)
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        return self._tracer.start_span(
            name, context, kind=trace.SpanKind.SERVER, attributes=dict(attributes), start_time=began
        )

    def add(self, name: str, parent: Any, began: int, ended: int) -> None:
        """Make the whole span of a step."""
        context = self._trace.set_span_in_context(parent)
        self._tracer.start_span(name, context, start_time=began).end(ended)

    def fail(self, span: Any, code: str) -> None:
        """Mark the span of a request that was refused."""
        span.set_attribute("cometify.code", code)
        span.set_status(self._trace.StatusCode.ERROR, code)

    def flush(self) -> None:
        """Send what has ended."""
        self._provider.force_flush(int(1_000 * PATIENCE))

    def stop(self) -> None:
        """Send what has ended, for `PATIENCE` seconds at most, and stop the thread."""
        self.flush()
        self._provider.shutdown()
