"""The gap tracker under any order of arrivals: what it reports are the ids that never came, and nothing else."""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.sequence.receipts import WAITING_MAX
from processors.sequence.tracker import GapRules
from schemas.notes.gaps import GapState, gap_record
from schemas.times import rfc3339
from tests.support.tracking import END_S, Reader, Tracker, at

GRACE_S, LOST_AFTER_S = 90, 1_000
# The smallest drops count: one counter must not be taken for two, whatever the rules.
RULES = GapRules(grace=timedelta(seconds=GRACE_S), lost_after=timedelta(seconds=LOST_AFTER_S), drop_min=1)
TIGHT = GapRules(grace=timedelta(seconds=GRACE_S), lost_after=timedelta(seconds=LOST_AFTER_S), holes_max=3, drop_min=10)
WIDE = GapRules(grace=timedelta(seconds=GRACE_S), lost_after=timedelta(hours=40))
HOUR_S = 3_600
# No deadline: how fast this machine happens to be is not the law.
law = settings(deadline=None)


@dataclass(frozen=True)
class Arrived:
    """Seconds after the start; the event time is the provider's or None."""

    sequence: int
    received_s: float
    event_s: float | None


@st.composite
def one_counter(draw: st.DrawFn, pause_max_s: int) -> list[Arrived]:
    """Deliveries of one counter in any order, some doubled, some lost; a retry keeps its id and its event time.

    Receipts are mostly, not always, in order.
    """
    start = draw(st.sampled_from([0, 1, 7, 10**12]))
    offsets = draw(st.lists(st.integers(min_value=0, max_value=30), min_size=1, max_size=40))
    feed, clock_s = [], 1_000
    for offset in offsets:
        clock_s += draw(st.integers(min_value=-20, max_value=pause_max_s))
        event_s = draw(st.sampled_from([None, float(offset)]))
        feed.append(Arrived(start + offset, clock_s, event_s))
    return feed


@st.composite
def anything(draw: st.DrawFn) -> list[Arrived]:
    """Deliveries without any sense: every id, event time and order of receipts."""
    clock_s, feed = 0, []
    for _ in range(draw(st.integers(min_value=1, max_value=30))):
        clock_s += draw(st.integers(min_value=-100, max_value=600))
        sequence = draw(st.integers(min_value=0, max_value=40) | st.sampled_from([1_000, 10_000_000, 2**64 - 1]))
        event_s = draw(st.none() | st.integers(min_value=0, max_value=30).map(float))
        feed.append(Arrived(sequence, clock_s, event_s))
    return feed


@dataclass(frozen=True)
class Stamped:
    """A delivery that came at `real_s`; its receipt, where its clock was right, says so."""

    real_s: float
    arrived: Arrived

    @property
    def is_right(self) -> bool:
        return self.arrived.received_s == self.real_s


@st.composite
def one_wrong_clock(draw: st.DrawFn) -> list[Stamped]:
    """Deliveries and retries over any silences, some of them received by a machine hours or weeks ahead."""
    ahead_s = draw(st.sampled_from([3.0, 30.0, 24.0 * 14])) * HOUR_S
    real_s = 0.0
    feed: list[Stamped] = []
    # No more of them than may wait.
    for _ in range(draw(st.integers(min_value=1, max_value=WAITING_MAX))):
        real_s += draw(st.sampled_from([1.0, 60.0, 100.0, 2_000.0, 5.0 * HOUR_S, 30.0 * HOUR_S]))
        lag_s = draw(st.sampled_from([None, 0.0, 1_000.0, 6.0 * HOUR_S]))
        sequence = draw(st.integers(min_value=0, max_value=25))
        received_s = real_s + draw(st.sampled_from([0.0, ahead_s])) if feed else real_s
        feed.append(Stamped(real_s, Arrived(sequence, received_s, None if lag_s is None else real_s - lag_s)))
    end_s = real_s + 1
    return [*feed, Stamped(end_s, Arrived(12, end_s, end_s))]


def counted_s(feed: list[Stamped], number: int) -> float:
    """When it counts, by definition: at its receipt, unless a right one after it is more than an hour below that."""
    one = feed[number]
    next_s = next(other.real_s for other in feed[number:] if other.is_right)
    return one.arrived.received_s if one.arrived.received_s <= next_s + HOUR_S else next_s


def run(feed: list[Arrived], rules: GapRules, *, each: Callable[[Tracker], None] = lambda _: None) -> Tracker:
    tracker = Tracker(rules)
    for one in feed:
        tracker.arrive(one.sequence, one.received_s, one.event_s)
        each(tracker)
    return tracker


def never_came(feed: list[Arrived]) -> set[int]:
    """The ids between the first one and the highest that are in no delivery."""
    came = {one.sequence for one in feed}
    return set(range(feed[0].sequence, max(came) + 1)) - came


