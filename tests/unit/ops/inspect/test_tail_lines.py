"""The lines that `dropstream tail` draws for a person: nothing that one must copy is cut, however narrow it is."""

from datetime import UTC

import pytest

from ops.inspect.tail import RecordView
from ops.inspect.tail_command import lines_of
from schemas.records import Position, RawRecord
from tests.unit.ops.inspect.test_tail import EVENT, record

DELIVERY = "01984b2c-7b1f-7aa0-9d3e-1f2a3b4c5d6e"
RAW = RawRecord(
    Position("d.raw", 11, 987_654),
    b"shipstream-acme",
    b"{}",
    (
        ("dropstream-delivery", DELIVERY.encode()),
        ("dropstream-provider", b"shipstream"),
        ("dropstream-endpoint", b"shipstream-acme"),
        ("dropstream-reason", b"timestamp_outside_tolerance"),
        ("dropstream-detail", b"no signature is by a secret of this endpoint (1 known)"),
    ),
    1_779_373_931_250,
)


def drawn(shown: RawRecord, topic: str, width: int) -> list[str]:
    return [line.plain for line in lines_of(RecordView(topic, [], with_bodies=False).line(shown, UTC), width)]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_an_id_and_a_position_are_whole(width: int) -> None:
    """The delivery's id and the record's PARTITION:OFFSET stand there in one piece, on lines that fit."""
    lines = drawn(RAW, "rejected", width)
    assert any(DELIVERY in line for line in lines)
    assert any("11:987654" in line for line in lines)
    assert max(map(len, lines)) <= max(width, 21 + 36)


def test_a_wide_terminal_has_one_line_for_a_record() -> None:
    """An event is on one line where there is room, its cells in columns."""
    assert drawn(record(EVENT), "orders", 120) == [
        "2026-05-21 14:32:11  2:40       order.status_changed  SO-7          shipstream/acme           "
        "pending -> shipped, 1Z9"
    ]


def test_a_narrow_terminal_goes_on_below_the_time() -> None:
    """What does not fit beside the time stands under it."""
    assert drawn(RAW, "rejected", 80) == [
        "2026-05-21 14:32:11  11:987654  timestamp_outside_tolerance",
        f"                     {DELIVERY}",
        "                     shipstream/shipstream-acme",
        "                     2 bytes, no signature is by a secret of this endpoint (1",
        "                     known)",
    ]
