"""Metrics of the answers: counts by endpoint and outcome, and how the provider of each endpoint sees its failures.

The counts are plain numbers, which become metrics in a scrape: there are several for each delivery, and the client
library's own counters, each with its lock, cost it as much as its headers do. Each process counts its own answers;
`deploy/prometheus/rules.yaml` puts several together for the failure budget and the alarm for silence.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """The figures of one endpoint, named as their metrics; None is never, or a limit that no provider names."""

    endpoint: str
    failures_in_a_row: int
    failing_seconds: float
    failure_budget_used_ratio: float
    failures_allowed: int | None
    failing_seconds_allowed: float | None
    last_success_timestamp_seconds: float | None
    last_failure_timestamp_seconds: float | None


_MEANINGS = {
    "failures_in_a_row": "Answers to deliveries that were no success, or a success too late for the provider, "
    "since the last success.",
    "failing_seconds": "Since the first of them; 0 after a success.",
    "failure_budget_used_ratio": "How much of the provider's patience is used, from 0 to 1; at 1 it gives up the "
    "delivery, or us.",
    "failures_allowed": "Failures in a row that the provider bears; absent where it names no number.",
    "failing_seconds_allowed": "Time of failures that the provider bears; absent where it names none.",
    "last_success_timestamp_seconds": "When a delivery was last answered 200 in time; absent before the first.",
    "last_failure_timestamp_seconds": "When a delivery last failed; absent before the first.",
}


class AnswerGauges(Collector):
    """Collects the figures of every configured endpoint in each scrape."""

    def __init__(self, figures: Callable[[], Iterable[AnswerFigures]]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yields a gauge for each figure, with a sample for each endpoint that has the figure."""
        now = list(self._figures())
        for name, meaning in _MEANINGS.items():
            gauge = GaugeMetricFamily(f"dropstream_ingest_{name}", meaning, labels=["endpoint"])
            for one in now:
                if (value := getattr(one, name)) is not None:
                    gauge.add_metric([one.endpoint], value)
            yield gauge


class EndpointCounts:
    """Counts of one endpoint ("" for none): requests by outcome, those answered late, bytes made durable."""

    __slots__ = ("body_bytes", "late", "outcomes")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.late = 0
        self.body_bytes = 0


class AnswerCounts(Collector):
    """Counts the answers of every endpoint, and their time; `bounds` are the histogram's, in seconds, rising."""

    def __init__(self, bounds: Iterable[float]) -> None:
        self._bounds = tuple(bounds)
        self._took = [0] * (len(self._bounds) + 1)
        self._took_s = 0.0
        self._endpoints: dict[str, EndpointCounts] = {}

    def of(self, endpoint: str) -> EndpointCounts:
        """Returns the counts of one endpoint, for the caller to change."""
        counts = self._endpoints.get(endpoint)
        if counts is None:
            counts = self._endpoints[endpoint] = EndpointCounts()
        return counts

    def answer_took(self, seconds: float) -> None:
        """Adds an answer that took so long to the histogram."""
        self._took[bisect_left(self._bounds, seconds)] += 1
        self._took_s += seconds

    def collect(self) -> Iterable[Metric]:
        """Returns all counts as metrics."""
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
