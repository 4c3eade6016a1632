"""Queues the records that are expected in one output partition, of one partition of `raw`, in their order. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ops.audit.judging.open_delivery import OpenDelivery
from ops.audit.judging.records import ExpectedRecord

# So many passed records are kept before those of closed deliveries are dropped.
_PASSED_MAX = 1_000


@dataclass(slots=True)
class _Passed:
    """An expected record that did not come in its order; `is_overtaken` once a later record of its key has come."""

    offset: int
    expected: ExpectedRecord
    delivery: OpenDelivery
    is_overtaken: bool = False


@dataclass(slots=True)
class ExpectedQueue:
    """Expected records by the offset of their delivery; `first_seen` is the first offset of which a record came.

    `begins_at_ms` is when the oldest record of the partition was written, where its beginning is deleted; else 0.
    """

    begins_at_ms: float
    entries: deque[tuple[int, ExpectedRecord, OpenDelivery]] = field(default_factory=deque)
    first_seen: int | None = None
    _passed: dict[bytes, list[_Passed]] = field(default_factory=dict)
    _passed_count: int = 0
    _passed_max: int = _PASSED_MAX

    @property
    def has_passed(self) -> bool:
        """Whether an expected record was passed."""
        return bool(self._passed)

    def may_have_lost(self, offset: int) -> bool:
        """Whether a record of the delivery at `offset` may have been deleted with the beginning of the partition.

        Some records of the first delivery may be gone, and others not.
        """
        return bool(self.begins_at_ms) and (self.first_seen is None or offset <= self.first_seen)

    def see(self, offset: int) -> None:
        """A record of the delivery at `offset` has come."""
        if self.first_seen is None:
            self.first_seen = offset

    def take_before(self, offset: int) -> Iterator[tuple[int, ExpectedRecord, OpenDelivery]]:
        """Takes out the records that are expected of deliveries before `offset`."""
        entries = self.entries
        while entries and (entries[0][0] < offset or entries[0][2].is_closed):
            entry = entries.popleft()
            if not entry[2].is_closed:
                yield entry

    def remove(self, offset: int, expected: ExpectedRecord) -> None:
        """Takes out an expected record of the delivery at `offset`; only others of that delivery stand before it."""
        for index, (due, one, _) in enumerate(self.entries):
            if due != offset:
                return
            if one is expected:
                del self.entries[index]
                return

    def keep_passed(self, offset: int, expected: ExpectedRecord, delivery: OpenDelivery) -> None:
        """Keeps an expected record that did not come in its order."""
        self._passed.setdefault(expected.key, []).append(_Passed(offset, expected, delivery))
        self._passed_count += 1
        if self._passed_count > self._passed_max:
            self._prune()

    def overtake(self, offset: int, key: bytes) -> None:
        """Marks the passed records of `key` that ought to stand before that of the delivery at `offset`, which came."""
        for one in self._passed.get(key, ()):
            one.is_overtaken = one.is_overtaken or one.offset < offset

    def take_passed(self, expected: ExpectedRecord) -> bool:
        """Whether the expected record, which has come now, was passed and a later one of its key came before it."""
        passed = self._passed.get(expected.key, [])
        for one in passed:
            if one.expected is expected:
                passed.remove(one)
                self._passed_count -= 1
                if not passed:
                    del self._passed[expected.key]
                return one.is_overtaken
        return False

    def _prune(self) -> None:
        """Forgets the passed records of deliveries that are closed."""
        for key, passed in list(self._passed.items()):
            passed[:] = [one for one in passed if not one.delivery.is_closed]
            if not passed:
                del self._passed[key]
        self._passed_count = sum(map(len, self._passed.values()))
        self._passed_max = max(_PASSED_MAX, 2 * self._passed_count)
