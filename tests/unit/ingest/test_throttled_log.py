"""How often refusals reach the log."""

from structlog.testing import capture_logs

from ingest.answers import Outcome
from ingest.throttled_log import ThrottledLog


def test_a_flood_of_one_kind_is_two_lines() -> None:
    """The first is logged at once, those of the next ten seconds together."""
    clock = [100.0]
    with capture_logs() as lines:
        throttled_log = ThrottledLog(now=lambda: clock[0])
        for _ in range(1000):
            throttled_log.note(Outcome.MALFORMED, "")
        clock[0] += 10.0
        throttled_log.note(Outcome.MALFORMED, "")
        throttled_log.note(Outcome.UNAVAILABLE, "acme")
    event = {"event": "requests_refused"}
    assert lines == [
        {**event, "log_level": "info", "outcome": "malformed", "endpoint": "", "count": 1},
        {**event, "log_level": "info", "outcome": "malformed", "endpoint": "", "count": 1000},
        {**event, "log_level": "warning", "outcome": "unavailable", "endpoint": "acme", "count": 1},
    ]
