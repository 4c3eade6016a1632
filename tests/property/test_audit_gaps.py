"""The audit's judge of `gaps`: whatever the clock did, what the tracker said is right, and nothing else is."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ops.audit.judging.gaps import GapsOfEndpoint
from ops.audit.verdict import FindingKind
from processors.sequence.receipts import arrival_of
from processors.sequence.state import SequenceState
from processors.sequence.tracker import GapRules, advance, dismiss, observe
from schemas.notes.dismissals import Dismissal
from schemas.notes.gaps import Gap, GapState, gap_record
from schemas.notes.sequence_observations import Observation
from schemas.records import Position, RawRecord
from schemas.times import rfc3339
from schemas.vocabulary import TimeQuality

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = GapRules(grace=timedelta(seconds=90), lost_after=timedelta(hours=1), drop_min=20)
LATER = START + timedelta(days=30)


@dataclass
class History:
    """What the tracker was told, and what it wrote, where time passed as `ticks` say."""

    observations: list[Observation] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    state: SequenceState | None = None


# Of each delivery: its id, seconds since the one before, whether its event time is known, seconds until the next tick.
steps = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 2_000), st.booleans(), st.none() | st.integers(0, 5_000)),
    min_size=1,
    max_size=25,
)


def history_of(told: list[tuple[int, int, bool, int | None]]) -> History:
    history, state, now = History(), None, START
    for index, (number, seconds, has_time, tick_s) in enumerate(told):
        received = now = now + timedelta(seconds=seconds)
        observation = Observation(
            endpoint="acme",
            sequence=number,
            time=rfc3339(received),
            timequality=TimeQuality.EXACT if has_time else TimeQuality.RECEIVED,
            recordedtime=rfc3339(received),
            raw=f"raw/0/{index}",
        )
        history.observations.append(observation)
        step = observe(state, arrival_of(observation), RULES)
        history.gaps += step.gaps
        state = step.state
        if tick_s is not None:
            state = _tick(history, state, received + timedelta(seconds=tick_s))
    history.state = state
    return history


def _tick(history: History, state: SequenceState, now: datetime) -> SequenceState:
    step = advance(state, now, RULES)
    history.gaps += step.gaps
    return step.state


def judged(observations: list[Observation], gaps: list[Gap], *, is_caught_up: bool = False) -> GapsOfEndpoint:
    judge = GapsOfEndpoint(RULES)
    for offset, gap in enumerate(gaps):
        place = Position("gaps", 0, offset)
        judge.note(RawRecord(place, b"acme", gap_record(gap).value, (), 0), gap)
    for observation in observations:
        judge.observe(observation)
    judge.finish(LATER, is_caught_up=is_caught_up)
    return judge


@given(steps)
def test_what_the_tracker_said_is_right_whenever_it_was_asked(told: list[tuple[int, int, bool, int | None]]) -> None:
    """However ticks and deliveries came in turns, the records that the tracker wrote are all explained."""
    history = history_of(told)
    assert judged(history.observations, history.gaps).findings == []


@given(steps, st.integers(1, 60), st.integers(0, 9), st.data())
def test_a_person_s_dismissal_explains_its_record(
    told: list[tuple[int, int, bool, int | None]], first: int, more: int, data: st.DataObject
) -> None:
    """Whenever a person judged, the record is explained by the dismissal, and by nothing where that is missing."""
    cut = data.draw(st.integers(1, len(told)))
    before = history_of(told[:cut])
    state = before.state
    assert state is not None
    dismissal = Dismissal(
        endpoint="acme",
        epoch=1,
        first=first,
        last=first + more,
        suspected_at=rfc3339(START),
        dismissed_at=rfc3339(START + timedelta(days=1)),
        by="on-call",
        why="seen in the shop",
        seen_in="raw/0/1",
    )
    step = dismiss(state, dismissal)
    late = advance(step.state, LATER, RULES)
    gaps = [*before.gaps, *step.gaps, *late.gaps]
    for is_there in (True, False):
        judge = GapsOfEndpoint(RULES)
        for offset, gap in enumerate(gaps):
            judge.note(RawRecord(Position("gaps", 0, offset), b"acme", gap_record(gap).value, (), 0), gap)
        for observation in before.observations:
            judge.observe(observation)
        if is_there:
            judge.dismiss(dismissal, "sequence/0/99")
        judge.finish(LATER, is_caught_up=True)
        assert bool(judge.findings) is not is_there, judge.findings


@given(steps, st.data())
def test_a_record_from_nowhere_is_named(told: list[tuple[int, int, bool, int | None]], data: st.DataObject) -> None:
    """A gap that no observation leads to is named by its own place."""
    history = history_of(told)
    index = data.draw(st.integers(0, len(history.gaps)))
    forged = Gap(
        endpoint="acme",
        first=900,
        last=901,
        state=data.draw(st.sampled_from(list(GapState))),
        suspected_at=rfc3339(START),
        changed_at=rfc3339(START + timedelta(seconds=90)),
        epoch=1,
        raw="raw/0/99",
    )
    gaps = [*history.gaps[:index], forged, *history.gaps[index:]]
    findings = judged(history.observations, gaps).findings
    assert findings, (index, gaps)
    assert any(one.record == f"gaps/0/{index}" or one.raw == forged.raw for one in findings)


@given(steps, st.data())
def test_an_altered_record_is_named(told: list[tuple[int, int, bool, int | None]], data: st.DataObject) -> None:
    """A gap whose time or place was changed is found, whatever is around it."""
    history = history_of(told)
    if not history.gaps:
        return
    index = data.draw(st.integers(0, len(history.gaps) - 1))
    gaps = list(history.gaps)
    gaps[index] = replace(gaps[index], raw="raw/7/7")
    assert judged(history.observations, gaps, is_caught_up=True).findings


@given(steps, st.data())
def test_a_missing_record_is_named(told: list[tuple[int, int, bool, int | None]], data: st.DataObject) -> None:
    """A gap that was reported and is not there is missed, once the tracker has read everything."""
    history = history_of(told)
    if not history.gaps:
        return
    index = data.draw(st.integers(0, len(history.gaps) - 1))
    gaps = history.gaps[:index] + history.gaps[index + 1 :]
    if judged(history.observations, gaps).findings:
        return
    # Nothing that came after tells of it: then it is due still, or it and its end are both of the clock alone.
    late = judged(history.observations, gaps, is_caught_up=True).findings
    assert late or history.gaps[index].state is not GapState.LOST
    assert all(one.kind is FindingKind.LOST for one in late)


def test_what_was_lost_may_be_reconciled_and_nothing_else() -> None:
    """A record of a reconciliation is right where each of its ids was lost, in one gap or several; else it is named."""
    history = history_of([(1, 0, False, None), (5, 1, False, None), (6, 2, False, 500_000)])
    lost = [one for one in history.gaps if one.state is GapState.LOST]
    assert [(one.first, one.last) for one in lost] == [(2, 4)]
    right = replace(lost[0], state=GapState.RECONCILED, run="reconcile-20260301T120000Z-3fa9c1", orders=1, skus=0)
    assert judged(history.observations, [*history.gaps, right]).findings == []
    for wrong in (replace(right, last=5), replace(right, epoch=2), replace(right, first=7, last=7)):
        (finding,) = judged(history.observations, [*history.gaps, wrong]).findings
        assert (finding.kind, finding.record) == (FindingKind.UNEXPLAINED, f"gaps/0/{len(history.gaps)}")
