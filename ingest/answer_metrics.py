"""Metrics of the answers: counts by endpoint and outcome, and how the provider of each endpoint sees its failures.

The counts are plain numbers, which become metrics in a scrape: there are several for each delivery, and the client
library's own counters, each with its lock, cost it as much as its headers do. Each process counts its own answers;
`deploy/prometheus/rules.yaml` puts several together for the failure budget and the alarm for silence.

What never happened has no series, but for the counts that an alert compares with 0, or whose first event it tells: the
deliveries that succeeded (`AnswerCounter.count_from_zero`), those that were refused, whatever the reason, and those
that were answered late. A name of an endpoint needs no escaping (`ENDPOINT_NAME_PATTERN`).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ingest.answers import Outcome
from schemas.metrics_text import pieces_of, sample_line, text_head

_PREFIX = "dropstream_ingest_"
_REQUESTS = "Requests by endpoint (empty for an unknown one) and by what became of them."
_BODY_BYTES = "Bytes of the bodies that were answered 200."
_REFUSED = "Requests of an endpoint that were answered neither 200 nor 405, whatever the reason."
_LATE = "Deliveries answered 200 later than the provider waits; it takes them for failed and sends them again."


_NOT_REFUSED = frozenset({Outcome.STORED, Outcome.SPOOLED, Outcome.CHECKED, Outcome.METHOD_REFUSED})


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
    failing_began_timestamp_seconds: float | None = None


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
    "failing_began_timestamp_seconds": "When the last failures in a row began, over or not; absent before the first. "
    "dropstream reconcile --outage last asks for what changed since then.",
}


class AnswerGauges(Collector):
    """Collects the figures of every endpoint that `figures` gives in each scrape."""

    def __init__(self, figures: Callable[[], Iterable[AnswerFigures]]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yields a gauge for each figure, with a sample for each endpoint that has the figure."""
        now = list(self._figures())
        for name, meaning in _MEANINGS.items():
            gauge = GaugeMetricFamily(f"{_PREFIX}{name}", meaning, labels=["endpoint"])
            for one in now:
                if (value := getattr(one, name)) is not None:
                    gauge.add_metric([one.endpoint], value)
            yield gauge

    def text_pieces(self, labels: str) -> Iterator[str]:
        """Yields the same as text, as `schemas.metrics_text.TextInPieces` says."""
        now: list[AnswerFigures] = []
        for figures in pieces_of(self._figures()):
            now += figures
            yield ""
        for name, meaning in _MEANINGS.items():
            yield text_head(f"{_PREFIX}{name}", meaning, "gauge")
            read = attrgetter("endpoint", name)
            for piece in pieces_of(map(read, now)):
                yield "".join(
                    [
                        f'{_PREFIX}{name}{{endpoint="{endpoint}"{labels}}} {float(value)!r}\n'
                        for endpoint, value in piece
                        if value is not None
                    ]
                )


class EndpointCounts:
    """Counts of one endpoint ("" for none): requests by outcome, those answered late, bytes made durable."""

    __slots__ = ("body_bytes", "late", "outcomes")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.late = 0
        self.body_bytes = 0

    @property
    def refused(self) -> int:
        """Counts the outcomes that are no success, and no other use of the URL."""
        return sum(number for outcome, number in self.outcomes.items() if outcome not in _NOT_REFUSED)


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
        requests = CounterMetricFamily(f"{_PREFIX}requests", _REQUESTS, labels=("endpoint", "outcome"))
        body_bytes = CounterMetricFamily(f"{_PREFIX}body_bytes", _BODY_BYTES, labels=("endpoint",))
        refused = CounterMetricFamily(f"{_PREFIX}refused", _REFUSED, labels=("endpoint",))
        late = CounterMetricFamily(f"{_PREFIX}answered_late", _LATE, labels=("endpoint",))
        for endpoint, counts in self._endpoints.items():
            for outcome, number in counts.outcomes.items():
                requests.add_metric((endpoint, outcome), number)
            if counts.body_bytes:
                body_bytes.add_metric((endpoint,), counts.body_bytes)
            if endpoint:
                refused.add_metric((endpoint,), counts.refused)
                late.add_metric((endpoint,), counts.late)
        return (requests, body_bytes, refused, late, self._seconds())

    def text_pieces(self, labels: str) -> Iterator[str]:
        """Yields the same as text, as `schemas.metrics_text.TextInPieces` says."""
        known = list(self._endpoints.items())
        yield text_head(f"{_PREFIX}requests_total", _REQUESTS, "counter")
        for piece in pieces_of(known):
            yield "".join(
                [
                    f'{_PREFIX}requests_total{{endpoint="{endpoint}",outcome="{outcome}"{labels}}} {number}.0\n'
                    for endpoint, counts in piece
                    for outcome, number in counts.outcomes.items()
                ]
            )
        yield text_head(f"{_PREFIX}body_bytes_total", _BODY_BYTES, "counter")
        for piece in pieces_of(known):
            yield "".join(
                [
                    f'{_PREFIX}body_bytes_total{{endpoint="{endpoint}"{labels}}} {counts.body_bytes}.0\n'
                    for endpoint, counts in piece
                    if counts.body_bytes
                ]
            )
        yield from _always_text(f"{_PREFIX}refused_total", _REFUSED, known, attrgetter("refused"), labels)
        yield from _always_text(f"{_PREFIX}answered_late_total", _LATE, known, attrgetter("late"), labels)
        yield self._seconds_text(labels)

    def _seconds_text(self, labels: str) -> str:
        family = self._seconds()
        lines = [sample_line(one.name, one.labels, one.value, labels) for one in family.samples]
        return "".join((text_head(family.name, family.documentation, family.type), *lines))

    def _seconds(self) -> Metric:
        family = HistogramMetricFamily(
            f"{_PREFIX}answer_seconds",
            "From a request's headers to its answer, requests of configured endpoints, whatever the answer.",
        )
        buckets, count = [], 0
        for bound, number in zip((*self._bounds, float("inf")), self._took, strict=True):
            count += number
            buckets.append((floatToGoString(bound), count))  # type: ignore[no-untyped-call] # it ships without
        family.add_metric((), buckets, self._took_s)
        return family


def _always_text(
    name: str,
    meaning: str,
    known: Sequence[tuple[str, EndpointCounts]],
    value: Callable[[EndpointCounts], int],
    labels: str,
) -> Iterator[str]:
    """Yields the text of a counter that each endpoint has from its 0 on, in pieces."""
    yield text_head(name, meaning, "counter")
    for piece in pieces_of(known):
        yield "".join(
            [f'{name}{{endpoint="{endpoint}"{labels}}} {value(counts)}.0\n' for endpoint, counts in piece if endpoint]
        )
