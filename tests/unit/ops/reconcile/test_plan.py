"""What a person names becomes a window of time that holds what was lost."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ops.reconcile.plan import LostGaps, begin_before, new_run, parse_gap
from schemas.configuration import Context, read_configuration
from schemas.errors import UsageError
from schemas.notes.gaps import Gap, GapState
from schemas.notes.sequence_observations import Observation
from schemas.vocabulary import TimeQuality

SETTINGS = read_configuration("[endpoints]\n", source="here", context=Context({}, ()))
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
GAP = Gap(
    endpoint="acme",
    first=41,
    last=43,
    state=GapState.LOST,
    suspected_at="2026-03-04T12:00:00.000000Z",
    changed_at="2026-03-09T02:00:00.000000Z",
    epoch=1,
    raw="raw/0/7",
)


def seen(sequence: int, time: str, received: str) -> Observation:
    return Observation(
        endpoint="acme",
        sequence=sequence,
        time=f"2026-03-{time}:00.000000Z",
        timequality=TimeQuality.EXACT,
        recordedtime=f"2026-03-{received}:00.000000Z",
        raw="raw/0/1",
    )


@pytest.mark.parametrize(("text", "ids"), [("41-43", (41, 43)), ("41", (41, 41)), ("0-0", (0, 0))])
def test_a_gap_is_two_ids_or_one(text: str, ids: tuple[int, int]) -> None:
    """As `dropstream gaps` shows them."""
    assert parse_gap(text) == ids


@pytest.mark.parametrize("text", ["", "-", "43-41", "41-", "-43", "a-b", "41-43-45", "\u0661-\u0662", "1" * 19])
def test_what_is_no_gap_is_refused(text: str) -> None:
    """With what is allowed."""
    with pytest.raises(UsageError, match="is none of: FIRST-LAST, ID"):
        parse_gap(text)


def test_what_is_missing_was_made_after_the_delivery_before_it() -> None:
    """By the provider's own clock, with ten minutes for clocks that differ; a later id says nothing of it."""
    observations = [
        seen(39, "04T11:00", "04T11:01"),
        seen(40, "04T11:30", "04T11:31"),
        seen(44, "04T11:59", "04T12:00"),
    ]
    assert begin_before(SETTINGS, GAP, observations) == datetime(2026, 3, 4, 11, 20, tzinfo=UTC)


def test_an_id_of_a_counter_that_began_later_is_not_the_one_before() -> None:
    """What came after the gap was seen is no neighbour of it, whatever its id."""
    assert begin_before(SETTINGS, GAP, [seen(40, "08T11:30", "08T11:31"), seen(7, "04T10:00", "04T10:01")]) == datetime(
        2026, 3, 4, 9, 50, tzinfo=UTC
    )


def test_where_nothing_is_known_it_was_made_within_the_time_of_retries() -> None:
    """A delivery that is seen to be missing was made at most as long before as retries take."""
    assert begin_before(SETTINGS, GAP, []) == datetime(2026, 2, 27, 22, tzinfo=UTC)


def test_a_window_has_a_length() -> None:
    """An empty one, and one in the future, are refused; an end that is not past is the present."""
    run = new_run("reconcile-1-a", "acme", begin=NOW.replace(hour=1), end=NOW, gaps=(), now=NOW)
    assert (run.begin, run.end) == ("2026-03-09T01:00:00.000000Z", None)
    for begin, end in ((NOW, None), (NOW.replace(hour=2), NOW.replace(hour=2))):
        with pytest.raises(UsageError, match="nothing lies between"):
            new_run("reconcile-1-a", "acme", begin=begin, end=end, gaps=(), now=NOW)


def test_what_was_reconciled_or_dismissed_is_not_fetched_again() -> None:
    """Of a lost gap the ids that nobody settled are left; those of another epoch or endpoint are others."""
    lost = LostGaps()
    wide = replace(GAP, first=2, last=9)
    told = [wide, replace(wide, first=4, last=5, state=GapState.DISMISSED), replace(wide, first=20, last=21)]
    told += [replace(wide, first=20, last=30, state=GapState.RECONCILED)]
    told += [replace(wide, state=GapState.DISMISSED, epoch=2), replace(wide, state=GapState.DISMISSED, endpoint="b")]
    for one in told:
        lost.add(one)
    assert [(one.first, one.last) for one in lost.all()] == [(2, 3), (6, 9)]
