"""The offset that a person wants a group to go on from."""

from datetime import UTC, datetime

from ops.kafka.offsets import parse_offset_target


def test_a_target_is_a_word_an_offset_or_a_time() -> None:
    """The beginning or the end of the log, an offset of one partition, or the first record that is not older."""
    noon = datetime(2026, 5, 21, 12, tzinfo=UTC)
    assert [parse_offset_target(text) for text in ("earliest", "7", "2026-05-21T14:00:00+02:00")] == [
        "earliest",
        7,
        noon,
    ]
