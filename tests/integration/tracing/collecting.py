"""A collector of traces: a small HTTP server that takes OTLP, and one that takes a connection and never answers."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span as it came, its ids in hexadecimal digits; `links` are trace id and span id of each."""

    service: str
    name: str
    kind: int
    trace: str
    span: str
    parent: str
    links: list[tuple[str, str]]
    attributes: dict[str, str | int]
    seconds: float

    @property
    def traceparent(self) -> str:
        """The span as what follows it names it."""
        return f"00-{self.trace}-{self.span}-01"


@dataclass(slots=True)
class Collector:
    """A collector at `url`, and the spans that came."""

    url: str
    spans: list[CollectedSpan] = field(default_factory=list)

    def named(self, prefix: str) -> list[CollectedSpan]:
        """The spans whose name begins so."""
        return [one for one in self.spans if one.name.startswith(prefix)]

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a program that is to send its traces here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


@contextmanager
def collector(*, answers: bool = True) -> Iterator[Collector]:
    """A collector that runs inside; where it never `answers`, requests hang until the end."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if not answers:
                over.wait()
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.spans += _read(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        yield found
    finally:
        over.set()
        server.shutdown()
        serving.join()
        server.server_close()


def _read(request: ExportTraceServiceRequest) -> list[CollectedSpan]:
    return [
        CollectedSpan(
            service=next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name"),
            name=span.name,
            kind=span.kind,
            trace=span.trace_id.hex(),
            span=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            links=[(one.trace_id.hex(), one.span_id.hex()) for one in span.links],
            attributes={one.key: one.value.string_value or one.value.int_value for one in span.attributes},
            seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
