"""How requests were answered, counted with plain numbers and turned into metrics when somebody scrapes.

There are several figures for each delivery; the client library's own counters, each with its lock, cost it as much
as its headers do. One event loop counts and collects.
"""

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class EndpointCounts:
    """The requests of one endpoint (or of none, by the name ""): how many by outcome, answered late, bytes kept."""

    __slots__ = ("body_bytes", "late", "outcomes")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.late = 0
        self.body_bytes = 0


class AnswerCounts(Collector):
    """The counts of every endpoint, and how long answers took; `bounds` are the histogram's, in seconds, rising."""

    def __init__(self, bounds: Iterable[float]) -> None:
        self._bounds = tuple(bounds)
        self._took = [0] * (len(self._bounds) + 1)
        self._took_s = 0.0
        self._endpoints: dict[str, EndpointCounts] = {}

    def of(self, endpoint: str) -> EndpointCounts:
        """Those of one endpoint, to count in."""
        counts = self._endpoints.get(endpoint)
        if counts is None:
            counts = self._endpoints[endpoint] = EndpointCounts()
        return counts

    def answer_took(self, seconds: float) -> None:
        """One more answer that took so long."""
        self._took[bisect_left(self._bounds, seconds)] += 1
        self._took_s += seconds

    def collect(self) -> Iterable[Metric]:
        """All of it as of now."""
        requests = CounterMetricFamily(
            "dropstream_ingest_requests",
            "Requests by endpoint (empty for an unknown one) and by what became of them.",
            labels=("endpoint", "outcome"),
        )
        body_bytes = CounterMetricFamily(
            "dropstream_ingest_body_bytes", "Bytes of the bodies that were answered 200.", labels=("endpoint",)
        )
        late = CounterMetricFamily(
            "dropstream_ingest_answered_late",
            "Deliveries answered 200 later than the provider waits; it takes them for failed and sends them again.",
            labels=("endpoint",),
        )
        for endpoint, counts in self._endpoints.items():
            for outcome, number in counts.outcomes.items():
                requests.add_metric((endpoint, outcome), number)
            if endpoint:
                body_bytes.add_metric((endpoint,), counts.body_bytes)
                late.add_metric((endpoint,), counts.late)
        return (requests, body_bytes, late, self._seconds())

    def _seconds(self) -> Metric:
        family = HistogramMetricFamily(
            "dropstream_ingest_answer_seconds",
            "From a request's headers to its answer, requests of configured endpoints, whatever the answer.",
        )
        buckets, count = [], 0
        for bound, number in zip((*self._bounds, float("inf")), self._took, strict=True):
            count += number
            buckets.append((floatToGoString(bound), count))  # type: ignore[no-untyped-call] # it ships without
        family.add_metric((), buckets, self._took_s)
        return family
