"""What went through in the last half hour, as the chart and the table show it."""

from ops.console.flow import BUCKETS, Flow, FlowKind, Latencies, Latency

NOW_MS = 1_800_000_000_000


def test_counts_stand_in_their_quarter_minute() -> None:
    """The newest bucket is the last; what is older than the window is nowhere, what is from the future is now."""
    flow = Flow()
    for at_ms in (NOW_MS, NOW_MS + 86_400_000, NOW_MS - 15_000, NOW_MS - 119 * 15_000, NOW_MS - 120 * 15_000, 0):
        flow.count("acme", FlowKind.DELIVERIES, at_ms, now_ms=NOW_MS)
    series = flow.series("acme", FlowKind.DELIVERIES, now_ms=NOW_MS)
    assert len(series) == BUCKETS
    assert (series[0], series[1], series[-2], series[-1]) == (1, 0, 1, 2)
    assert sum(series) == 4
    assert sum(flow.series("acme", FlowKind.DELIVERIES, now_ms=NOW_MS + 15_000)) == 3
    assert sum(flow.series("acme", FlowKind.EVENTS, now_ms=NOW_MS)) == 0
    assert flow.endpoints() == {"acme"}


def test_memory_stays_bounded() -> None:
    """A week of traffic leaves no more buckets than two windows have."""
    flow = Flow()
    for minute in range(7 * 24 * 60):
        at_ms = NOW_MS + minute * 60_000
        flow.count("acme", FlowKind.EVENTS, at_ms, now_ms=at_ms)
    ((buckets),) = flow._counts.values()  # noqa: SLF001 the bound is what is tested
    assert len(buckets) <= 2 * BUCKETS


def test_latency_is_of_the_last_five_minutes() -> None:
    """Median, 99th of a hundred and slowest, for one endpoint or all; nothing where nothing was written."""
    taken = Latencies()
    for took in range(1, 101):
        taken.add("acme", received_ms=NOW_MS - took, written_ms=NOW_MS)
    taken.add("other", received_ms=NOW_MS + 50, written_ms=NOW_MS)
    taken.add("acme", received_ms=NOW_MS - 900_000, written_ms=NOW_MS - 300_000)
    assert taken.of("acme", now_ms=NOW_MS) == Latency(100, 50, 99, 100)
    assert taken.of("other", now_ms=NOW_MS) == Latency(1, 0, 0, 0)
    assert taken.of("none", now_ms=NOW_MS) is None
    everything = taken.of(None, now_ms=NOW_MS)
    assert everything is not None
    assert everything.count == 101
