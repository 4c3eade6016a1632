"""What is remembered of one endpoint's sequence, and its form in a compacted changelog.

A state is one head and one entry per hole, so a step writes as little as it changes, however large a hole is. A hole
is keyed by its last id: late deliveries mostly come in order and eat a hole from the front, which then rewrites one
key instead of leaving a tombstone behind each id. What changes a state is decided in `processors.sequence.tracker`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from processors.sequence.receipts import Arrival
from schemas.notes.gaps import Gap

HoleKey = tuple[int, int]  # Epoch, last id.


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing ids `first` to `last`; `raw` is where the jump over them was seen, `reported` that `open` was said."""

    first: int
    last: int
    suspected_at: datetime
    raw: str
    reported: bool = False


@dataclass(frozen=True, slots=True)
class SequenceState:
    """One endpoint's counter: ids from `baseline` to `highest` have come, but for those in `holes`.

    `stream_at` is the latest receipt believed. Event times are the provider's own, None until one is known: `began_at`
    of the epoch's first delivery, `newest` (with its id) of the newest event, `older_until` of the newest one of the
    epoch before.
    `holes` are disjoint and ascending; `suspected_at` never falls along them, and the reported ones come first.
    `waiting` are the arrivals that count nowhere yet, in their order: `processors.sequence.receipts` says until when.
    """

    endpoint: str
    epoch: int
    baseline: int
    highest: int
    stream_at: datetime
    began_at: datetime | None
    newest: tuple[datetime, int] | None
    older_until: datetime | None
    holes: tuple[Hole, ...] = ()
    waiting: tuple[Arrival, ...] = ()

    def hole_index(self, sequence: int) -> int | None:
        """Where in `holes` the one is that `sequence` lies in; None when it lies in none."""
        index = bisect_left(self.holes, sequence, key=_last)
        return index if index < len(self.holes) and self.holes[index].first <= sequence else None

    def reported_count(self) -> int:
        """How many holes have been reported open; they are the first ones."""
        return bisect_left(self.holes, True, key=_is_unreported)

    def suspected_count(self, until: datetime) -> int:
        """How many holes were suspected at `until` or before; they are the first ones."""
        return bisect_right(self.holes, until, key=_suspected_at)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step gives: the state after it and the gaps to write, in order.

    `touched` names every hole that was made, changed or removed; `given_up_count` says how many of the lost ones were
    given up for want of room.
    """

    state: SequenceState
    gaps: tuple[Gap, ...] = ()
    touched: tuple[HoleKey, ...] = ()
    head_changed: bool = False
    given_up_count: int = 0


def entries(step: Step) -> dict[bytes, bytes | None]:
    """What the step changed, as changelog records by key; None is a tombstone."""
    state = step.state
    changed: dict[bytes, bytes | None] = {}
    if step.head_changed:
        changed[orjson.dumps((state.endpoint,))] = _head_json(state)
    for epoch, last in step.touched:
        index = state.hole_index(last) if epoch == state.epoch else None
        hole = None if index is None else orjson.dumps(state.holes[index])
        changed[orjson.dumps((state.endpoint, epoch, last))] = hole
    return changed


def restore(kept: Mapping[bytes, bytes]) -> dict[str, SequenceState]:
    """The state of each endpoint that the changelog holds: `kept` is the latest value of each key, less tombstones.

    Raises:
        ValueError: `kept` is not what whole steps wrote.
    """
    heads: dict[str, SequenceState] = {}
    holes: dict[str, list[Hole]] = {}
    for key, value in kept.items():
        endpoint, part = read_entry(key, value)
        if isinstance(part, SequenceState):
            heads[endpoint] = part
        else:
            holes.setdefault(endpoint, []).append(part)
    if not holes.keys() <= heads.keys():
        raise ValueError("there is a hole without a head")
    return {
        endpoint: replace(head, holes=tuple(sorted(holes.get(endpoint, ()), key=_last)))
        for endpoint, head in heads.items()
    }


def read_entry(key: bytes, value: bytes) -> tuple[str, SequenceState | Hole]:
    """The endpoint that one changelog record is of, and its head (a state without holes) or one of its holes.

    Raises:
        ValueError: it is no record that `entries` gives.
    """
    try:
        endpoint, *hole_key = orjson.loads(key)
        found = orjson.loads(value)
        return endpoint, _read_hole(found) if hole_key else _read_head(endpoint, found)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"no head and no hole of a sequence: {error!r}") from error


def _head_json(state: SequenceState) -> bytes:
    return orjson.dumps(
        {
            "epoch": state.epoch,
            "baseline": state.baseline,
            "highest": state.highest,
            "stream_at": state.stream_at,
            "began_at": state.began_at,
            "newest": state.newest,
            "older_until": state.older_until,
            "waiting": state.waiting,
        }
    )


def _read_head(endpoint: str, head: dict[str, Any]) -> SequenceState:
    newest = head["newest"]
    return SequenceState(
        endpoint=endpoint,
        epoch=head["epoch"],
        baseline=head["baseline"],
        highest=head["highest"],
        stream_at=datetime.fromisoformat(head["stream_at"]),
        began_at=_read_time(head["began_at"]),
        newest=None if newest is None else (datetime.fromisoformat(newest[0]), newest[1]),
        older_until=_read_time(head["older_until"]),
        waiting=tuple(map(_read_arrival, head.get("waiting", ()))),  # Older heads have none.
    )


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _read_arrival(arrival: dict[str, Any]) -> Arrival:
    return Arrival(
        endpoint=arrival["endpoint"],
        sequence=arrival["sequence"],
        time=_read_time(arrival["time"]),
        recorded_at=datetime.fromisoformat(arrival["recorded_at"]),
        raw=arrival["raw"],
    )


def _read_hole(hole: dict[str, Any]) -> Hole:
    return Hole(
        first=hole["first"],
        last=hole["last"],
        suspected_at=datetime.fromisoformat(hole["suspected_at"]),
        raw=hole["raw"],
        reported=hole["reported"],
    )


def _last(hole: Hole) -> int:
    return hole.last


def _suspected_at(hole: Hole) -> datetime:
    return hole.suspected_at


def _is_unreported(hole: Hole) -> bool:
    return not hole.reported
