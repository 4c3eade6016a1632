"""The gap tracker: which ids of a sequence are missing, came late, or are lost.

Pure: no clock, no Kafka; the same arrivals give the same gaps, byte for byte, on any day. Every time in a gap is that
of a receipt, never the moment at which `advance` happened to be called; `processors.sequence.receipts` decides when an
arrival counts. The order of receipts and retries do not matter: the tracker reports the ids that did not come.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from processors.sequence.mixed import begin_mixed, falls_again, other_counter, place_mixed
from processors.sequence.receipts import Arrival, first_moment, moment
from processors.sequence.state import Hole, HoleKey, SequenceState, Step, gap_of
from schemas.notes.dismissals import Dismissal
from schemas.notes.gaps import Gap, GapState

# So many ids in a row that were not missing, each with a newer event, are those of a counter that began anew.
_LOW_RUN = 3


@dataclass(frozen=True, slots=True)
class GapRules:
    """When a hole is reported: open after `grace`, lost after `lost_after`.

    `holes_max` bounds the holes of one endpoint: with one more, the oldest is given up as lost. `drop_min` is how far
    an id must fall to be a restart of the counter even where it would fill a hole.

    Raises:
        ValueError: a hole would be lost before it is reported.
    """

    grace: timedelta
    lost_after: timedelta
    holes_max: int = 10_000
    drop_min: int = 1_000

    def __post_init__(self) -> None:
        if not timedelta(0) <= self.grace <= self.lost_after:
            raise ValueError("the grace time must not be longer than the time after which a hole is lost")


def observe(state: SequenceState | None, arrival: Arrival, rules: GapRules) -> Step:
    """The step of an arrival, after all that was due before its receipt; `state` is None at the very first arrival.

    The first id is the baseline, whatever it is: ids before it are not missed. An arrival whose receipt cannot be
    believed yet waits in the state.
    """
    if state is None:
        begun = _begun(arrival, at=first_moment(arrival), epoch=1, older_until=None)
        return Step(begun, head_changed=True)
    return replace(_settle(state, (*state.waiting, arrival), None, rules), head_changed=True)


def advance(state: SequenceState, now: datetime, rules: GapRules) -> Step:
    """The step of time alone: the holes that became open or lost until `now`, in the order in which they did.

    The state is the same object when nothing was due. Where `now` is ahead of a receipt that is still to come, the step
    may say `open`, and a later one `filled`, where a replay says neither: let `now` trail the clock by the time that a
    delivery takes from the ingress to here.
    """
    if not state.waiting:
        return _fall_due(state, now, rules)
    settled = _settle(state, state.waiting, now, rules)
    return _then(settled, _fall_due(settled.state, now, rules))


def dismiss(state: SequenceState, dismissal: Dismissal) -> Step:
    """The step of a person's judgement: the ids are in no hole any more, and one gap says by whom and why.

    Ids of an epoch that is over, and ids that were given up before, are in no hole; the gap is written all the same.
    """
    gap = Gap(
        endpoint=state.endpoint,
        first=dismissal.first,
        last=dismissal.last,
        state=GapState.DISMISSED,
        suspected_at=dismissal.suspected_at,
        changed_at=dismissal.dismissed_at,
        epoch=dismissal.epoch,
        raw=dismissal.seen_in,
        by=dismissal.by,
        why=dismissal.why,
    )
    if dismissal.epoch != state.epoch:
        return Step(state, gaps=(gap,))
    kept: list[Hole] = []
    touched: list[HoleKey] = []
    for hole in state.holes:
        parts = hole.without(dismissal.first, dismissal.last)
        kept += parts
        if parts != (hole,):
            touched += [(state.epoch, hole.last), *((state.epoch, part.last) for part in parts)]
    return Step(replace(state, holes=tuple(kept)), gaps=(gap,), touched=tuple(dict.fromkeys(touched)))


def _settle(state: SequenceState, waiting: tuple[Arrival, ...], clock: datetime | None, rules: GapRules) -> Step:
    """The step of the waiting arrivals, as far as they have a moment."""
    step = Step(state)
    while waiting and (at := moment(waiting, step.state.stream_at, clock)) is not None:
        step = _then(step, _take(step.state, waiting[0], at, rules))
        waiting = waiting[1:]
    if waiting == step.state.waiting:
        return step
    return replace(step, state=replace(step.state, waiting=waiting), head_changed=True)


def _take(state: SequenceState, arrival: Arrival, at: datetime, rules: GapRules) -> Step:
    # Receipts are not quite in order; time that went backwards would undo gaps that are written.
    at = max(state.stream_at, at)
    due = _fall_due(replace(state, stream_at=at), at, rules)
    return _then(due, _give_up_oldest(_place(due.state, arrival, rules), rules))


def _then(first: Step, second: Step) -> Step:
    """Both steps as one."""
    return Step(
        state=second.state,
        gaps=first.gaps + second.gaps,
        touched=first.touched + second.touched,
        head_changed=first.head_changed or second.head_changed,
        given_up_count=first.given_up_count + second.given_up_count,
    )


def _fall_due(state: SequenceState, now: datetime, rules: GapRules) -> Step:
    reported = state.reported_count()
    overdue = max(reported, state.suspected_count(now - rules.grace))
    expired = state.suspected_count(now - rules.lost_after)
    if overdue == reported and not expired:
        return Step(state)
    opened = tuple(replace(hole, reported=True) for hole in state.holes[reported:overdue])
    lost = state.holes[:expired]
    gaps = [gap_of(state, hole, GapState.OPEN, hole.suspected_at + rules.grace) for hole in opened]
    gaps += [gap_of(state, hole, GapState.LOST, hole.suspected_at + rules.lost_after) for hole in lost]
    return Step(
        state=replace(state, holes=(state.holes[:reported] + opened + state.holes[overdue:])[expired:]),
        gaps=tuple(sorted(gaps, key=lambda gap: gap.changed_at)),  # Stable: of one moment, `open` stays before `lost`.
        touched=tuple((state.epoch, hole.last) for hole in opened + lost),
    )


def _place(state: SequenceState, arrival: Arrival, rules: GapRules) -> Step:
    if arrival.is_test:
        return _place_test(state, arrival)
    if state.mixed is not None:
        return place_mixed(state, state.mixed, arrival, rules.lost_after)
    if _is_of_an_older_epoch(state, arrival, rules):
        return Step(state)
    if arrival.sequence > state.highest:
        low = other_counter(state, arrival)
        return _extend(state, arrival) if low is None else begin_mixed(state, arrival, low, arrival.sequence)
    index = state.hole_index(arrival.sequence)
    if _is_restart(state, arrival, rules, in_hole=index is not None):
        return _restart(state, arrival, rules)
    return _place_low(state, arrival, rules) if index is None else _fill(state, index, arrival)


def _place_test(state: SequenceState, arrival: Arrival) -> Step:
    """The step of a test that a person sent: it may have used up an id, and says nothing else of the counter."""
    index = state.hole_index(arrival.sequence)
    if index is not None and state.mixed is None:
        return _fill(state, index, arrival)
    is_next = arrival.sequence == state.highest + 1
    return Step(replace(state, highest=arrival.sequence) if is_next and state.mixed is None else state)


def _place_low(state: SequenceState, arrival: Arrival, rules: GapRules) -> Step:
    """The step of an id that is not missing: an old retry, or the next id of a counter that began anew.

    A retry keeps its event time. So several ids, each the next one and with a newer event than all before, are those of
    another counter; one could be a clock that is not quite right.
    """
    low = state.low
    newest_at = max([one.time for one in low if one.time] + ([state.newest[0]] if state.newest else []), default=None)
    if arrival.time is None or newest_at is None or arrival.time <= newest_at:
        return Step(state)
    run = (*low, arrival) if low and low[-1].sequence + 1 == arrival.sequence else (arrival,)
    if len(run) < _LOW_RUN:
        return Step(replace(state, low=run))
    step = _restart(state, run[0], rules)
    for one in run[1:]:
        step = _then(step, _place(step.state, one, rules))
    return step


def _is_of_an_older_epoch(state: SequenceState, arrival: Arrival, rules: GapRules) -> bool:
    """Whether the arrival is a late one of the counter before the restart; a jump to its id would be a false hole."""
    if arrival.time is None:
        return False
    if state.older_until is not None and arrival.time <= state.older_until:
        return True
    jump = arrival.sequence - state.highest
    return state.began_at is not None and arrival.time < state.began_at and jump >= rules.drop_min


def _is_restart(state: SequenceState, arrival: Arrival, rules: GapRules, *, in_hole: bool) -> bool:
    """Whether the counter began anew with this arrival, and it is no old retry: a retry keeps its event time.

    One counter gives no newer event under a lower id, but for events of nearly the same moment: so a small drop into a
    hole fills the hole, and elsewhere the event must be newer by more than the grace time.
    """
    if arrival.time is None or state.newest is None:
        return False
    newest_at, newest_id = state.newest
    drop = newest_id - arrival.sequence
    if drop >= rules.drop_min:
        return arrival.time > newest_at
    return drop > 0 and not in_hole and arrival.time - newest_at > rules.grace


def _begun(arrival: Arrival, *, at: datetime, epoch: int, older_until: datetime | None) -> SequenceState:
    return SequenceState(
        endpoint=arrival.endpoint,
        epoch=epoch,
        baseline=arrival.sequence,
        highest=arrival.sequence,
        stream_at=at,
        began_at=arrival.time,
        newest=_newest(None, arrival),
        older_until=older_until,
    )


def _restart(state: SequenceState, arrival: Arrival, rules: GapRules) -> Step:
    """The step that ends the epoch, its holes lost, and begins the next one with this id; or finds two counters."""
    if falls_again(state, arrival, rules.lost_after):
        return begin_mixed(state, arrival, arrival.sequence, state.highest)
    at = state.stream_at
    older_until = state.newest[0] if state.newest else None
    begun = _begun(arrival, at=at, epoch=state.epoch + 1, older_until=older_until)
    begun = replace(begun, older_highest=state.highest)
    here = Hole(arrival.sequence, arrival.sequence, at, arrival.raw)
    return Step(
        state=begun,
        gaps=(
            *(gap_of(state, hole, GapState.LOST, at) for hole in state.holes),
            gap_of(begun, here, GapState.RESET, at),
        ),
        touched=tuple((state.epoch, hole.last) for hole in state.holes),
    )


def _extend(state: SequenceState, arrival: Arrival) -> Step:
    """The step that moves the highest id up; the ids that it jumps over are a hole."""
    higher = replace(state, highest=arrival.sequence, newest=_newest(state.newest, arrival))
    first, last = state.highest + 1, arrival.sequence - 1
    if first > last:
        return Step(higher)
    hole = Hole(first, last, state.stream_at, arrival.raw)
    return Step(replace(higher, holes=(*state.holes, hole)), touched=((state.epoch, last),))


def _fill(state: SequenceState, index: int, arrival: Arrival) -> Step:
    """The step of a late delivery, which takes its id out of its hole; only a reported hole has to be corrected."""
    hole, id_ = state.holes[index], arrival.sequence
    parts = tuple(
        part for part in (replace(hole, last=id_ - 1), replace(hole, first=id_ + 1)) if part.first <= part.last
    )
    came = replace(hole, first=id_, last=id_)
    return Step(
        state=replace(
            state,
            newest=_newest(state.newest, arrival),
            holes=state.holes[:index] + parts + state.holes[index + 1 :],
        ),
        gaps=(gap_of(state, came, GapState.FILLED, state.stream_at),) if hole.reported else (),
        touched=((state.epoch, hole.last), *((state.epoch, part.last) for part in parts if part.last != hole.last)),
    )


def _give_up_oldest(step: Step, rules: GapRules) -> Step:
    """The step with no more holes than there is room for."""
    state = step.state
    count = max(0, len(state.holes) - rules.holes_max)
    if not count:
        return step
    oldest = state.holes[:count]
    return Step(
        state=replace(state, holes=state.holes[count:]),
        gaps=(*step.gaps, *(gap_of(state, hole, GapState.LOST, state.stream_at) for hole in oldest)),
        touched=(*step.touched, *((state.epoch, hole.last) for hole in oldest)),
        given_up_count=count,
    )


def _newest(newest: tuple[datetime, int] | None, arrival: Arrival) -> tuple[datetime, int] | None:
    if arrival.time is None:
        return newest
    here = (arrival.time, arrival.sequence)
    return here if newest is None else max(newest, here)
