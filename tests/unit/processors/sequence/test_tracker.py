"""The gap tracker, by example: one endpoint, and what is said of its holes."""

from datetime import timedelta

import orjson
import pytest

from processors.sequence.state import restore
from processors.sequence.tracker import GapRules
from schemas.notes.gaps import gap_record
from tests.support.tracking import RULES, Reader, Tracker

HOUR_S = 3_600


def test_ids_in_order_leave_nothing_to_say() -> None:
    """Without a hole there is no gap, and a step writes the head alone."""
    tracker = Tracker()
    for sequence in range(5):
        tracker.arrive(sequence, sequence)
    tracker.wait_until(200 * HOUR_S)
    assert tracker.told() == []
    assert tracker.entry_counts == [1, 1, 1, 1, 1, 0]


def test_the_first_id_is_the_baseline() -> None:
    """What was before the first id is no hole, and an older id that comes later changes nothing."""
    tracker = Tracker()
    tracker.arrive(500, 0, event_s=0)
    tracker.arrive(499, 1, event_s=-1)
    tracker.arrive(501, 2, event_s=2)
    tracker.wait_until(200 * HOUR_S)
    assert tracker.told() == []


def test_a_hole_is_open_after_the_grace_time_and_lost_after_the_horizon() -> None:
    """Traffic may stop: time alone reports a hole, and each change has the moment at which it was due."""
    tracker = Tracker()
    tracker.arrive(1, 0)
    tracker.arrive(5, 10)
    tracker.wait_until(99.999_999)
    assert tracker.told() == []
    tracker.wait_until(7_777)
    tracker.wait_until(9_999_999)
    known = {"endpoint": "acme", "first": 2, "last": 4, "epoch": 1, "raw": "raw/0/5"}
    assert [orjson.loads(gap_record(gap).value) for gap in tracker.gaps] == [
        {
            **known,
            "state": "open",
            "suspected_at": "2026-03-01T12:00:10.000000Z",
            "changed_at": "2026-03-01T12:01:40.000000Z",
        },
        {
            **known,
            "state": "lost",
            "suspected_at": "2026-03-01T12:00:10.000000Z",
            "changed_at": "2026-03-06T02:00:10.000000Z",
        },
    ]


def test_a_young_hole_that_fills_is_never_reported() -> None:
    """Deliveries that overtake each other within the grace time are no news."""
    tracker = Tracker()
    for second, sequence in enumerate((1, 4, 3, 2)):
        tracker.arrive(sequence, second)
    tracker.wait_until(200 * HOUR_S)
    assert tracker.told() == []


def test_a_late_delivery_splits_an_open_hole() -> None:
    """`filled` names the id that came; the rest stays open without a new record, and each part is lost in its turn."""
    tracker = Tracker()
    tracker.arrive(1, 0)
    tracker.arrive(10, 1)
    tracker.arrive(5, 200)
    assert tracker.told() == [("open", 2, 9), ("filled", 5, 5)]
    assert Reader().read(tracker.gaps).open == {(1, id_) for id_ in (2, 3, 4, 6, 7, 8, 9)}
    assert tracker.gaps[1].changed_at == "2026-03-01T12:03:20.000000Z"
    tracker.wait_until(200 * HOUR_S)
    assert tracker.told()[2:] == [("lost", 2, 4), ("lost", 6, 9)]


def test_a_hole_fills_whole() -> None:
    """When the last of its ids has come, nothing is open and nothing will be lost."""
    tracker = Tracker()
    tracker.arrive(1, 0)
    tracker.arrive(4, 1)
    tracker.arrive(3, 100)
    tracker.arrive(2, 101)
    tracker.wait_until(200 * HOUR_S)
    assert tracker.told() == [("open", 2, 3), ("filled", 3, 3), ("filled", 2, 2)]


def test_a_delivery_at_the_horizon_is_late() -> None:
    """A moment before the horizon an id still counts as come; at the horizon it is lost, and stays so."""
    tracker = Tracker()
    tracker.arrive(1, 0)
    tracker.arrive(4, 0)
    tracker.arrive(2, 110 * HOUR_S - 1)
    tracker.arrive(3, 110 * HOUR_S)
    tracker.wait_until(110 * HOUR_S)
    assert tracker.told() == [("open", 2, 3), ("filled", 2, 2), ("lost", 3, 3)]


def test_what_was_due_is_said_before_what_came_after_it() -> None:
    """A delivery that ends a silence finds everything said that was due in it, in order of time."""
    tracker = Tracker()
    tracker.arrive(1, 0)
    tracker.arrive(3, 0)
    tracker.arrive(5, 110 * HOUR_S - 30)
    tracker.arrive(4, 120 * HOUR_S)
    tracker.wait_until(120 * HOUR_S)
    assert tracker.told() == [("open", 2, 2), ("lost", 2, 2), ("open", 4, 4), ("filled", 4, 4)]


