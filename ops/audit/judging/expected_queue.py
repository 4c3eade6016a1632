"""What is awaited in one lane, of one partition of `raw`, in the order in which it ought to come. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ops.audit.judging.explanation import Awaited
from ops.audit.judging.judge import Expected

# So many passed records are kept before those are looked for that nobody awaits any more.
_PASSED_MAX = 1_000


@dataclass(slots=True)
class _Passed:
    """A record that did not come in its order; `is_overtaken` once a later one of its key has come."""

    offset: int
    expected: Expected
    awaited: Awaited
    is_overtaken: bool = False


@dataclass(slots=True)
class LaneQueue:
    """Records by the offset of their delivery; `first_seen` is the first offset of which a record came.

    `begins_at_ms` is when the oldest record of the lane was written, where its beginning has been deleted; else 0.
    """

    begins_at_ms: float
    queue: deque[tuple[int, Expected, Awaited]] = field(default_factory=deque)
    first_seen: int | None = None
    _passed: dict[bytes, list[_Passed]] = field(default_factory=dict)
    _passed_count: int = 0
    _passed_max: int = _PASSED_MAX

    @property
    def has_passed(self) -> bool:
        """Whether a record was passed."""
        return bool(self._passed)

    def may_have_lost(self, offset: int) -> bool:
        """Whether a record of the delivery at `offset` may have been deleted with the beginning of the lane.

        Of the first delivery some records may be gone, and others not.
        """
        return bool(self.begins_at_ms) and (self.first_seen is None or offset <= self.first_seen)

    def see(self, offset: int) -> None:
        """A record of the delivery at `offset` has come."""
        if self.first_seen is None:
            self.first_seen = offset

    def take_before(self, offset: int) -> Iterator[tuple[int, Expected, Awaited]]:
        """Takes out what is awaited of deliveries before `offset`."""
        queue = self.queue
        while queue and (queue[0][0] < offset or queue[0][2].done):
            entry = queue.popleft()
            if not entry[2].done:
                yield entry

    def remove(self, offset: int, expected: Expected) -> None:
        """Takes out a record of the delivery at `offset`, which stands behind none but others of that delivery."""
        for index, (due, one, _) in enumerate(self.queue):
            if due != offset:
                return
            if one is expected:
                del self.queue[index]
                return

    def keep_passed(self, offset: int, expected: Expected, awaited: Awaited) -> None:
        """The record did not come in its order."""
        self._passed.setdefault(expected.key, []).append(_Passed(offset, expected, awaited))
        self._passed_count += 1
        if self._passed_count > self._passed_max:
            self._prune()

    def overtake(self, offset: int, key: bytes) -> None:
        """A record of the delivery at `offset` has come; those of its key that ought to stand before it had not."""
        for one in self._passed.get(key, ()):
            one.is_overtaken = one.is_overtaken or one.offset < offset

    def take_passed(self, expected: Expected) -> bool:
        """Whether a later record of its key came before this one, which has come after all."""
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
        """Forgets the passed records that are not awaited any more."""
        for key, passed in list(self._passed.items()):
            passed[:] = [one for one in passed if not one.awaited.done]
            if not passed:
                del self._passed[key]
        self._passed_count = sum(map(len, self._passed.values()))
        self._passed_max = max(_PASSED_MAX, 2 * self._passed_count)
