"""A counter that began anew, against an old retry: only a new event's time tells them apart."""

import pytest

from tests.support.tracking import Tracker

HOUR_S = 3_600


def test_a_large_drop_with_a_fresh_event_time_is_a_reset() -> None:
    """The old epoch's holes are lost, reported or not; the new one begins with the id that came."""
    tracker = Tracker()
    tracker.arrive(50_000, 0, event_s=0)
    tracker.arrive(50_002, 1, event_s=1)
    tracker.arrive(50_004, 100, event_s=100)
    tracker.arrive(1, 110, event_s=110)
    tracker.arrive(2, 111, event_s=111)
    assert tracker.told() == [
        ("open", 50_001, 50_001),
        ("lost", 50_001, 50_001),
        ("lost", 50_003, 50_003),
        ("reset", 1, 1),
    ]
    assert [gap.epoch for gap in tracker.gaps] == [1, 1, 1, 2]
    assert {gap.changed_at for gap in tracker.gaps[1:]} == {"2026-03-01T12:01:50.000000Z"}
    assert tracker.gaps[3].suspected_at == tracker.gaps[3].changed_at
    assert tracker.gaps[3].raw == "raw/0/1"
    assert tracker.restored() == tracker.state


@pytest.mark.parametrize("event_s", [None, -1, 100])
def test_a_large_drop_without_a_fresh_event_time_is_an_old_retry(event_s: float | None) -> None:
    """An event time that is old, not newer than the newest, or not the provider's never resets."""
    tracker = Tracker()
    tracker.arrive(50_000, 0, event_s=0)
    tracker.arrive(50_001, 100, event_s=100)
    tracker.arrive(1, 110, event_s=event_s)
    assert tracker.told() == []


def test_an_old_retry_without_any_time_to_compare_with_never_resets() -> None:
    """Where no delivery of the epoch had the provider's time, there is nothing to be newer than."""
    tracker = Tracker()
    tracker.arrive(50_000, 0)
    tracker.arrive(1, 110, event_s=110)
    assert tracker.told() == []


@pytest.mark.parametrize(
    ("event_s", "told"), [(1, []), (3, []), (93, []), (94, [("reset", 1, 1)]), (5_000, [("reset", 1, 1)])]
)
def test_a_small_counter_s_restart_is_seen_once_its_events_are_newer_by_the_grace_time(
    event_s: float, told: list[tuple[str, int, int]]
) -> None:
    """A retry keeps its event time; so an id that came, with a time newer by far, is another event's."""
    tracker = Tracker()
    for sequence in (1, 2, 3):
        tracker.arrive(sequence, sequence, event_s=sequence)
    tracker.arrive(1, 5_000, event_s=event_s)
    tracker.wait_until(5_000)
    assert tracker.told() == told


def test_a_late_delivery_under_ids_without_times_is_no_restart() -> None:
    """Newer than every time that was seen is not enough: the ids above it may just have carried none."""
    tracker = Tracker()
    tracker.arrive(1, 0, event_s=0)
    tracker.arrive(5_000, 1)
    tracker.arrive(100, 200, event_s=150)
    assert tracker.told() == [("open", 2, 4_999), ("filled", 100, 100)]
    tracker.arrive(101, 120 * HOUR_S, event_s=160)
    tracker.wait_until(120 * HOUR_S)
    assert tracker.told()[2:] == [("lost", 2, 99), ("lost", 101, 4_999)]


def test_the_same_highest_id_again_is_no_restart() -> None:
    """Nothing is gained by an epoch that begins where the last one stands."""
    tracker = Tracker()
    tracker.arrive(7, 0, event_s=0)
    tracker.arrive(7, 5_000, event_s=5_000)
    assert tracker.told() == []


def test_a_small_drop_into_a_hole_fills_it_whatever_its_time() -> None:
    """An id that is waited for is taken for itself, and not for a new counter's, be its event ever so new."""
    tracker = Tracker()
    tracker.arrive(1, 0, event_s=0)
    tracker.arrive(9, 100, event_s=100)
    tracker.arrive(5, 600, event_s=600)
    assert tracker.told() == [("open", 2, 8), ("filled", 5, 5)]


def test_a_large_drop_into_a_hole_with_a_fresh_event_time_is_a_reset() -> None:
    """One absurd id is outlived: the true counter goes on in a new epoch."""
    tracker = Tracker()
    tracker.arrive(1, 0, event_s=0)
    tracker.arrive(2**63, 1, event_s=1)
    tracker.arrive(2, 2, event_s=2)
    assert tracker.told() == [("lost", 2, 2**63 - 1), ("reset", 2, 2)]


@pytest.mark.parametrize(("event_s", "told"), [(10, []), (200, [("reset", 3, 3)])])
def test_below_the_baseline_only_time_tells_a_restart_from_an_overtaking(
    event_s: float, told: list[tuple[str, int, int]]
) -> None:
    """First deliveries may overtake each other; an id before them whose event is newer by far is a new counter's."""
    tracker = Tracker()
    tracker.arrive(5, 0, event_s=0)
    tracker.arrive(3, event_s, event_s=event_s)
    assert tracker.told() == told


@pytest.mark.parametrize(("sequence", "event_s"), [(50_000, 0), (49_000, -5), (30, -5), (50_001, 105)])
def test_what_is_left_of_the_old_epoch_makes_no_hole_in_the_new_one(sequence: int, event_s: float) -> None:
    """A late delivery of the counter before the restart is known by its event time and passed over."""
    tracker = Tracker()
    tracker.arrive(50_000, 0, event_s=100)
    tracker.arrive(1, 110, event_s=110)
    tracker.arrive(sequence, 120, event_s=event_s)
    tracker.arrive(2, 121, event_s=121)
    tracker.wait_until(200 * HOUR_S)
    assert tracker.told() == [("reset", 1, 1)]
