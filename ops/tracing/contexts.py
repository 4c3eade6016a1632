"""Turns a `traceparent` into OpenTelemetry's context and back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext


def read_context(traceparent: str) -> "SpanContext":
    """The context that a valid `traceparent` names."""
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415 the extra may be missing

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def write_context(context: "SpanContext") -> str:
    """The `traceparent` of a context."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"