@law
@given(one_counter(pause_max_s=20))
def test_holes_are_exactly_the_ids_that_never_came(feed: list[Arrived]) -> None:
    """Whatever the order, doubles and losses: within the horizon the holes, after it the lost ids, are those."""
    tracker = run(feed, RULES)
    assert tracker.missing() == never_came(feed)
    assert Reader().read(tracker.gaps).lost == set()
    tracker.wait_until(END_S)
    reader = Reader().read(tracker.gaps)
    assert reader.lost == {(1, id_) for id_ in never_came(feed)}
    assert reader.open == set()
    assert tracker.missing() == set()


def expected(feed: list[Arrived]) -> Counter[tuple[int, GapState, str]]:
    """What must be said of each single id, found the slow way: id by id, from the definitions alone."""
    stream = list(itertools.accumulate((one.received_s for one in feed), max))
    said: Counter[tuple[int, GapState, str]] = Counter()
    for id_ in range(feed[0].sequence, max(one.sequence for one in feed)):
        passed_s = next(now_s for one, now_s in zip(feed, stream, strict=True) if one.sequence >= id_)
        came_s = next((now_s for one, now_s in zip(feed, stream, strict=True) if one.sequence == id_), END_S)
        first = next(one.sequence for one in feed if one.sequence >= id_)
        if first == id_ or came_s < passed_s + GRACE_S:
            continue
        said[id_, GapState.OPEN, rfc3339(at(passed_s + GRACE_S))] += 1
        if came_s < passed_s + LOST_AFTER_S:
            said[id_, GapState.FILLED, rfc3339(at(came_s))] += 1
        else:
            said[id_, GapState.LOST, rfc3339(at(passed_s + LOST_AFTER_S))] += 1
    return said


@law
@given(one_counter(pause_max_s=400))
def test_each_id_is_told_of_as_its_own_times_say(feed: list[Arrived]) -> None:
    """Over any pauses each id is open, filled or lost at its own moments; none that came in time is ever lost."""
    tracker = run(feed, RULES)
    tracker.wait_until(END_S)
    told = Counter((id_, gap.state, gap.changed_at) for gap in tracker.gaps for id_ in range(gap.first, gap.last + 1))
    assert told == expected(feed)


@law
@given(anything(), st.data())
def test_when_time_is_told_changes_nothing(feed: list[Arrived], data: st.DataObject) -> None:
    """Asked at any moments between the deliveries, or never, the tracker writes the same records in the same order."""
    plain, asked = Tracker(TIGHT), Tracker(TIGHT)
    stream_s = feed[0].received_s
    for number, one in enumerate(feed):
        plain.arrive(one.sequence, one.received_s, one.event_s)
        next_s = max(stream_s, one.received_s)
        if number:
            for part in sorted(data.draw(st.lists(st.floats(min_value=0, max_value=1), max_size=3))):
                asked.wait_until(stream_s + part * (next_s - stream_s))
        asked.arrive(one.sequence, one.received_s, one.event_s)
        stream_s = next_s
    for moment in data.draw(st.lists(st.integers(min_value=0, max_value=5_000), max_size=5).map(sorted)):
        asked.wait_until(stream_s + moment)
    plain.wait_until(END_S)
    asked.wait_until(END_S)
    assert [gap_record(gap) for gap in asked.gaps] == [gap_record(gap) for gap in plain.gaps]
    assert asked.state == plain.state


# Each is within an hour of the one before: together they led time three hours astray, once.
CREEPING = [
    Stamped(1.0, Arrived(0, 1.0, None)),
    *(Stamped(real_s, Arrived(0, real_s + 3 * HOUR_S, None)) for real_s in (2.0, 2_002.0, 4_002.0, 6_002.0)),
    Stamped(8_002.0, Arrived(0, 8_002.0, None)),
    Stamped(8_003.0, Arrived(12, 8_003.0, 8_003.0)),
]


@law
@given(one_wrong_clock())
@example(CREEPING)
def test_a_wrong_clock_says_nothing(feed: list[Stamped]) -> None:
    """What is told is as if each delivery that one wrong clock took had come with the next that a right one did."""
    told, expected_of = Tracker(WIDE), Tracker(WIDE)
    real_s = 0.0
    for number, one in enumerate(feed):
        told.arrive(one.arrived.sequence, one.arrived.received_s, one.arrived.event_s)
        check_changelog(told)
        expected_of.arrive(one.arrived.sequence, counted_s(feed, number), one.arrived.event_s)
        expected_of.wait_until(counted_s(feed, number))
        assert told.state is not None
        real_s = max(real_s, one.real_s)
        assert told.state.stream_at <= at(real_s + HOUR_S)
        if one.is_right and one.arrived.event_s is not None and one.real_s - one.arrived.event_s <= HOUR_S:
            # No silence is followed late.
            assert told.state.stream_at >= at(one.real_s)
    told.wait_until(END_S)
    expected_of.wait_until(END_S)
    assert [gap_record(gap) for gap in told.gaps] == [gap_record(gap) for gap in expected_of.gaps]


