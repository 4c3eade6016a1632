"""How a delivery is traced where somebody records traces: from its acceptance to its answer.

The receiver calls it; what records traces stands in `ops/tracing/`. Where nobody does, nothing of it is called.
"""

from typing import Protocol

from ingest.answers import Answer


class DeliverySpan(Protocol):
    """A delivery on its way; `traceparent` is what its record carries, so that later steps are linked to it."""

    traceparent: str

    def end(self, answer: Answer) -> None:
        """Takes the answer; returns at once, and never fails."""


class DeliveryTracing(Protocol):
    """Records the traces of deliveries that are received."""

    def begin(self, *, endpoint: str, delivery: str, traceparent: str, body_bytes: int) -> DeliverySpan:
        """Begins a delivery; `traceparent` is that of the request, "" for none. Returns at once, and never fails."""