@pytest.mark.parametrize("size", [1, 10_000_000])
def test_a_hole_costs_the_same_whatever_its_size(size: int) -> None:
    """A hole of ten million ids is one entry, as a hole of one is; so are its report, its split and its loss."""
    tracker = Tracker()
    tracker.arrive(1, 0)
    tracker.arrive(size + 2, 1)
    tracker.wait_until(91)
    tracker.wait_until(200 * HOUR_S)
    assert tracker.told() == [("open", 2, size + 1), ("lost", 2, size + 1)]
    assert tracker.entry_counts == [1, 2, 1, 1]


def test_filling_a_huge_hole_from_its_front_rewrites_one_entry() -> None:
    """Late deliveries in order leave no trail of tombstones."""
    tracker = Tracker()
    tracker.arrive(1, 0)
    tracker.arrive(10_000_000, 1)
    keys = set(tracker.changelog)
    for sequence in range(2, 50):
        tracker.arrive(sequence, 2)
    assert set(tracker.changelog) == keys
    assert tracker.entry_counts[2:] == [2] * 48


def test_more_holes_than_there_is_room_for_give_the_oldest_up() -> None:
    """The oldest hole is lost early, is counted as given up, and the newer ones keep their place."""
    tracker = Tracker(GapRules(grace=timedelta(seconds=90), lost_after=timedelta(hours=110), holes_max=2))
    for second, sequence in enumerate((1, 3, 5, 7)):
        tracker.arrive(sequence, second)
    assert tracker.told() == [("lost", 2, 2)]
    assert tracker.gaps[0].changed_at == "2026-03-01T12:00:03.000000Z"
    assert tracker.given_up_count == 1
    assert tracker.missing() == {4, 6}
    assert tracker.restored() == tracker.state


def test_a_split_for_which_there_is_no_room_gives_up_too() -> None:
    """The bound holds for holes that a late delivery makes of one."""
    tracker = Tracker(GapRules(grace=timedelta(0), lost_after=timedelta(hours=110), holes_max=1))
    tracker.arrive(1, 0)
    tracker.arrive(9, 0)
    tracker.arrive(5, 1)
    assert tracker.told() == [("open", 2, 8), ("filled", 5, 5), ("lost", 2, 4)]
    assert tracker.missing() == {6, 7, 8}
    assert tracker.restored() == tracker.state


def test_receipts_out_of_order_do_not_turn_time_back() -> None:
    """A delivery that was received before another, but read after it, is judged at the later receipt."""
    tracker = Tracker()
    tracker.arrive(1, 0)
    tracker.arrive(3, 0)
    tracker.arrive(4, 100)
    tracker.arrive(2, 50)
    assert tracker.told() == [("open", 2, 2), ("filled", 2, 2)]
    assert tracker.gaps[1].changed_at == "2026-03-01T12:01:40.000000Z"


def test_a_grace_time_longer_than_the_horizon_is_refused() -> None:
    """A hole cannot be lost before it is reported."""
    with pytest.raises(ValueError, match="grace"):
        GapRules(grace=timedelta(hours=2), lost_after=timedelta(hours=1))


def test_endpoints_share_a_changelog_and_nothing_else() -> None:
    """Entries of several endpoints are restored each to its own, whatever their names look like."""
    one, other = Tracker(), Tracker()
    one.arrive(1, 0)
    one.arrive(3, 0)
    other.arrive(7, 1)
    renamed = {key.replace(b"acme", b"acme,1"): value for key, value in other.changelog.items()}
    restored = restore(one.changelog | renamed)
    assert restored["acme"] == one.state
    assert restored["acme,1"].highest == 7
    assert restored["acme,1"].holes == ()


@pytest.mark.parametrize(
    "changelog",
    [
        {b"no json": b"{}"},
        {b'["acme"]': b"{}"},
        {b'["acme"]': b"[]"},
        {b"7": b"{}"},
        {b'["acme",1,3]': b'{"first":3,"last":3,"suspected_at":"then","raw":"","reported":false}'},
        {b'["acme",1,3]': b'{"first":3,"last":3,"suspected_at":"2026-03-01T12:00:00Z","raw":"","reported":false}'},
    ],
)
def test_what_no_step_wrote_is_not_restored(changelog: dict[bytes, bytes]) -> None:
    """A damaged changelog is an error, never a guess."""
    with pytest.raises(ValueError, match="head"):
        restore(changelog)


def test_the_rules_have_bounds_by_default() -> None:
    """Memory is bounded unasked."""
    assert (RULES.holes_max, RULES.drop_min) == (10_000, 1_000)
