"""The spans of what the consumer groups did: each record that was processed, and each record that it led to.

A step is a trace of its own, with a link to the trace of the delivery: a delivery may wait for days, be replayed, and
be read by many, so one span around all of it would never end. Each record that a step writes is a span within; events
carry the delivery's own `traceparent`, to which their readers are linked in turn.
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, set_span_in_context

from ops.tracing.contexts import read_context
from ops.tracing.exemplars import Exemplars
from processors.runtime.group_spec import TracedStep
from processors.runtime.metrics import TRANSACTION_SECONDS
from schemas.events import read_event
from schemas.records import Record
from schemas.vocabulary import EVENT_TOPICS

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

# A delivery may lead to a thousand events; the first ones say enough.
_OUTPUTS_MAX = 20


@dataclass(frozen=True, slots=True)
class StepTracer:
    """Makes the spans with `tracer`; `topic_prefix` goes before the short names of topics."""

    tracer: "Tracer"
    topic_prefix: str
    exemplars: Exemplars = field(default_factory=Exemplars)

    def trace(self, group: str, steps: Sequence[TracedStep]) -> None:
        """Makes the spans of the steps; they end now, for now they are committed."""
        now_ns = time.time_ns()
        for step in steps:
            self._trace(group, step, now_ns)
        first = min(steps, key=lambda one: one.began_ns)
        self.exemplars.note(
            "dropstream_process_transaction_seconds",
            TRANSACTION_SECONDS,
            (now_ns - first.began_ns) / 1e9,
            trace_id=first.traceparent.split("-")[1],
            labels=f'group="{group}",',
        )

    def _trace(self, group: str, step: TracedStep, now_ns: int) -> None:
        topic, partition, offset = step.position.topic, step.position.partition, step.position.offset
        span = self.tracer.start_span(
            f"process {topic}",
            context=Context(),  # Of no other span: a trace of its own.
            kind=SpanKind.CONSUMER,
            links=[Link(read_context(step.traceparent))],
            start_time=step.began_ns,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(partition),
                "messaging.kafka.offset": offset,
                "messaging.consumer.group.name": self.topic_prefix + group,
                "dropstream.outputs": len(step.outputs),
            },
        )
        inside = set_span_in_context(span, Context())
        for record in step.outputs[:_OUTPUTS_MAX]:
            name = self.topic_prefix + record.topic
            written = self.tracer.start_span(
                f"send {name}",
                context=inside,
                kind=SpanKind.PRODUCER,
                start_time=step.ended_ns,
                attributes={
                    "messaging.system": "kafka",
                    "messaging.operation.name": "send",
                    "messaging.operation.type": "send",
                    "messaging.destination.name": name,
                    **_of_event(record),
                },
            )
            written.end(now_ns)
        span.end(now_ns)


def _of_event(record: Record) -> dict[str, str]:
    """What the record says of the event that it is; nothing of another record.

    Its topic tells: a rejected record has the headers and the body of a stranger, who can make it look like an event.
    """
    event = read_event(record.value) if record.topic in EVENT_TOPICS else None
    if event is None:
        return {}
    return {f"cloudevents.event_{name}": str(event.attributes[name]) for name in ("id", "type", "source", "subject")}
