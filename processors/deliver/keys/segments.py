"""When keys are forgotten: in segments, each a slice of the window, which go as a whole.

Stream time is the smallest of the last receipts, so that no wrong clock moves it. A segment goes when no receipt that
may still come is within the window of its last key; nothing is forgotten earlier, unless a budget of bytes is spent.
Then the oldest keys of the endpoint that spent it go, and those of no other.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from processors.deliver.keys.buckets import OWN_KEY, endpoint_tag

# Stream time is the smallest of so many receipts in a row. The price: a segment goes so many receipts late.
WITNESSES = 64
# Each look-up asks every segment that has keys of the endpoint; a segment that is over is kept whole until its end.
_SLICES = 3
# A spent budget takes a segment's keys of one endpoint at once, so segments end before they hold a large part of it ...
_PARTS = 8
# ... but there are never so many that look-ups become slow.
_SEGMENTS_MAX = 64
_UNBOUNDED = 2**62


@dataclass(frozen=True, slots=True)
class KeyBudget:
    """How many keys a partition may hold, and each endpoint in it."""

    endpoint_keys_max: int = _UNBOUNDED
    partition_keys_max: int = _UNBOUNDED

    @property
    def keys_kept(self) -> int:
        """The newest keys of a partition, so many, are never forgotten early."""
        least = min(self.endpoint_keys_max, self.partition_keys_max)
        return least - least // _PARTS

    def is_part_spent_by(self, *, endpoint_keys: int, keys: int) -> bool:
        """Whether a segment with so many keys, and so many of one endpoint, is as much as may be forgotten at once."""
        return endpoint_keys >= self.endpoint_keys_max // _PARTS or keys >= self.partition_keys_max // _PARTS


@dataclass(slots=True, eq=False)
class Segment:
    """A slice of the window: which keys it holds by tag, and from which stream time on (s since 1970; 0 before any).

    `witnessed_s` is stream time when enough receipts had come behind its last key, which is never too early.
    """

    number: int
    begins_s: int
    keys_by_tag: dict[int, int] = field(default_factory=dict)
    keys: int = 0
    receipts_behind: int = 0
    witnessed_s: int | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Keys that go: those of `tag` in the segment, or all where it is None; `early` where the window is not over."""

    segment: Segment
    tag: int | None
    count: int
    early: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """What changed since it was asked for last: segments, and the counts of tags in segments."""

    segments: Sequence[Segment]
    counts: Mapping[tuple[int, int], int]


