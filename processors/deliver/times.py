"""A provider's time becomes an instant in UTC, with a word on how far it can be trusted.

Zone rules come from the IANA database, never from a fixed offset.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from schemas.fast_frozen import fast_frozen
from schemas.vocabulary import TimeQuality

# A provider's clock may run ahead by this much when the autumn hour that comes twice is resolved.
_SKEW = timedelta(minutes=5)
# Python reads more: a date alone (as its midnight), week dates, any separator, and from 3.14 on the hour 24.
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """How far a provider's time may be from the receipt and still be believed."""

    ahead: timedelta = timedelta(hours=24)
    behind: timedelta = timedelta(days=1_825)

    def believe(self, instant: datetime, received_at: datetime) -> bool:
        """Whether `instant` is near enough to the receipt."""
        return -self.behind <= instant - received_at <= self.ahead


@fast_frozen()
class Occurred:
    """When something happened, aware UTC, and how sure that is."""

    at: datetime
    quality: TimeQuality


def occurred_at(text: object, *, received_at: datetime) -> Occurred:
    """The instant that `text` (RFC 3339 with an offset) names, else the time of receipt."""
    instant = read_instant(text)
    return Occurred(instant, TimeQuality.EXACT) if instant else Occurred(received_at, TimeQuality.RECEIVED)


def first_occurred(texts: Iterable[object], *, received_at: datetime, bounds: TimeBounds) -> Occurred:
    """The first believable instant that one of `texts` names, else the time of receipt."""
    for text in texts:
        if (instant := read_instant(text)) and bounds.believe(instant, received_at):
            return Occurred(instant, TimeQuality.EXACT)
    return Occurred(received_at, TimeQuality.RECEIVED)


def believable(occurred: Occurred, *, received_at: datetime, bounds: TimeBounds) -> Occurred:
    """`occurred`, or the time of receipt where no clock can have shown it: the year 1, 1970, the next century."""
    if bounds.believe(occurred.at, received_at):
        return occurred
    return Occurred(received_at, TimeQuality.RECEIVED)


def read_instant(text: object) -> datetime | None:
    """The instant that `text` names, aware UTC; None when it is no text, no time, or has no offset."""
    moment = _read(text)
    if moment is None or moment.tzinfo is None:
        return None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None


def occurred_at_wall_time(text: object, *, zone: ZoneInfo, received_at: datetime) -> Occurred:
    """The instant at which the clocks of `zone` showed `text`, else the time of receipt; an offset in it counts.

    In the autumn hour that comes twice: the later instant that is not after receipt, else the earlier one. In the
    spring hour that does not exist: one hour forward.
    """
    moment = _read(text)
    if moment is None:
        return Occurred(received_at, TimeQuality.RECEIVED)
    if moment.tzinfo is not None:
        return occurred_at(text, received_at=received_at)
    try:
        first = moment.replace(tzinfo=zone, fold=0).astimezone(UTC)
        second = moment.replace(tzinfo=zone, fold=1).astimezone(UTC)
    except OverflowError:
        return Occurred(received_at, TimeQuality.RECEIVED)
    if first == second:
        return Occurred(first, TimeQuality.EXACT)
    if first > second:  # PEP 495: in a gap, fold=0 counts with the offset of before, which moves it forward.
        return Occurred(first, TimeQuality.SHIFTED)
    return Occurred(second if second - _SKEW <= received_at else first, TimeQuality.AMBIGUOUS)


def _read(text: object) -> datetime | None:
    if not isinstance(text, str) or not _DATE_AND_TIME.match(trimmed := text.strip()):
        return None
    try:
        return datetime.fromisoformat(trimmed.upper())  # RFC 3339 allows `t` and `z`.
    except ValueError:
        return None
