"""`dropstream gaps`: the reader's rule, and how its answer looks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.inspect.gaps import MissingIds, MissingRun, offers
from ops.inspect.gaps_command import show
from schemas.configuration import Context, read_configuration
from schemas.notes.gaps import Gap, GapState, gap_record, read_gap
from tests.support.tracking import RULES, Reader, Tracker

MOMENT = "2026-03-01T12:00:00.000000Z"
LATER = "2026-03-01T13:00:00.000000Z"


def gap(state: GapState, first: int, last: int, *, epoch: int = 1, changed_at: str = MOMENT) -> Gap:
    return Gap(
        endpoint="acme",
        first=first,
        last=last,
        state=state,
        suspected_at=MOMENT,
        changed_at=changed_at,
        epoch=epoch,
        raw="raw/0/1",
    )


def runs(*gaps: Gap) -> list[tuple[int, int, int, str, str]]:
    missing = MissingIds()
    for one in gaps:
        missing.add(one)
    return [(one.epoch, one.first, one.last, one.state.value, one.since) for one in missing.runs()]


def test_a_filled_part_splits_an_open_run() -> None:
    """What is left of a hole stays open since it was reported."""
    assert runs(gap(GapState.OPEN, 2, 9), gap(GapState.FILLED, 5, 5, changed_at=LATER)) == [
        (1, 2, 4, "open", MOMENT),
        (1, 6, 9, "open", MOMENT),
    ]


def test_lost_ids_are_open_no_more_and_stay_listed() -> None:
    """A lost run is listed since it was lost, whether it was ever open or not."""
    told = [gap(GapState.OPEN, 2, 9), gap(GapState.FILLED, 2, 6), gap(GapState.LOST, 7, 9, changed_at=LATER)]
    assert runs(*told, gap(GapState.LOST, 11, 11)) == [(1, 7, 9, "lost", LATER), (1, 11, 11, "lost", MOMENT)]


def test_lost_ids_that_were_reconciled_are_listed_no_more() -> None:
    """Of a lost run the part that a run fetched goes; open ids stay, for nothing of them was fetched."""
    told = [gap(GapState.OPEN, 2, 9), gap(GapState.LOST, 2, 6), gap(GapState.RECONCILED, 3, 8, changed_at=LATER)]
    assert runs(*told) == [(1, 2, 2, "lost", MOMENT), (1, 7, 9, "open", MOMENT)]


def test_what_is_lost_is_offered_to_be_fetched() -> None:
    """One line for each endpoint, from its first lost id to its last; nothing where a person has switched it off."""
    tables = "".join(
        f'[endpoints.{name}]\nprovider = "shipstream"\nsecrets = ["env:S"]\nreconcile = "{word}"\n'
        for name, word in (("acme", "offer"), ("silent", "off"))
    )
    settings = read_configuration(tables, source="here", context=Context({"S": "x"}, ["shipstream"]))
    found = [
        MissingRun(name, 1, first, last, state, MOMENT)
        for name in ("acme", "silent", "gone")
        for first, last, state in ((3, 4, GapState.LOST), (9, 9, GapState.LOST), (20, 30, GapState.OPEN))
    ]
    assert offers(found, settings) == [
        "lost: what acme's provider can still tell is fetched by dropstream reconcile --endpoint acme --gap 3-9"
    ]


def test_a_reset_leaves_nothing_open_of_the_epoch_before() -> None:
    """Ids of a new epoch are others than those of the old one, number for number."""
    told = [gap(GapState.OPEN, 2, 9), gap(GapState.RESET, 1, 1, epoch=2), gap(GapState.OPEN, 2, 3, epoch=2)]
    assert runs(*told) == [(2, 2, 3, "open", MOMENT)]


def test_an_endpoint_that_two_counters_share_has_nothing_open() -> None:
    """What is missing there cannot be known; the endpoint itself is listed until tracking begins anew."""
    told = [gap(GapState.OPEN, 2, 9), gap(GapState.MIXED, 12, 5_000)]
    assert runs(*told) == [(1, 12, 5_000, "mixed", MOMENT)]
    assert runs(*told, gap(GapState.RESET, 5_001, 5_001, epoch=2)) == []


def test_dismissed_ids_are_listed_no_more() -> None:
    """Neither those that were open nor those that were lost; the rest of a run stays."""
    told = [gap(GapState.OPEN, 2, 9), gap(GapState.DISMISSED, 4, 5), gap(GapState.LOST, 6, 9, changed_at=LATER)]
    assert runs(*told) == [(1, 2, 3, "open", MOMENT), (1, 6, 9, "lost", LATER)]
    assert runs(*told, gap(GapState.DISMISSED, 7, 8), gap(GapState.DISMISSED, 2, 3, epoch=2)) == [
        (1, 2, 3, "open", MOMENT),
        (1, 6, 6, "lost", LATER),
        (1, 9, 9, "lost", LATER),
    ]


def test_a_run_of_2_to_the_64_ids_costs_what_one_id_costs() -> None:
    """Runs are kept as runs."""
    assert runs(gap(GapState.OPEN, 1, 2**64 - 2), gap(GapState.FILLED, 2, 2)) == [
        (1, 1, 1, "open", MOMENT),
        (1, 3, 2**64 - 2, "open", MOMENT),
    ]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 300)), min_size=1, max_size=40))
def test_the_listing_is_what_the_rule_says_id_by_id(feed: list[tuple[int, int]]) -> None:
    """Whatever the tracker tells, the runs hold exactly the ids that a reader who counts them one by one has."""
    tracker, now_s = Tracker(RULES), 0
    for sequence, pause_s in feed:
        now_s += pause_s
        tracker.arrive(sequence, now_s, now_s)
    tracker.wait_until(now_s + 100)
    missing, reader = MissingIds(), Reader().read(tracker.gaps)
    for one in tracker.gaps:
        missing.add(one)
    found = [run for run in missing.runs() if run.state is not GapState.MIXED]
    listed = [((run.epoch, id_), run.state) for run in found for id_ in range(run.first, run.last + 1)]
    assert {id_ for id_, state in listed if state is GapState.OPEN} == reader.open
    assert {id_ for id_, state in listed if state is GapState.LOST} == reader.lost
    assert len(listed) == len(reader.open) + len(reader.lost)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"garbage", gap_record(gap(GapState.OPEN, 3, 2)).value])
def test_what_is_no_gap_is_none(value: bytes | None) -> None:
    """A record that somebody else wrote never ends the reader."""
    assert read_gap(value) is None


def test_what_is_written_is_read() -> None:
    """A gap comes back as it was written."""
    one = gap(GapState.FILLED, 2, 3)
    assert read_gap(gap_record(one).value) == one


def test_in_a_pipe_a_gap_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Seven cells separated by tabs, and nothing at all where nothing is missing."""
    show([MissingRun("acme", 1, 2, 9, GapState.OPEN, MOMENT)], [], as_json=False)
    assert capsys.readouterr().out == f"acme\t1\t2\t9\t8\topen\t{MOMENT}\n"
    show([], [], as_json=False)
    assert capsys.readouterr().out == ""


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The same cells by name, the ids and the count as numbers of any size."""
    show([MissingRun("acme", 1, 0, 2**64 - 1, GapState.LOST, MOMENT)], [], as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "endpoint": "acme",
        "epoch": 1,
        "first": 0,
        "last": 18446744073709551615,
        "count": 18446744073709551616,
        "state": "lost",
        "since": MOMENT,
    }
