"""Counts the records of a spool that wait for Kafka, by lane: newer records of a lane that has some go behind them.

A record counts from the moment at which it is enqueued. Nothing here reads or writes the disk.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from ingest.spool.rows import SpooledRecord, lane_of


class LaneCounts:
    """The counts of one spool; `on_disk` is what its file holds at the start, by lane."""

    def __init__(self, on_disk: Counter[str]) -> None:
        self._waiting = on_disk.copy()
        # Records of which it is not known yet whether they are on the disk; they are among those that wait.
        self._unsettled: Counter[str] = Counter()
        # Records that were written when nobody waited for them any more: they are drained, and hold no endpoint.
        self._late: set[int] = set()

    @property
    def total(self) -> int:
        """Counts the records that wait, those that were written late among them."""
        return self._waiting.total() + len(self._late)

    @property
    def holds_none(self) -> bool:
        """Returns whether no lane has records that wait; the thread of the disk may ask this too."""
        return not self._waiting

    @property
    def none_on_disk(self) -> bool:
        """Returns whether all records that are counted are still on their way to the disk."""
        return self._waiting == self._unsettled and not self._late

    def holds(self, lane: str) -> bool:
        """Returns whether records of this lane wait; one that was answered 503 and written late does not count."""
        return self._waiting.get(lane, 0) > 0

    def enqueued(self, lane: str) -> None:
        """Counts a record that is on its way to the disk now."""
        self._waiting[lane] += 1
        self._unsettled[lane] += 1

    def settled(self, lanes: Iterable[str], *, written: bool) -> None:
        """Notes that it is known now whether these records are on the disk."""
        counted = Counter(lanes)
        self._unsettled -= counted
        if not written:
            self._waiting -= counted

    def written_late(self, number: int) -> None:
        """Counts the record with this id, which is on the disk after it was given up."""
        self._late.add(number)

    def removed(self, spooled: Sequence[SpooledRecord]) -> None:
        """Counts these records no more: they have left the file, or are set aside in it."""
        # Minus leaves out what is not above 0.
        self._waiting -= Counter(lane_of(one.record) for one in spooled if one.id not in self._late)
        self._late -= {one.id for one in spooled}

    def recounted(self, on_disk: Counter[str]) -> None:
        """Corrects the counts by what the file was found to hold; those of a damaged file may be wrong."""
        self._waiting = on_disk + self._unsettled
        self._late.clear()
