"""The state of one endpoint's sequence, and its form in a compacted changelog.

A state is one head and one entry per hole, so a step writes as little as it changes, however large a hole is. A hole
is keyed by its last id: late deliveries mostly come in order and shorten a hole from the front, which rewrites one key
instead of leaving a tombstone behind each id. What changes a state is decided in `processors.sequence.tracker`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter

import orjson
from pydantic import TypeAdapter

from processors.sequence.receipts import Arrival, StoredTime
from schemas.notes.formats import expect_known, numbered
from schemas.notes.gaps import Gap, GapState
from schemas.times import rfc3339

# Of a head, which stands for its holes too: a hole is nothing without its head.
FORMAT = 1
HoleKey = tuple[int, int]  # Epoch, last id.

_LAST_ID = attrgetter("last")
_SUSPECTED_AT = attrgetter("suspected_at")


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing ids `first` to `last`; `raw` is the delivery that jumped over them."""

    first: int
    last: int
    suspected_at: StoredTime
    raw: str
    reported: bool = False  # Whether `open` is written.

    def without(self, first: int, last: int) -> tuple["Hole", ...]:
        """What is left of the hole without these ids, in order; the hole itself where it has none of them."""
        if last < self.first or self.last < first:
            return (self,)
        parts = (replace(self, last=min(self.last, first - 1)), replace(self, first=max(self.first, last + 1)))
        return tuple(part for part in parts if part.first <= part.last)


@dataclass(frozen=True, slots=True)
class SequenceState:
    """One endpoint's counter: ids from `baseline` to `highest` have come, but for those in `holes`.

    `stream_at` is the latest receipt believed. Event times are the provider's own, None until one is known: `began_at`
    of the epoch's first delivery, `newest` (with its id) of the newest event, `older_until` of the newest event of the
    epoch before.
    `holes` are disjoint and ascending; `suspected_at` never falls along them, and the reported ones come first.
    `older_highest` is the highest id of the epoch before. `low` are arrivals under ids that came already, each with a
    newer event than all before it: the first of a counter that began anew, maybe. `mixed` has the newest id of each of
    two counters, the lower one first, and when it came; while it is set nothing is judged.
    `waiting` are the arrivals without a moment yet, in their order: `processors.sequence.receipts` says until when.
    """

    endpoint: str
    epoch: int
    baseline: int
    highest: int
    stream_at: StoredTime
    began_at: StoredTime | None
    newest: tuple[StoredTime, int] | None
    older_until: StoredTime | None
    holes: tuple[Hole, ...] = ()
    waiting: tuple[Arrival, ...] = ()
    older_highest: int | None = None
    low: tuple[Arrival, ...] = ()
    mixed: tuple[tuple[int, StoredTime], tuple[int, StoredTime]] | None = None

    def hole_index(self, sequence: int) -> int | None:
        """The index of the hole that `sequence` lies in; None when it lies in none."""
        index = bisect_left(self.holes, sequence, key=_LAST_ID)
        return index if index < len(self.holes) and self.holes[index].first <= sequence else None

    def reported_count(self) -> int:
        """How many holes are reported open; they are the first of `holes`."""
        return bisect_left(self.holes, True, key=lambda hole: not hole.reported)

    def suspected_count(self, until: datetime) -> int:
        """How many holes were suspected at `until` or before; they are the first of `holes`."""
        return bisect_right(self.holes, until, key=_SUSPECTED_AT)


@dataclass(frozen=True, slots=True)
class Step:
    """The state after one step, and the gaps to write, in order.

    `touched` names every hole that was made, changed or removed; `given_up_count` says how many holes were given up for
    want of room.
    """

    state: SequenceState
    gaps: tuple[Gap, ...] = ()
    touched: tuple[HoleKey, ...] = ()
    head_changed: bool = False
    given_up_count: int = 0


def gap_of(state: SequenceState, hole: Hole, what: GapState, changed_at: datetime) -> Gap:
    """The gap that says what became of a hole of the state."""
    return Gap(
        endpoint=state.endpoint,
        first=hole.first,
        last=hole.last,
        state=what,
        suspected_at=rfc3339(hole.suspected_at),
        changed_at=rfc3339(changed_at),
        epoch=state.epoch,
        raw=hole.raw,
    )


def entries(step: Step) -> dict[bytes, bytes | None]:
    """The changelog records of the step, by key; None is a tombstone."""
    state = step.state
    changed: dict[bytes, bytes | None] = {}
    if step.head_changed:
        changed[orjson.dumps((state.endpoint,))] = _head_json(state)
    for epoch, last in step.touched:
        index = state.hole_index(last) if epoch == state.epoch else None
        hole = None if index is None else orjson.dumps(state.holes[index])
        changed[orjson.dumps((state.endpoint, epoch, last))] = hole
    return changed


def restore(changelog: Mapping[bytes, bytes]) -> dict[str, SequenceState]:
    """The state of each endpoint; `changelog` holds the latest value of each key, less tombstones.

    Raises:
        ValueError: a part of what the steps wrote is missing.
    """
    heads: dict[str, SequenceState] = {}
    holes: dict[str, list[Hole]] = {}
    for key, value in changelog.items():
        endpoint, part = read_entry(key, value)
        if isinstance(part, SequenceState):
            heads[endpoint] = part
        else:
            holes.setdefault(endpoint, []).append(part)
    if not holes.keys() <= heads.keys():
        raise ValueError("there is a hole without a head")
    return {
        endpoint: replace(head, holes=tuple(sorted(holes.get(endpoint, ()), key=_LAST_ID)))
        for endpoint, head in heads.items()
    }


def read_entry(key: bytes, value: bytes) -> tuple[str, SequenceState | Hole]:
    """The endpoint of one changelog record, and its head (a state without holes) or one of its holes.

    Raises:
        ValueError: `entries` writes no such record.
        NewerFormatError: a newer version wrote it.
    """
    try:
        endpoint, *hole_key = orjson.loads(key)
        stored = orjson.loads(value)
        if hole_key:
            return endpoint, _HOLE.validate_python(stored)
        expect_known(stored, known=FORMAT, what=f"the sequence of {endpoint}")
        return endpoint, _HEAD.validate_python({"endpoint": endpoint, **stored})
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"no head and no hole of a sequence: {error!r}") from error


def _head_json(state: SequenceState) -> bytes:
    head = orjson.dumps(
        {
            "epoch": state.epoch,
            "baseline": state.baseline,
            "highest": state.highest,
            "stream_at": state.stream_at,
            "began_at": state.began_at,
            "newest": state.newest,
            "older_until": state.older_until,
            "waiting": state.waiting,
            "older_highest": state.older_highest,
            "low": state.low,
            "mixed": state.mixed,
        }
    )
    return numbered(head, FORMAT)


_HEAD = TypeAdapter(SequenceState)
_HOLE = TypeAdapter(Hole)
