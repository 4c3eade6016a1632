"""Times as a person writes them on the command line."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ops.times import fixed, parse_time

# Spain sets its clocks forward on 29 March 2026 at 02:00, so 28 March began 47 hours before 30 March 00:00.
NOW = datetime(2026, 3, 30, 10, 30, tzinfo=UTC)


@pytest.fixture
def madrid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's zone is Spain's."""
    monkeypatch.setenv("TZ", "Europe/Madrid")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("madrid")
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2h", "2026-03-30T08:30:00.000000Z"),
        ("90m", "2026-03-30T09:00:00.000000Z"),
        ("45s", "2026-03-30T10:29:15.000000Z"),
        ("3d", "2026-03-27T10:30:00.000000Z"),
        ("1w", "2026-03-23T10:30:00.000000Z"),
        ("today", "2026-03-29T22:00:00.000000Z"),
        ("yesterday", "2026-03-28T23:00:00.000000Z"),
    ],
)
def test_a_relative_time_is_before_now(text: str, meant: str) -> None:
    """So long ago, or the beginning of a day where this machine stands, over a change of the clocks too."""
    assert fixed(text, NOW) == meant


@pytest.mark.usefixtures("madrid")
def test_a_time_without_a_zone_is_this_machine_s() -> None:
    """A time with a zone is what it says; without one it is local."""
    assert parse_time("2026-03-28T12:00:00") == datetime(2026, 3, 28, 11, tzinfo=UTC)
    assert parse_time("2026-03-28T12:00:00Z") == datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert parse_time("2026-03-28") == datetime(2026, 3, 27, 23, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2 hours", "999999w", "٢h", "tomorrow"])
def test_anything_else_is_refused(text: str) -> None:
    """What is no time is told with what is allowed, however far it would reach."""
    with pytest.raises(ValueError, match="is not a time such as 2026-05-21T14:00:00Z, 2h, yesterday"):
        parse_time(text)


@pytest.mark.parametrize("text", [None, "beginning", "3:120", "2026-05-21T14:00:00Z"])
def test_what_is_not_relative_is_kept_as_it_was_written(text: str | None) -> None:
    """Only a relative time becomes an instant."""
    assert fixed(text, NOW) == text
