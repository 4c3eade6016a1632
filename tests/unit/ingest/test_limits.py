"""When a connection must end, by a clock of the test's own; the limits here are 10 s, a minute for an idle one."""

import pytest

from ingest.http.limits import Closed, ConnectionLimits, Doing, Watchdog, connection_limits
from schemas.sections.programs import IngestSettings

LIMITS = ConnectionLimits(
    connections_max=10,
    unread_bytes_max=1_000,
    headers_s=10.0,
    answer_s=10.0,
    idle_s=60.0,
    body_window_s=5.0,
    body_bytes_per_second_min=100,
)


@pytest.mark.parametrize(("heard", "reason"), [(False, Closed.SILENT), (True, Closed.HEADERS_TOO_SLOW)])
def test_the_first_request_has_its_time_from_accept(*, heard: bool, reason: Closed) -> None:
    """Bytes that trickle in do not begin it anew."""
    watchdog = Watchdog(LIMITS, 100.0)
    assert watchdog.overdue(110.0, heard=heard) is None
    assert watchdog.overdue(110.1, heard=heard) is reason


@pytest.mark.parametrize(
    ("doing", "allowed_s", "reason"),
    [
        (Doing.HEADERS, 10.0, Closed.HEADERS_TOO_SLOW),
        (Doing.IDLE, 60.0, Closed.IDLE),
        (Doing.ANSWER, 10.0, Closed.ANSWER_UNREAD),
    ],
)
def test_each_thing_has_its_time(doing: Doing, allowed_s: float, reason: Closed) -> None:
    """It runs from when the thing began, however often it is told to begin."""
    watchdog = Watchdog(LIMITS, 0.0)
    for now in (100.0, 103.0, 100.0 + allowed_s):
        watchdog.enter(doing, 1, now)
        assert watchdog.overdue(now, heard=True) is None
    assert watchdog.overdue(100.1 + allowed_s, heard=True) is reason


@pytest.mark.parametrize("doing", [Doing.HANDLED, Doing.BODY])
def test_the_watchdog_skips_a_request_that_is_handled(doing: Doing) -> None:
    """A request that waits for Kafka, and a body, have deadlines of their own."""
    watchdog = Watchdog(LIMITS, 0.0)
    watchdog.enter(doing, 1, 0.0)
    assert watchdog.overdue(1_000.0, heard=True) is None


def test_the_next_request_has_time_of_its_own() -> None:
    """Idle after the second request is not idle since the first."""
    watchdog = Watchdog(LIMITS, 0.0)
    watchdog.enter(Doing.IDLE, 1, 0.0)
    watchdog.enter(Doing.IDLE, 2, 59.0)
    assert watchdog.overdue(118.0, heard=True) is None


def test_a_body_is_measured_window_by_window() -> None:
    """500 bytes in 5 s are enough; a good beginning does not pay for a standstill."""
    watchdog = Watchdog(LIMITS, 0.0)
    watchdog.enter(Doing.BODY, 1, 0.0)
    assert not watchdog.body_is_slow(0, 4.9)
    assert not watchdog.body_is_slow(500, 5.0)
    assert not watchdog.body_is_slow(100_000, 10.0)
    assert watchdog.body_is_slow(100_499, 15.0)


def test_a_new_body_begins_with_nothing() -> None:
    """What the last request brought does not count for this one."""
    watchdog = Watchdog(LIMITS, 0.0)
    watchdog.enter(Doing.BODY, 1, 0.0)
    assert not watchdog.body_is_slow(100_000, 5.0)
    watchdog.enter(Doing.BODY, 2, 5.0)
    assert not watchdog.body_is_slow(600, 10.0)


def test_the_settings_are_the_limits() -> None:
    """Milliseconds become seconds; a window is a quarter of a body's time, and looks come once a second."""
    limits = connection_limits(IngestSettings())
    assert limits == ConnectionLimits(
        connections_max=2_000,
        unread_bytes_max=16_777_216,
        headers_s=10.0,
        answer_s=10.0,
        idle_s=75.0,
        body_window_s=5.0,
        body_bytes_per_second_min=128,
    )
    assert limits.sweep_s == 1.0
    assert connection_limits(IngestSettings(header_timeout_ms=400)).sweep_s == 0.1
    assert connection_limits(IngestSettings(header_timeout_ms=100)).sweep_s == 0.05
