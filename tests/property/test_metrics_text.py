"""Metrics that are made as text in pieces have the samples that the client library's own text has."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ingest.answer_metrics import AnswerCounts, AnswerFigures, AnswerGauges
from ingest.answers import Outcome
from ops.service.metrics_page import text_pieces
from processors.runtime.plain_counts import PlainCounts
from schemas.notes.rejections import Reason

_COUNTS = st.integers(0, 2**53)
_MOMENTS = st.floats(0, 4e9)
_NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True)
_ENDPOINTS = st.dictionaries(
    st.just("") | _NAMES,
    st.tuples(st.dictionaries(st.sampled_from(list(Outcome)), _COUNTS), _COUNTS, _COUNTS),
    max_size=5,
)
_FIGURES = st.lists(
    st.builds(
        AnswerFigures,
        endpoint=_NAMES,
        failures_in_a_row=_COUNTS,
        failing_seconds=_MOMENTS,
        failure_budget_used_ratio=st.floats(0, 1),
        failures_allowed=st.none() | _COUNTS,
        failing_seconds_allowed=st.none() | _MOMENTS,
        last_success_timestamp_seconds=st.none() | _MOMENTS,
        last_failure_timestamp_seconds=st.none() | _MOMENTS,
        failing_began_timestamp_seconds=st.none() | _MOMENTS,
    ),
    unique_by=lambda one: one.endpoint,
    max_size=5,
)


def told(text: str, **more: str) -> list[object]:
    """All that a scraper reads in a text, in its order, with `more` labels; but for the times when counters began."""
    return [
        (
            family.name,
            family.documentation,
            family.type,
            [(one.name, {**one.labels, **more}, one.value) for one in family.samples],
        )
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")
    ]


def assert_same(registry: CollectorRegistry) -> None:
    """The pieces tell what the library's own text tells; a label that is put on them is on each sample."""
    library = generate_latest(registry).decode()
    assert told("".join(text_pieces(registry, ""))) == told(library)
    assert told("".join(text_pieces(registry, ',worker="7"'))) == told(library, worker="7")


@given(_ENDPOINTS, _FIGURES, st.lists(st.floats(0, 50), max_size=5))
def test_answers(
    endpoints: dict[str, tuple[dict[str, int], int, int]], figures: list[AnswerFigures], took: Iterable[float]
) -> None:
    """Any counts of any endpoints, figures that are known and that are not."""
    registry = CollectorRegistry()
    counts = AnswerCounts((0.005, 1.0, 10.0))
    registry.register(counts)
    registry.register(AnswerGauges(lambda: iter(figures)))
    for name, (outcomes, late, body_bytes) in endpoints.items():
        one = counts.of(name)
        one.outcomes, one.late, one.body_bytes = dict(outcomes), late, body_bytes
    for seconds in took:
        counts.answer_took(seconds)
    assert_same(registry)


@given(st.lists(st.tuples(_NAMES, st.sampled_from(list(Reason))), max_size=9), st.text())
def test_counts_of_processors(events: list[tuple[str, Reason]], meaning: str) -> None:
    """Labels that the text has in another order, events and none."""
    registry = CollectorRegistry()
    counts = PlainCounts("any_rejected", meaning, ["reason", "endpoint"], registry)
    counts.begin("none_yet", "acme")
    for endpoint, reason in events:
        counts.add(reason.value, endpoint)
    assert_same(registry)


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False)), max_size=5), st.text())
def test_any_metric(samples: list[tuple[str, float]], meaning: str) -> None:
    """Gauges, counters and histograms of the library, whatever their labels, values and words."""
    registry = CollectorRegistry()
    gauge = Gauge("any_gauge", meaning, ["label"], registry=registry)
    counter = Counter("any_count", "Counts.", ["label", "another"], registry=registry)
    histogram = Histogram("any_seconds", "Times.", ["label"], registry=registry)
    for label, value in samples:
        gauge.labels(label).set(value)
        counter.labels(label, "x").inc(abs(value))
        histogram.labels(label).observe(value)
    assert_same(registry)