@law
@given(one_wrong_clock(), st.data())
def test_a_replay_says_the_same_though_a_clock_was_wrong(feed: list[Stamped], data: st.DataObject) -> None:
    """Asked with a right clock at any moments between the deliveries, or never: the same records in the same order."""
    plain, asked = Tracker(WIDE), Tracker(WIDE)
    for one, following in itertools.pairwise([*feed, Stamped(END_S, feed[-1].arrived)]):
        for tracker in (plain, asked):
            tracker.arrive(one.arrived.sequence, one.arrived.received_s, one.arrived.event_s)
        for part in sorted(data.draw(st.lists(st.floats(min_value=0, max_value=1), max_size=3))):
            asked.wait_until(one.real_s + part * (following.real_s - one.real_s))
    plain.wait_until(END_S)
    asked.wait_until(END_S)
    assert [gap_record(gap) for gap in asked.gaps] == [gap_record(gap) for gap in plain.gaps]
    assert asked.state == plain.state


def check_changelog(tracker: Tracker) -> None:
    assert tracker.restored() == tracker.state


@law
@given(anything())
def test_the_changelog_is_the_state_after_every_step(feed: list[Arrived]) -> None:
    """What the steps wrote, the latest of each key, gives the state again, and a stop at any moment loses nothing."""
    tracker = run(feed, TIGHT, each=check_changelog)
    tracker.wait_until(END_S)
    check_changelog(tracker)
    assert len(tracker.changelog) == 1


def check_order(tracker: Tracker) -> None:
    """What `SequenceState` promises of its holes."""
    state = tracker.state
    assert state is not None
    assert len(state.holes) <= tracker.rules.holes_max
    assert all(state.baseline < hole.first <= hole.last < state.highest for hole in state.holes)
    for before, after in itertools.pairwise(state.holes):
        assert before.last + 1 < after.first
        assert before.suspected_at <= after.suspected_at
        assert before.reported >= after.reported


@law
@given(anything())
def test_holes_stay_in_order_and_within_their_bound(feed: list[Arrived]) -> None:
    """Disjoint, ascending, the oldest first, the reported ones first, never more than allowed."""
    run(feed, TIGHT, each=check_order)


@law
@given(anything())
def test_time_in_the_records_never_runs_back(feed: list[Arrived]) -> None:
    """Read in order, the records of an endpoint change at moments that never fall, and epochs only rise."""
    tracker = run(feed, TIGHT)
    tracker.wait_until(END_S)
    moments = [datetime.fromisoformat(gap.changed_at) for gap in tracker.gaps]
    assert moments == sorted(moments)
    epochs = [gap.epoch for gap in tracker.gaps]
    assert epochs == sorted(epochs)


@law
@given(
    st.lists(st.tuples(st.integers(min_value=1, max_value=10_000_000), st.integers(min_value=0, max_value=60))),
)
def test_cost_does_not_know_a_hole_s_size(jumps: list[tuple[int, int]]) -> None:
    """Entries written and kept depend on how many holes there are, never on how many ids are in them."""
    real, small = Tracker(RULES), Tracker(RULES)
    sequence, number, clock_s = 0, 0, 0
    for size, pause_s in [(0, 0), *jumps]:
        sequence, number, clock_s = sequence + size + 1, number + 2, clock_s + pause_s
        real.arrive(sequence, clock_s)
        small.arrive(number, clock_s)
    if jumps:
        assert real.entry_counts == small.entry_counts
        assert len(real.changelog) == len(small.changelog)


@law
@given(
    one_counter(pause_max_s=20).filter(lambda feed: max(one.sequence for one in feed) < 10_000),
    st.integers(min_value=1, max_value=20),
)
def test_a_restart_is_found_and_the_old_counter_s_late_deliveries_pass_by(feed: list[Arrived], length: int) -> None:
    """After any life of a counter, a new one from 1 is one reset; old deliveries among its own make no hole."""
    tracker = Tracker(RULES)
    tracker.arrive(50_000, 0, event_s=0.0)
    for one in feed:
        tracker.arrive(50_000 + one.sequence, one.received_s, one.event_s)
    begun = max(one.received_s for one in feed) + 1
    for number in range(1, length + 1):
        tracker.arrive(number, begun + number, event_s=begun + number)
        for late in feed:
            if late.event_s is not None:
                tracker.arrive(50_000 + late.sequence, begun + number, late.event_s)
    tracker.wait_until(END_S)
    resets = [(gap.epoch, gap.first) for gap in tracker.gaps if gap.state is GapState.RESET]
    assert resets == [(2, 1)]
    assert [gap for gap in tracker.gaps if gap.epoch == 2 and gap.state is not GapState.RESET] == []
