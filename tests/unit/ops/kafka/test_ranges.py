"""The spans of a topic that a person names."""

from datetime import UTC, datetime

from ops.kafka.ranges import Span, parse_span
from ops.kafka.reader import AtOffset


def test_a_span_is_read_as_a_person_means_it() -> None:
    """A time, an offset of one partition, and nothing for the beginning or the present end."""
    assert parse_span(None, None) == parse_span("beginning", "latest") == Span(None, None)
    noon = datetime(2026, 5, 21, 12, tzinfo=UTC)
    assert parse_span("2026-05-21T12:00:00Z", "3:7") == Span(noon, AtOffset(3, 7))
    assert parse_span("2026-05-21T12:00:00Z", "3:7").partition == 3
