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


def test_an_address_that_cannot_be_read_is_a_line_of_its_own() -> None:
    """It asks for a human, for a provider may be refused by what a proxy writes; a flood of it is one line in 10 s."""
    with capture_logs() as lines:
        throttled_log = ThrottledLog(now=lambda: 100.0)
        for _ in range(1000):
            throttled_log.note(Outcome.ADDRESS_REFUSED, "acme")
            throttled_log.note_unreadable_address("acme")
    refused = {"event": "requests_refused", "log_level": "info", "outcome": "address_refused"}
    assert lines == [
        {**refused, "endpoint": "acme", "count": 1},
        {"event": "forwarded_for_unreadable", "log_level": "warning", "endpoint": "acme", "count": 1},
    ]
