"""The spans of a delivery at the ingress: the request, and within it what is sent to `raw`.

The record of `raw` carries the second one as its `traceparent`, so that whatever reads the record can be linked to it.
Names and attributes: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ and
https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)

from ingest.answers import Answer, status_of
from ingest.metrics import ANSWER_SECONDS
from ops.tracing.contexts import read_context, write_context
from ops.tracing.exemplars import Exemplars

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_FAILED_FROM = 500


@dataclass(slots=True)
class SpansOfDelivery:
    """The two spans of a delivery, and the `traceparent` of its record."""

    request: Span
    sending: Span
    traceparent: str
    began_ns: int
    exemplars: Exemplars

    def end(self, answer: Answer) -> None:
        """Ends both, the inner one first."""
        status = status_of(answer.outcome)
        if self.sending.is_recording():
            self.sending.set_attribute("dropstream.outcome", answer.outcome.value)
            self.request.set_attribute("http.response.status_code", status)
            if status >= _FAILED_FROM:
                for span in (self.sending, self.request):
                    span.set_status(Status(StatusCode.ERROR))
            seconds, trace_id = (time.time_ns() - self.began_ns) / 1e9, self.traceparent.split("-")[1]
            self.exemplars.note("dropstream_ingest_answer_seconds", ANSWER_SECONDS, seconds, trace_id=trace_id)
        self.sending.end()
        self.request.end()


@dataclass(frozen=True, slots=True)
class DeliveryTracer:
    """Makes the spans with `tracer`; `topic` is the full name of `raw`."""

    tracer: "Tracer"
    topic: str
    exemplars: Exemplars = field(default_factory=Exemplars)

    def begin(self, *, endpoint: str, delivery: str, traceparent: str, body_bytes: int) -> SpansOfDelivery:
        """Begins both spans; where the trace is not to be recorded, they record nothing and the flag goes on."""
        began_ns = time.time_ns()
        parent = set_span_in_context(NonRecordingSpan(read_context(traceparent))) if traceparent else None
        of_dropstream = {
            "dropstream.endpoint": endpoint,
            "dropstream.delivery": delivery,
        }
        request = self.tracer.start_span(
            "POST /webhooks/{endpoint}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": "POST",
                "http.route": "/webhooks/{endpoint}",
                "http.request.body.size": body_bytes,
                **of_dropstream,
            },
        )
        sending = self.tracer.start_span(
            f"send {self.topic}",
            context=set_span_in_context(request),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": self.topic,
                "messaging.message.id": delivery,
                "messaging.message.body.size": body_bytes,
                **of_dropstream,
            },
        )
        return SpansOfDelivery(request, sending, write_context(sending.get_span_context()), began_ns, self.exemplars)
