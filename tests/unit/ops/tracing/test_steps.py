"""The spans of what the groups did, where a stranger decides what a record looks like."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ops.tracing.steps import StepTracer
from processors.runtime.group_spec import TracedStep
from schemas.records import Position, Record

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "body",
    [b'{"id":"a","rawtopic":"raw","rawpartition":0,"rawoffset":"1"}', b"no JSON", b""],
)
def test_a_rejected_record_that_looks_like_an_event_is_none(body: bytes) -> None:
    """Headers and body are a stranger's: a delivery that needs no secret must not end the processors."""
    rejected = Record("rejected", b"acme", body, (("type", b"dropstream.order.created"),))
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracer = StepTracer(provider.get_tracer("dropstream"), "dropstream.")
    tracer.trace("deliver", [TracedStep(TRACEPARENT, Position("dropstream.raw", 0, 7), 1, 2, [rejected])])
    assert [(one.name, "cloudevents.event_id" in (one.attributes or {})) for one in spans.get_finished_spans()] == [
        ("send dropstream.rejected", False),
        ("process dropstream.raw", False),
    ]
