"""The records of `sequence`, which the gap tracker reads, and of `gaps`, which it writes."""

from datetime import UTC, datetime

import orjson
import pytest

from processors.sequence.receipts import Arrival, arrival_of
from schemas.notes.gaps import Gap, GapState, gap_record
from schemas.notes.sequence_observations import Observation, observation_record, read_observation
from schemas.records import Position
from schemas.vocabulary import TimeQuality


def test_a_gap_is_a_record_of_its_endpoint() -> None:
    """The record of `gaps` is keyed by endpoint and holds the eight fields of the contract."""
    gap = Gap(
        endpoint="acme",
        first=2,
        last=4,
        state=GapState.FILLED,
        suspected_at="2026-03-01T12:00:00.000000Z",
        changed_at="2026-03-01T12:05:00.000000Z",
        epoch=1,
        raw="dropstream.raw/3/17",
    )
    record = gap_record(gap)
    assert (record.topic, record.key) == ("gaps", b"acme")
    assert record.value == (
        b'{"endpoint":"acme","first":2,"last":4,"state":"filled","suspected_at":"2026-03-01T12:00:00.000000Z",'
        b'"changed_at":"2026-03-01T12:05:00.000000Z","epoch":1,"raw":"dropstream.raw/3/17"}'
    )


OBSERVATION = Observation(
    endpoint="acme",
    sequence=42,
    time="2026-03-01T12:00:00.000000Z",
    timequality=TimeQuality.EXACT,
    recordedtime="2026-03-01T12:00:01.250000Z",
    raw="dropstream.raw/3/17",
)


def test_an_observation_is_read_as_it_was_written() -> None:
    """What `deliver` writes for the tracker is what the tracker reads."""
    record = observation_record(
        endpoint="acme",
        sequence=42,
        time=datetime(2026, 3, 1, 12, tzinfo=UTC),
        time_quality=TimeQuality.EXACT,
        received_at=datetime(2026, 3, 1, 12, 0, 1, 250_000, tzinfo=UTC),
        raw=Position("dropstream.raw", 3, 17),
    )
    assert (record.topic, record.key) == ("sequence", b"acme")
    assert read_observation(record.value) == OBSERVATION


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": ""},
        {"sequence": -1},
        {"sequence": 2**64},
        {"sequence": "42"},
        {"sequence": True},
        {"sequence": 1.5},
        {"time": "2026-02-30T12:00:00.000000Z"},
        {"time": "2026-03-01T12:00:00Z"},
        {"timequality": "sure"},
        {"recordedtime": "0001-01-01T00:00:00.000000Z"},
        {"recordedtime": "9999-12-31T23:59:59.000000Z"},
        {"raw": None},
    ],
)
def test_what_is_no_observation_is_not_read(change: dict[str, object]) -> None:
    """One wrong field, and there is no observation."""
    good = orjson.loads(orjson.dumps(OBSERVATION))
    assert read_observation(orjson.dumps(good)) == OBSERVATION
    try:
        value = orjson.dumps(good | change)
    except TypeError:
        value = orjson.dumps(good).replace(b"42", str(change["sequence"]).encode())
    assert read_observation(value) is None


@pytest.mark.parametrize("value", [None, b"", b"[]", b"7", b"{", b"\xff", b'{"endpoint": "acme"}'])
def test_a_stranger_s_record_is_no_observation(value: bytes | None) -> None:
    """Any bytes at all are read without an error."""
    assert read_observation(value) is None


@pytest.mark.parametrize(
    ("quality", "time", "believed"),
    [
        (TimeQuality.EXACT, "2026-03-01T12:00:00.000000Z", True),
        (TimeQuality.EXACT, "2026-03-01T13:00:01.250000Z", True),
        (TimeQuality.EXACT, "2026-03-01T13:00:01.250001Z", False),
        (TimeQuality.RECEIVED, "2026-03-01T12:00:00.000000Z", False),
        (TimeQuality.AMBIGUOUS, "2026-03-01T12:00:00.000000Z", False),
        (TimeQuality.SHIFTED, "2026-03-01T12:00:00.000000Z", False),
    ],
)
def test_only_the_provider_s_own_plausible_time_counts(quality: TimeQuality, time: str, believed: bool) -> None:
    """A time that is ours, unsure, or over an hour ahead of its receipt is no evidence of a restart."""
    observation = Observation(
        endpoint="acme",
        sequence=42,
        time=time,
        timequality=quality,
        recordedtime="2026-03-01T12:00:01.250000Z",
        raw="dropstream.raw/3/17",
    )
    assert arrival_of(observation) == Arrival(
        endpoint="acme",
        sequence=42,
        time=datetime.fromisoformat(time) if believed else None,
        recorded_at=datetime(2026, 3, 1, 12, 0, 1, 250_000, tzinfo=UTC),
        raw="dropstream.raw/3/17",
    )
