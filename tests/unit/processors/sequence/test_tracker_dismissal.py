"""A person's dismissal of missing ids: what the tracker forgets, and what it writes."""

import pytest

from processors.sequence.tracker import dismiss
from schemas.notes.dismissals import Dismissal, dismissal_record, read_dismissal
from schemas.notes.sequence_observations import read_observation
from schemas.times import rfc3339
from tests.support.tracking import Tracker, at


def judged(first: int, last: int, *, epoch: int = 1) -> Dismissal:
    return Dismissal(
        endpoint="acme",
        epoch=epoch,
        first=first,
        last=last,
        suspected_at=rfc3339(at(0)),
        dismissed_at=rfc3339(at(500)),
        by="on-call",
        why="seen in the shop",
        seen_in="raw/0/9",
    )


def with_a_hole() -> Tracker:
    """Ids 1 and 10 came, and 2 to 9 are open."""
    tracker = Tracker()
    tracker.arrive(1, 0, 0)
    tracker.arrive(10, 1, 1)
    tracker.wait_until(200)
    return tracker


@pytest.mark.parametrize(
    ("first", "last", "left"),
    [(2, 9, []), (4, 5, [(2, 3), (6, 9)]), (2, 2, [(3, 9)]), (9, 9, [(2, 8)]), (11, 12, [(2, 9)])],
)
def test_what_is_dismissed_is_in_no_hole(first: int, last: int, left: list[tuple[int, int]]) -> None:
    """The rest of a hole stays open, no `lost` follows for the dismissed ids, and the changelog says the same."""
    tracker = with_a_hole()
    assert tracker.state is not None
    tracker.take(dismiss(tracker.state, judged(first, last)))
    assert [(hole.first, hole.last) for hole in tracker.state.holes] == left
    assert tracker.restored() == tracker.state
    tracker.wait_until(10_000_000)
    assert tracker.told() == [
        ("open", 2, 9),
        ("dismissed", first, last),
        *(("lost", one, another) for one, another in left),
    ]


def test_the_gap_says_by_whom_and_why() -> None:
    """What the person said stands on record, with the time of the judgement."""
    tracker = with_a_hole()
    assert tracker.state is not None
    (gap,) = dismiss(tracker.state, judged(4, 5)).gaps
    assert (gap.by, gap.why, gap.changed_at, gap.suspected_at, gap.raw) == (
        "on-call",
        "seen in the shop",
        rfc3339(at(500)),
        rfc3339(at(0)),
        "raw/0/9",
    )


def test_an_epoch_that_is_over_has_no_holes_any_more() -> None:
    """Ids that were given up with their epoch can be dismissed; the holes of the present one stay."""
    tracker = with_a_hole()
    assert tracker.state is not None
    step = dismiss(tracker.state, judged(4, 5, epoch=7))
    assert step.state is tracker.state
    assert [(gap.state.value, gap.epoch) for gap in step.gaps] == [("dismissed", 7)]


def test_a_dismissal_is_no_observation_and_no_other_record_is_one() -> None:
    """Each record of `sequence` is read as what it is."""
    record = dismissal_record(judged(4, 5))
    assert (record.topic, record.key) == ("sequence", b"acme")
    assert read_observation(record.value) is None
    assert read_dismissal(record.value) == judged(4, 5)
    for value in (None, b"", b"garbage", b'{"note":"dismissal"}', dismissal_record(judged(5, 4)).value):
        assert read_dismissal(value) is None
