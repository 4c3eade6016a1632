"""Two counters on one endpoint: two webhooks of ShipStream were given one URL, and their ids come mixed.

Nothing says which webhook a delivery is of, so which ids are missing cannot be known. That is one finding and no
verdict on any id; tracking begins anew when only one of the two counters still comes. Pure, as the tracker.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from processors.sequence.receipts import Arrival
from processors.sequence.state import Hole, SequenceState, Step, gap_of
from schemas.notes.gaps import GapState

# An id belongs to a counter that it is so many times nearer to than to the other one.
_NEARER = 10
# A counter that fell by less may reach its old ids again, and a jump past them is then a hole.
_APART_MIN = 100
# Nearer than that, only the very next id of the counter before tells that it goes on; so near, a lost id may be why.
_NEAR_MIN = 3
# So many low ids, each newer than all before, before the higher counter goes on: a single one may be a clock's fault.
_LOW_MIN = 2

Heads = tuple[tuple[int, datetime], tuple[int, datetime]]


def other_counter(state: SequenceState, arrival: Arrival) -> int | None:
    """The newest id of a lower counter that runs beside the one that this arrival, a new highest id, continues."""
    if arrival.time is None:
        return None
    began = state.low[0].time if len(state.low) >= _LOW_MIN else None
    if began is not None and arrival.sequence == state.highest + 1 and arrival.time > began:
        return state.low[-1].sequence
    older, began_at = state.older_highest, state.began_at
    if older is None or began_at is None:
        return None
    if state.highest + _NEAR_MIN <= older == arrival.sequence - 1 and arrival.time >= began_at:
        return state.highest
    if not state.highest + _APART_MIN < older < arrival.sequence:
        return None
    is_of_the_older = arrival.sequence - state.highest >= _NEARER * (arrival.sequence - older)
    return state.highest if is_of_the_older and arrival.time >= began_at else None


def falls_again(state: SequenceState, arrival: Arrival, within: timedelta) -> bool:
    """Whether this restart is the second small one in short time, and to an id above that of the first.

    A counter that a person makes anew begins at its first id again; one that runs beside another has gone on meanwhile.
    """
    older, began_at = state.older_highest, state.began_at
    if older is None or began_at is None or arrival.time is None or arrival.time - began_at > within:
        return False
    was_near = 0 < older - state.baseline < _APART_MIN
    return was_near and state.baseline < arrival.sequence and state.highest - arrival.sequence < _APART_MIN


def begin_mixed(state: SequenceState, arrival: Arrival, low: int, high: int) -> Step:
    """The step that finds two counters, which stand at these ids: what was missing is not judged any more."""
    at = state.stream_at
    here = Hole(min(low, high), max(low, high), at, arrival.raw)
    return Step(
        state=replace(state, holes=(), low=(), mixed=((low, at), (high, at))),
        gaps=(gap_of(state, here, GapState.MIXED, at),),
        touched=tuple((state.epoch, hole.last) for hole in state.holes),
    )


def place_mixed(state: SequenceState, heads: Heads, arrival: Arrival, silent_for: timedelta) -> Step:
    """The step of an arrival of one of two counters; where the other one was silent for so long, of the only one."""
    at = state.stream_at
    low, high = heads
    is_high = abs(arrival.sequence - high[0]) < abs(arrival.sequence - low[0])
    own, other = (high, low) if is_high else (low, high)
    if at - other[1] > silent_for:
        return _begin_anew(state, arrival)
    moved = (max(own[0], arrival.sequence), at)
    return Step(replace(state, mixed=(low, moved) if is_high else (moved, high)))


def _begin_anew(state: SequenceState, arrival: Arrival) -> Step:
    at, id_ = state.stream_at, arrival.sequence
    begun = SequenceState(
        endpoint=state.endpoint,
        epoch=state.epoch + 1,
        baseline=id_,
        highest=id_,
        stream_at=at,
        began_at=arrival.time,
        newest=None if arrival.time is None else (arrival.time, id_),
        older_until=None,
    )
    return Step(begun, gaps=(gap_of(begun, Hole(id_, id_, at, arrival.raw), GapState.RESET, at),))
