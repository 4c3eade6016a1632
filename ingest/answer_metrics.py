"""How requests were answered, as metrics: counts by endpoint and outcome, and how the providers see each endpoint.

The counts are plain numbers, made metrics when somebody scrapes: there are several for each delivery, and the client
library's own counters, each with its lock, cost it as much as its headers do. Each process says what it saw itself;
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
    """One endpoint; times in seconds since 1970, None for never; a limit is None where the provider names none."""

    endpoint: str
    failures_in_a_row: int
    failing_seconds: float
    budget_used_ratio: float
    failures_allowed: int | None
    failing_seconds_allowed: float | None
    succeeded_at: float | None
    failed_at: float | None


_GAUGES: tuple[tuple[str, str, Callable[[AnswerFigures], float | None]], ...] = (
    (
        "failures_in_a_row",
        "Answers to deliveries that were no success, or a success too late for the provider, since the last success.",
        lambda one: one.failures_in_a_row,
    ),
    ("failing_seconds", "Since the first of them; 0 after a success.", lambda one: one.failing_seconds),
    (
        "failure_budget_used_ratio",
        "How much of the provider's patience is used, from 0 to 1; at 1 it gives up the delivery, or us.",
        lambda one: one.budget_used_ratio,
    ),
    (
        "failures_allowed",
        "Failures in a row that the provider bears; absent where it names no number.",
        lambda one: one.failures_allowed,
    ),
    (
        "failing_seconds_allowed",
        "Time of failures that the provider bears; absent where it names none.",
        lambda one: one.failing_seconds_allowed,
    ),
    (
        "last_success_timestamp_seconds",
        "When a delivery was last answered 200 in time; absent before the first.",
        lambda one: one.succeeded_at,
    ),
    (
        "last_failure_timestamp_seconds",
        "When a delivery last failed; absent before the first.",
        lambda one: one.failed_at,
    ),
)


class AnswerGauges(Collector):
    """Every configured endpoint, looked at when somebody scrapes."""

    def __init__(self, figures: Callable[[], Iterable[AnswerFigures]]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """A gauge for each figure, a sample for each endpoint that has it."""
        now = list(self._figures())
        for name, meaning, value_of in _GAUGES:
            gauge = GaugeMetricFamily(f"dropstream_ingest_{name}", meaning, labels=["endpoint"])
            for one in now:
                if (value := value_of(one)) is not None:
                    gauge.add_metric([one.endpoint], value)
            yield gauge


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
