"""Counts the records of the last half hour by endpoint, and measures how long they took; pure, by record times.

A record that is older than the window counts nowhere; one from the future counts as now.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

BUCKET_MS = 15_000
BUCKETS = 120
WINDOW_MS = BUCKET_MS * BUCKETS
_LATENCIES_MAX = 10_000
_LATENCY_WINDOW_MS = 300_000


class FlowKind(StrEnum):
    """What is counted: deliveries in `raw`, and what became of them."""

    DELIVERIES = "deliveries"
    EVENTS = "events"
    REJECTED = "rejected"
    DUPLICATES = "duplicates"


@dataclass(slots=True)
class Flow:
    """Counts by endpoint, kind and quarter minute."""

    _counts: dict[tuple[str, FlowKind], Counter[int]] = field(default_factory=dict)

    def count(self, endpoint: str, kind: FlowKind, at_ms: int, *, now_ms: int) -> None:
        """Counts one record of that time."""
        bucket = min(at_ms, now_ms) // BUCKET_MS
        if bucket <= now_ms // BUCKET_MS - BUCKETS:
            return
        buckets = self._counts.setdefault((endpoint, kind), Counter())
        buckets[bucket] += 1
        if len(buckets) > 2 * BUCKETS:
            for old in [one for one in buckets if one <= now_ms // BUCKET_MS - BUCKETS]:
                del buckets[old]

    def endpoints(self) -> set[str]:
        """Every endpoint of which a record was counted."""
        return {endpoint for endpoint, _ in self._counts}

    def series(self, endpoint: str, kind: FlowKind, *, now_ms: int) -> list[int]:
        """The counts of the window's buckets, the oldest first; the last one is not over yet."""
        buckets = self._counts.get((endpoint, kind)) or Counter()
        last = now_ms // BUCKET_MS
        return [buckets[bucket] for bucket in range(last - BUCKETS + 1, last + 1)]


@dataclass(frozen=True, slots=True)
class Latency:
    """How long `count` events took from receipt until written, in ms."""

    count: int
    median_ms: int
    p99_ms: int
    slowest_ms: int


@dataclass(slots=True)
class Latencies:
    """The newest times from receipt until written; the last five minutes count."""

    _times: deque[tuple[int, str, int]] = field(default_factory=lambda: deque(maxlen=_LATENCIES_MAX))

    def add(self, endpoint: str, *, received_ms: int, written_ms: int) -> None:
        """Adds the times of one event."""
        self._times.append((written_ms, endpoint, max(0, written_ms - received_ms)))

    def of(self, endpoint: str | None, *, now_ms: int) -> Latency | None:
        """The latency of one endpoint, or of all (None); None where no event was written in that time."""
        return _summary(
            took
            for written_ms, name, took in self._times
            if written_ms > now_ms - _LATENCY_WINDOW_MS and endpoint in {None, name}
        )


def _summary(times: Iterable[int]) -> Latency | None:
    ordered = sorted(times)
    if not ordered:
        return None
    last = len(ordered) - 1
    return Latency(len(ordered), ordered[last // 2], ordered[round(last * 0.99)], ordered[last])
