"""`processors.deliver.times`: a provider's words for a moment become an instant, and how sure it is."""

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.deliver.times import Occurred, occurred_at, occurred_at_wall_time, read_instant
from schemas.vocabulary import TimeQuality

MADRID = ZoneInfo("Europe/Madrid")
RECEIVED = datetime(2025, 12, 1, 10, 0, tzinfo=UTC)
NO_TIMES: list[object] = [
    None,
    5,
    20250529141458,
    True,
    [],
    {},
    "",
    "yesterday",
    "2025-13-45 99:99:99",
    "2025-02-29T10:00:00Z",
    "2025-05-29",
    "2025-W22-4",
    "20250529T141458Z",
    "2025-05-29X14:14:58Z",
    "2025-05-29T24:00:00Z",
    "2025-05-29T23:59:60Z",
]

json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)
wall_times = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2080, 1, 1)).map(  # noqa: DTZ001 wall time
    lambda moment: moment.replace(microsecond=0)
)
instants = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2080, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 bounds are naive
offsets = st.integers(min_value=-23 * 60, max_value=23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def madrid(text: object, received_at: datetime = RECEIVED) -> Occurred:
    return occurred_at_wall_time(text, zone=MADRID, received_at=received_at)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2021-07-06T18:10:30.103721Z", datetime(2021, 7, 6, 18, 10, 30, 103721, UTC)),
        ("2021-12-07T16:08:15+00:00", datetime(2021, 12, 7, 16, 8, 15, 0, UTC)),
        ("2021-12-07T12:08:15-04:00", datetime(2021, 12, 7, 16, 8, 15, 0, UTC)),
        ("2021-12-07 16:08:15Z", datetime(2021, 12, 7, 16, 8, 15, 0, UTC)),
        ("2021-12-07t16:08:15z", datetime(2021, 12, 7, 16, 8, 15, 0, UTC)),
        (" 2026-05-21T14:32:11.000Z ", datetime(2026, 5, 21, 14, 32, 11, 0, UTC)),
        ("2026-05-21T14:32:11.123456789Z", datetime(2026, 5, 21, 14, 32, 11, 123456, UTC)),
    ],
)
def test_text_with_an_offset_is_an_exact_instant(text: str, instant: datetime) -> None:
    """RFC 3339 text names one instant, whatever its offset and however many digits its second has."""
    assert occurred_at(text, received_at=RECEIVED) == Occurred(instant, TimeQuality.EXACT)


@pytest.mark.parametrize("text", [*NO_TIMES, "2025-05-29 14:14:58", "0001-01-01T00:00:00+10:00"])
def test_what_names_no_instant_happened_when_it_was_received(text: object) -> None:
    """No text, no time, no offset or no such year: the time of receipt stands in, and says so."""
    assert occurred_at(text, received_at=RECEIVED) == Occurred(RECEIVED, TimeQuality.RECEIVED)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_wall_time_happened_when_it_was_received(text: object) -> None:
    """What the clocks of no place show is no time."""
    assert madrid(text) == Occurred(RECEIVED, TimeQuality.RECEIVED)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-05-29T14:14:58Z", datetime(2025, 5, 29, 14, 14, 58, 0, UTC)),
        ("2025-05-29T14:14:58+02:00", datetime(2025, 5, 29, 12, 14, 58, 0, UTC)),
        ("2025-05-29 14:14:58+0200", datetime(2025, 5, 29, 12, 14, 58, 0, UTC)),
        # In the hour that comes twice an offset says which one it is.
        ("2025-10-26 02:30:00+01:00", datetime(2025, 10, 26, 1, 30, 0, 0, UTC)),
    ],
)
def test_a_wall_time_with_an_offset_is_an_exact_instant(text: str, instant: datetime) -> None:
    """Where the provider says which zone it means, its word counts."""
    assert madrid(text) == Occurred(instant, TimeQuality.EXACT)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-05-29 14:14:58", datetime(2025, 5, 29, 12, 14, 58, 0, UTC)),
        ("2025-02-13 14:23:56", datetime(2025, 2, 13, 13, 23, 56, 0, UTC)),
        ("2025-03-30 01:59:59", datetime(2025, 3, 30, 0, 59, 59, 0, UTC)),
        ("2025-03-30 03:00:00", datetime(2025, 3, 30, 1, 0, 0, 0, UTC)),
        ("2025-10-26 01:59:59", datetime(2025, 10, 25, 23, 59, 59, 0, UTC)),
        ("2025-10-26 03:00:00", datetime(2025, 10, 26, 2, 0, 0, 0, UTC)),
        ("2027-07-01 12:00:00", datetime(2027, 7, 1, 10, 0, 0, 0, UTC)),
    ],
)
def test_a_wall_time_follows_the_zone_in_summer_and_winter(text: str, instant: datetime) -> None:
    """Madrid is one hour ahead in winter and two in summer, up to the second of the change."""
    assert madrid(text) == Occurred(instant, TimeQuality.EXACT)


