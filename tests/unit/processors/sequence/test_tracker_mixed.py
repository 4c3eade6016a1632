"""Two counters on one endpoint, a counter that began anew unnoticed, and a person's test: no false verdicts."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.sequence.tracker import observe
from tests.support.tracking import Tracker

HOUR_S = 3_600


@pytest.mark.parametrize("low", [1, 4_500])
def test_two_counters_that_alternate_are_one_finding(low: int) -> None:
    """Ids 5000... and 1..., sixty of each: the first drop may be a restart; then the old counter goes on."""
    tracker = Tracker()
    for number in range(60):
        tracker.arrive(5_000 + number, 2 * number, event_s=2 * number)
        tracker.arrive(low + number, 2 * number + 1, event_s=2 * number + 1)
    tracker.wait_until(300 * HOUR_S)
    told = [state for state, _, _ in tracker.told()]
    assert told.count("mixed") == 1
    assert told.count("reset") <= 1
    assert {"open", "lost", "filled"}.isdisjoint(told)
    assert tracker.restored() == tracker.state


def test_two_counters_near_each_other_are_found_without_a_reset() -> None:
    """Under a thousand apart no drop is a restart at once; two low ids with newer events tell of another counter."""
    tracker = Tracker()
    for number in range(60):
        tracker.arrive(500 + number, 2 * number, event_s=2 * number)
        tracker.arrive(1 + number, 2 * number + 1, event_s=2 * number + 1)
    tracker.wait_until(300 * HOUR_S)
    assert tracker.told() == [("mixed", 2, 502)]


@pytest.mark.parametrize("apart", [1, 2, 3, 4, 5, 20, 50, 99])
@pytest.mark.parametrize("order", ["HL", "HHLL", "HHHHHLLLLL"])
@pytest.mark.parametrize("pause_s", [1, 40, 200])
def test_two_counters_less_than_a_hundred_apart_are_one_finding(apart: int, order: str, pause_s: int) -> None:
    """In turns or in batches: the very next id of the counter before the restart says that it never began anew."""
    tracker, heads = Tracker(), {"H": 1_000 + apart, "L": 1_000}
    for number, name in enumerate(order * 60):
        tracker.arrive(heads[name], pause_s * number, event_s=pause_s * number)
        heads[name] += 1
    tracker.wait_until(300 * HOUR_S)
    told = [state for state, _, _ in tracker.told()]
    assert told.count("mixed") == 1
    assert told.count("reset") <= 1
    assert "lost" not in told
    assert tracker.restored() == tracker.state


def test_a_counter_that_a_person_makes_anew_again_and_again_is_no_second_one() -> None:
    """It begins at its first id each time; each is a restart, and the ids behind it are tracked."""
    tracker = Tracker()
    for turn, last in enumerate((30, 20, 10)):
        for number in range(1, last + 1):
            tracker.arrive(number, 1_000 * turn + number, event_s=1_000 * turn + number)
    assert tracker.told() == [("reset", 1, 1), ("reset", 1, 1)]


def test_a_restart_that_reaches_its_old_ids_is_no_second_counter() -> None:
    """Ids that were lost on the way there are a hole, also where the last one before the restart is among them."""
    tracker = Tracker()
    for number in range(1, 51):
        tracker.arrive(number, number, event_s=number)
    for number in (*range(1, 49), 51):
        tracker.arrive(number, 1_000 + number, event_s=1_000 + number)
    tracker.wait_until(2_000)
    assert tracker.told() == [("reset", 1, 1), ("open", 49, 50)]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(("high", "low")), min_size=40, max_size=120))
def test_two_counters_in_any_mixture_lead_to_no_storm(order: list[str]) -> None:
    """However the two come mixed: at most one finding, and before it at most the verdicts of the first drop."""
    tracker, heads = Tracker(), {"high": 5_000, "low": 1}
    for second, name in enumerate(order):
        tracker.arrive(heads[name], second, event_s=second)
        heads[name] += 1
    told = [state for state, _, _ in tracker.told()]
    assert told.count("mixed") <= 1
    assert told.count("reset") <= 1
    assert told.count("lost") <= 1
    if told.count("mixed"):
        tracker.wait_until(300 * HOUR_S)
        assert len(tracker.gaps) == len(told)


def test_tracking_begins_anew_once_one_counter_is_alone() -> None:
    """When the other webhook has a URL of its own, the one that stays is tracked again, in a new epoch."""
    tracker = Tracker()
    for number in range(3):
        tracker.arrive(5_000 + number, 2 * number, event_s=2 * number)
        tracker.arrive(1 + number, 2 * number + 1, event_s=2 * number + 1)
    later_s = 111 * HOUR_S
    tracker.arrive(5_003, 50 * HOUR_S, event_s=50 * HOUR_S)
    tracker.arrive(5_004, later_s, event_s=later_s)
    tracker.arrive(5_006, later_s + 1, event_s=later_s + 1)
    tracker.wait_until(later_s + 100)
    assert tracker.told() == [("reset", 1, 1), ("mixed", 1, 5_001), ("reset", 5_004, 5_004), ("open", 5_005, 5_005)]
    assert [gap.epoch for gap in tracker.gaps] == [2, 2, 3, 3]


def test_a_reported_hole_is_closed_by_the_finding() -> None:
    """What is open when two counters are found is judged no more, and takes no place in the changelog."""
    tracker = Tracker()
    tracker.arrive(500, 0, event_s=0)
    tracker.arrive(502, 1, event_s=1)
    tracker.arrive(1, 100, event_s=100)
    tracker.arrive(2, 101, event_s=101)
    tracker.arrive(503, 102, event_s=102)
    tracker.wait_until(300 * HOUR_S)
    assert tracker.told() == [("open", 501, 501), ("lost", 501, 501), ("reset", 1, 1), ("mixed", 2, 503)]
    assert len(tracker.changelog) == 1


def test_a_counter_that_began_anew_within_seconds_is_seen_at_its_third_id() -> None:
    """Each id newer than all before and none of them missing: no retry does that; and no id of it stays untracked."""
    tracker = Tracker()
    for number in range(10):
        tracker.arrive(1 + number, number, event_s=number)
    tracker.arrive(1, 10, event_s=11)
    tracker.arrive(2, 11, event_s=12)
    assert tracker.told() == []
    tracker.arrive(3, 12, event_s=13)
    assert tracker.told() == [("reset", 1, 1)]
    tracker.arrive(5, 13, event_s=14)
    tracker.wait_until(200)
    assert tracker.told()[1:] == [("open", 4, 4)]
    assert tracker.restored() == tracker.state


def test_without_newer_event_times_nothing_is_said_of_a_restart() -> None:
    """Where the provider's times say nothing, a late retry and a new counter look alike, and no epoch is made up."""
    tracker = Tracker()
    for number in range(10):
        tracker.arrive(1 + number, number)
    for number in range(10):
        tracker.arrive(1 + number, 20 + number)
    tracker.wait_until(200)
    assert tracker.told() == []


@pytest.mark.parametrize("id_", [1, 2, 900, 5_000, 100_000, 2**62])
def test_a_test_that_a_person_sends_moves_nothing(id_: int) -> None:
    """A ping with any id makes no epoch and no hole."""
    tracker = Tracker()
    for number in range(5):
        tracker.arrive(4_000 + number, number, event_s=number)
    _ping(tracker, id_, 10)
    tracker.arrive(4_005, 20, event_s=20)
    tracker.wait_until(300 * HOUR_S)
    assert tracker.told() == []


def test_a_test_that_used_up_an_id_leaves_no_hole() -> None:
    """Where a ping takes a number of the counter, the number is not missing."""
    tracker = Tracker()
    tracker.arrive(1, 0, event_s=0)
    _ping(tracker, 2, 1)
    tracker.arrive(3, 2, event_s=2)
    tracker.arrive(5, 3, event_s=3)
    _ping(tracker, 4, 4)
    tracker.wait_until(300 * HOUR_S)
    assert tracker.told() == []


def _ping(tracker: Tracker, id_: int, received_s: float) -> None:
    arrival = replace(tracker.arrival(id_, received_s, None), is_test=True)
    tracker.take(observe(tracker.state, arrival, tracker.rules))
