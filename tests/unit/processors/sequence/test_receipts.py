"""A receipt far ahead of all before it: a clock that is wrong, or the end of a silence? By example."""

import orjson
import pytest

from processors.sequence.receipts import WAITING_MAX
from processors.sequence.state import restore
from tests.support.tracking import Tracker, at

HOUR_S = 3_600
DAY_S = 24 * HOUR_S


def fresh(tracker: Tracker, sequence: int, received_s: float) -> None:
    """A first try: the provider's clock says what ours does."""
    tracker.arrive(sequence, received_s, event_s=received_s)


def stream_s(tracker: Tracker) -> float:
    assert tracker.state is not None
    return (tracker.state.stream_at - at(0)).total_seconds()


@pytest.mark.parametrize("event_s", [100, None])
def test_one_clock_that_is_ahead_loses_nothing_and_stops_nothing(event_s: float | None) -> None:
    """A delivery stamped 14 days ahead counts at the next receipt; holes before and after it go their ordinary way."""
    tracker = Tracker()
    fresh(tracker, 1, 0)
    fresh(tracker, 3, 10)
    tracker.arrive(4, 14 * DAY_S, event_s=event_s)
    fresh(tracker, 5, 101)
    assert tracker.told() == [("open", 2, 2)]
    tracker.arrive(2, 170, event_s=5)
    fresh(tracker, 7, 171)
    tracker.wait_until(300)
    assert tracker.told() == [("open", 2, 2), ("filled", 2, 2), ("open", 6, 6)]
    assert stream_s(tracker) == 171
    assert tracker.restored() == tracker.state


def test_a_clock_that_is_ahead_does_not_vouch_for_itself() -> None:
    """Delivery after delivery through it changes nothing, for the provider's times say otherwise."""
    tracker = Tracker()
    fresh(tracker, 1, 0)
    for number in range(2, 12):
        tracker.arrive(number, 14 * DAY_S + number, event_s=number)
    assert stream_s(tracker) == 0
    fresh(tracker, 12, 12)
    assert stream_s(tracker) == 12
    assert tracker.missing() == set()


def test_after_a_silence_a_first_try_is_believed_at_once() -> None:
    """Once a day, or after a weekend: no delivery is behind its receipt."""
    tracker = Tracker()
    for day, number in ((0, 1), (1, 2), (4, 4), (5, 5)):
        fresh(tracker, number, day * DAY_S)
        assert stream_s(tracker) == day * DAY_S
    assert tracker.told() == [("open", 3, 3)]


def test_after_a_silence_a_retry_counts_when_the_clock_has_reached_it() -> None:
    """Its event is long past; who has a clock need not wait for the next delivery, and a replay says the same."""
    asked, replay = Tracker(), Tracker()
    for tracker in (asked, replay):
        fresh(tracker, 1, 0)
        fresh(tracker, 3, 1)
    asked.wait_until(200)
    for tracker in (asked, replay):
        tracker.arrive(2, 5 * HOUR_S, event_s=0)
    assert stream_s(asked) == 1
    asked.wait_until(5 * HOUR_S)
    assert asked.told() == [("open", 2, 2), ("filled", 2, 2)]
    fresh(replay, 4, 6 * HOUR_S)
    assert replay.gaps == asked.gaps


def test_what_waits_is_bounded() -> None:
    """Where no clock but one is known, it is the right one in the end."""
    tracker = Tracker()
    fresh(tracker, 1, 0)
    for number in range(2, 2 + WAITING_MAX):
        tracker.arrive(number, 14 * DAY_S + number)
    assert stream_s(tracker) == 0
    tracker.arrive(50, 14 * DAY_S + 50)
    assert stream_s(tracker) == 14 * DAY_S + 50
    assert tracker.missing() == set(range(2 + WAITING_MAX, 50))


def test_a_restart_forgets_none_that_waits() -> None:
    """The counter begins anew with one, and the others of the new epoch count behind it."""
    tracker = Tracker()
    fresh(tracker, 5_000, 0)
    tracker.arrive(1, 5 * HOUR_S, event_s=10)
    tracker.arrive(2, 5 * HOUR_S, event_s=11)
    tracker.wait_until(5 * HOUR_S)
    assert tracker.told() == [("reset", 1, 1)]
    assert tracker.state is not None
    assert (tracker.state.highest, tracker.state.waiting) == (2, ())


def test_the_very_first_receipt_is_no_later_than_its_event_allows() -> None:
    """The first delivery of an endpoint through a clock that is ahead does not stop time either."""
    tracker = Tracker()
    tracker.arrive(1, 14 * DAY_S, event_s=0)
    assert stream_s(tracker) == HOUR_S
    fresh(tracker, 3, 2 * HOUR_S)
    tracker.wait_until(2 * HOUR_S + 90)
    assert tracker.told() == [("open", 2, 2)]


def test_a_head_that_knows_of_none_that_waits_is_read() -> None:
    """A changelog of an older program is restored."""
    tracker = Tracker()
    fresh(tracker, 1, 0)
    fresh(tracker, 3, 1)
    head = orjson.loads(tracker.changelog[b'["acme"]'])
    del head["waiting"]
    assert restore({**tracker.changelog, b'["acme"]': orjson.dumps(head)})["acme"] == tracker.state
