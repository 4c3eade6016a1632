"""What a spool counts by lane, without a disk: from the moment a record is enqueued to the one it is removed."""

from collections import Counter

from ingest.spool.lane_counts import LaneCounts
from ingest.spool.rows import SpooledRecord
from tests.unit.ingest.spool.test_file import pending


def spooled(number: int, endpoint: str = "acme") -> SpooledRecord:
    return SpooledRecord(number, pending(number, endpoint))


def test_a_record_counts_from_its_enqueuing_and_no_more_once_it_is_known_not_to_be_on_the_disk() -> None:
    """Both lanes hold at once; the one whose record the disk refused is free again, the other is not."""
    counts = LaneCounts(Counter())
    assert (counts.holds("acme"), counts.holds_none, counts.none_on_disk) == (False, True, True)
    counts.enqueued("acme")
    counts.enqueued("other")
    assert (counts.holds("acme"), counts.holds("other"), counts.total, counts.none_on_disk) == (True, True, 2, True)
    counts.settled(["acme"], written=True)
    counts.settled(["other"], written=False)
    assert (counts.holds("acme"), counts.holds("other"), counts.total, counts.none_on_disk) == (True, False, 1, False)
    counts.removed([spooled(1)])
    assert (counts.holds("acme"), counts.total, counts.holds_none) == (False, 0, True)


def test_a_record_that_is_written_late_is_drained_and_holds_no_lane() -> None:
    """Its sender was told 503: it waits, newer ones do not go behind it, and its removal frees nobody else's place."""
    counts = LaneCounts(Counter({"acme": 1}))
    counts.enqueued("acme")
    counts.settled(["acme"], written=False)
    counts.written_late(7)
    assert (counts.total, counts.holds("acme")) == (2, True)
    counts.removed([spooled(7)])
    assert (counts.total, counts.holds("acme")) == (1, True)
    counts.removed([spooled(1)])
    assert (counts.total, counts.holds("acme")) == (0, False)


def test_a_recount_keeps_what_is_on_its_way() -> None:
    """The file says what it holds, and nothing of a record that the thread has not written yet."""
    counts = LaneCounts(Counter({"acme": 5, "gone": 3}))
    counts.written_late(9)
    counts.enqueued("other")
    counts.recounted(Counter({"acme": 2}))
    assert (counts.total, counts.holds("acme"), counts.holds("other"), counts.holds("gone")) == (3, True, True, False)
    counts.recounted(Counter())
    assert (counts.total, counts.holds("acme"), counts.holds("other"), counts.none_on_disk) == (1, False, True, True)
