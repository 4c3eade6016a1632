"""The figures of the answers are what the client library's own counters would have made of them."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from ingest.answer_metrics import AnswerCounts

_BOUNDS = (0.005, 0.1, 2.5)


def test_times_are_in_the_buckets_of_a_histogram() -> None:
    """On a bound, between two, above all: text for text those of the library."""
    own, library = CollectorRegistry(), CollectorRegistry()
    counts = AnswerCounts(_BOUNDS)
    own.register(counts)
    histogram = Histogram("dropstream_ingest_answer_seconds", "x", buckets=_BOUNDS, registry=library)
    for seconds in (0.0, 0.005, 0.0051, 0.1, 2.5, 2.6, 1_000.0):
        counts.answer_took(seconds)
        histogram.observe(seconds)
    told = [
        [line for line in generate_latest(one).decode().splitlines() if "answer_seconds" in line and line[0] != "#"]
        for one in (own, library)
    ]
    assert told[0] == [line for line in told[1] if "_created" not in line]
    assert len(told[0]) == 6


def test_refusals_are_counted_from_0_on() -> None:
    """An endpoint that was refused nothing yet says 0, for an alert hears no rise of what was not there before."""
    registry, counts = CollectorRegistry(), AnswerCounts(_BOUNDS)
    registry.register(counts)
    counts.of("acme").outcomes["stored"] = 0
    counts.of("other").outcomes |= {
        "unavailable": 2,
        "rate_exceeded": 1,
        "checked": 4,
        "method_refused": 8,
        "spooled": 16,
    }
    counts.of("").outcomes["not_found"] = 1
    told = {
        name: registry.get_sample_value("dropstream_ingest_refused_total", {"endpoint": name})
        for name in ("acme", "other", "")
    }
    assert told == {"acme": 0, "other": 3, "": None}


def test_every_endpoint_is_counted_for_itself() -> None:
    """Outcomes, bytes and late ones; what has no endpoint has neither bytes nor time."""
    registry = CollectorRegistry()
    counts = AnswerCounts(_BOUNDS)
    registry.register(counts)
    counts.of("acme").outcomes["stored"] = 2
    counts.of("acme").body_bytes += 7
    counts.of("acme").late += 1
    counts.of("").outcomes["not_found"] = 1
    value = registry.get_sample_value
    assert value("dropstream_ingest_requests_total", {"endpoint": "acme", "outcome": "stored"}) == 2
    assert value("dropstream_ingest_requests_total", {"endpoint": "", "outcome": "not_found"}) == 1
    assert value("dropstream_ingest_body_bytes_total", {"endpoint": "acme"}) == 7
    assert value("dropstream_ingest_answered_late_total", {"endpoint": "acme"}) == 1
    assert value("dropstream_ingest_body_bytes_total", {"endpoint": ""}) is None