@dataclass(slots=True, eq=False)
class Segments:
    """The segments of one partition, the oldest first; says which keys go, and keeps none itself."""

    window_s: int
    budget: KeyBudget
    live: list[Segment] = field(default_factory=list)
    stream_s: int = 0
    receipts_s: deque[int] = field(default_factory=lambda: deque(maxlen=WITNESSES))
    keys: int = 0
    # By endpoint tag.
    keys_by_endpoint: Counter[int] = field(default_factory=Counter)
    fullest_keys: int = 0
    _touched: dict[int, Segment] = field(default_factory=dict)
    _touched_tags: dict[tuple[int, int], int] = field(default_factory=dict)

    def load(self, live: Sequence[Segment], stream_s: int, receipts_s: Sequence[int]) -> None:
        """Takes what a store on disk says, in the place of nothing."""
        self.live, self.stream_s = list(live), stream_s
        self.receipts_s.extend(receipts_s)
        for one in live:
            for tag, count in one.keys_by_tag.items():
                self.keys += count
                self.keys_by_endpoint[endpoint_tag(tag)] += count
        self._measure()

    def touched(self) -> Touched:
        """What changed since this was asked for last."""
        touched = Touched(list(self._touched.values()), self._touched_tags)
        self._touched, self._touched_tags = {}, {}
        return touched

    def touch_all(self) -> None:
        """All has changed."""
        self._touched = {one.number: one for one in self.live}
        self._touched_tags = {(one.number, tag): count for one in self.live for tag, count in one.keys_by_tag.items()}

    def add(self, counts: Mapping[int, int], newest_receipts_s: Sequence[int]) -> Segment:
        """The segment that a bucket of so many keys by tag goes to; `newest_receipts_s` as `Bucket` gives them."""
        self.receipts_s.extend(newest_receipts_s)
        if len(self.receipts_s) == WITNESSES:
            self.stream_s = max(self.stream_s, min(self.receipts_s))
        for one in self.live[:-1]:
            self._witness(one, len(newest_receipts_s))
        if not self.live or self._is_over(self.live[-1]):
            if self.live:
                self._witness(self.live[-1], len(newest_receipts_s))
            self.live.append(Segment(self.live[-1].number + 1 if self.live else 1, self.stream_s))
        segment = self.live[-1]
        self._touched[segment.number] = segment
        for tag, count in counts.items():
            segment.keys_by_tag[tag] = self._touched_tags[segment.number, tag] = segment.keys_by_tag.get(tag, 0) + count
            segment.keys += count
            self.keys += count
            self.keys_by_endpoint[endpoint_tag(tag)] += count
            self.fullest_keys = max(self.fullest_keys, self.keys_by_endpoint[endpoint_tag(tag)])
        return segment

    def forget(self) -> Iterator[Forgotten]:
        """What goes now: whole segments whose window is over, then the oldest keys of endpoints over a budget."""
        while self.live and self._is_past(self.live[0]):
            oldest = self.live.pop(0)
            self._touched.pop(oldest.number, None)
            for tag, count in oldest.keys_by_tag.items():
                self._touched_tags.pop((oldest.number, tag), None)
                self._discount(tag, count)
            self._measure()
            yield Forgotten(oldest, None, oldest.keys, early=False)
        while self.fullest_keys > self.budget.endpoint_keys_max or self.keys > self.budget.partition_keys_max:
            endpoint, _ = self.keys_by_endpoint.most_common(1)[0]
            yield from self._forget_oldest_of(endpoint)
            self._measure()

    @property
    def fullness(self) -> float:
        """The share of its budget that the fullest endpoint, or the whole partition, has spent."""
        return max(self.fullest_keys / self.budget.endpoint_keys_max, self.keys / self.budget.partition_keys_max)

    def _forget_oldest_of(self, endpoint: int) -> Iterator[Forgotten]:
        segment = next(one for one in self.live if {endpoint, endpoint | OWN_KEY} & one.keys_by_tag.keys())
        for tag in (endpoint, endpoint | OWN_KEY):
            count = segment.keys_by_tag.pop(tag, 0)
            if count:
                self._touched_tags.pop((segment.number, tag), None)
                segment.keys -= count
                self._discount(tag, count)
                yield Forgotten(segment, tag, count, early=True)
        if not segment.keys and segment is not self.live[-1]:
            self.live.remove(segment)
            self._touched.pop(segment.number, None)
            yield Forgotten(segment, None, 0, early=False)

    def _discount(self, tag: int, count: int) -> None:
        self.keys -= count
        self.keys_by_endpoint[endpoint_tag(tag)] -= count
        if not self.keys_by_endpoint[endpoint_tag(tag)]:
            del self.keys_by_endpoint[endpoint_tag(tag)]

    def _measure(self) -> None:
        self.fullest_keys = max(self.keys_by_endpoint.values(), default=0)

    def _is_over(self, newest: Segment) -> bool:
        """Whether the next bucket begins a segment."""
        if newest.keys >= WITNESSES and self.stream_s - newest.begins_s >= self.window_s / _SLICES:
            return True
        largest = max(newest.keys_by_tag.values(), default=0)
        return len(self.live) < _SEGMENTS_MAX and self.budget.is_part_spent_by(endpoint_keys=largest, keys=newest.keys)

    def _is_past(self, oldest: Segment) -> bool:
        return oldest.witnessed_s is not None and self.stream_s - oldest.witnessed_s > self.window_s

    def _witness(self, segment: Segment, receipts: int) -> None:
        if segment.witnessed_s is not None:
            return
        segment.receipts_behind += receipts
        if segment.receipts_behind >= WITNESSES:
            segment.witnessed_s = self.stream_s
        self._touched[segment.number] = segment