@pytest.mark.parametrize(
    ("received_at", "instant"),
    [
        (datetime(2025, 10, 26, 0, 30, 1, tzinfo=UTC), datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        (datetime(2025, 10, 26, 1, 24, 59, tzinfo=UTC), datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        (datetime(2025, 10, 26, 1, 25, 0, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
        (datetime(2025, 10, 26, 1, 30, 1, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
        (datetime(2025, 10, 27, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
    ],
)
def test_the_autumn_hour_that_comes_twice_is_resolved_by_the_receipt(received_at: datetime, instant: datetime) -> None:
    """The later instant that is not more than five minutes after receipt, else the earlier one."""
    assert madrid("2025-10-26 02:30:00", received_at) == Occurred(instant, TimeQuality.AMBIGUOUS)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-03-30 02:00:00", datetime(2025, 3, 30, 1, 0, 0, 0, UTC)),
        ("2025-03-30 02:30:00", datetime(2025, 3, 30, 1, 30, 0, 0, UTC)),
        ("2026-03-29 02:59:59", datetime(2026, 3, 29, 1, 59, 59, 0, UTC)),
    ],
)
def test_the_spring_hour_that_does_not_exist_moves_forward(text: str, instant: datetime) -> None:
    """02:30 on the day of the change is read as 03:30, one hour forward."""
    assert madrid(text) == Occurred(instant, TimeQuality.SHIFTED)


def test_the_zone_comes_with_the_dependency() -> None:
    """Europe/Madrid is there on a machine whose system has no zone database."""
    try:
        zoneinfo.reset_tzpath(to=())
        zone = ZoneInfo.no_cache("Europe/Madrid")
    finally:
        zoneinfo.reset_tzpath()
    assert datetime(2025, 7, 1, tzinfo=zone).utcoffset() == timedelta(hours=2)


@given(instants, offsets)
def test_an_instant_survives_any_offset(instant: datetime, offset: timezone) -> None:
    """Text written in any zone reads back as the same instant, in UTC."""
    read = read_instant(instant.astimezone(offset).isoformat())
    assert read == instant
    assert read is not None
    assert read.tzinfo is UTC


@given(wall_times, instants)
def test_a_wall_time_shows_on_the_clocks_of_its_zone(moment: datetime, received_at: datetime) -> None:
    """The instant's clock in Madrid shows the text again; one hour more where that hour does not exist."""
    occurred = madrid(moment.isoformat(" "), received_at)
    shift = timedelta(hours=1) if occurred.quality is TimeQuality.SHIFTED else timedelta()
    assert occurred.at.astimezone(MADRID).replace(tzinfo=None) == moment + shift
    assert occurred.quality is not TimeQuality.RECEIVED


@given(json_values | st.text(alphabet="0123456789-:T+Z. ", max_size=30), instants)
def test_anything_gives_an_aware_time_in_utc(value: object, received_at: datetime) -> None:
    """No value of a stranger is an error, and every time is in UTC."""
    for occurred in (occurred_at(value, received_at=received_at), madrid(value, received_at)):
        assert occurred.at.utcoffset() == timedelta()
