"""Reads a time as a person writes it on the command line: an instant, or one relative to now."""

import re
from datetime import UTC, datetime, timedelta

from schemas.times import rfc3339

# What `parse_time` takes, for the sentence that refuses anything else.
EXAMPLES = "a time such as 2026-05-21T14:00:00Z, 2h, yesterday"

_AGO = re.compile(r"(\d{1,6}) ?([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DAYS_AGO = {"today": 0, "yesterday": 1}


def parse_time(text: str, now: datetime | None = None) -> datetime:
    """The instant (UTC) that `text` names.

    That is a time by RFC 3339, in this machine's zone where it has none; `2h` and the like, so long before `now` (s, m,
    h, d, w); or `today` and `yesterday`, the beginning of that day in this machine's zone.

    Raises:
        ValueError: with what is allowed.
    """
    moment = now or datetime.now(UTC)
    try:
        if ago := _AGO.fullmatch(text):
            return (moment - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])).astimezone(UTC)
        if text in _DAYS_AGO:
            # A day is not always 24 hours long, so the date is counted back, not the hours.
            day = moment.astimezone().date() - timedelta(days=_DAYS_AGO[text])
            return datetime(day.year, day.month, day.day).astimezone(UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is not {EXAMPLES}") from error


def is_relative(text: str) -> bool:
    """Whether `text` names another instant tomorrow."""
    return text in _DAYS_AGO or _AGO.fullmatch(text) is not None


def fixed(text: str | None, now: datetime | None = None) -> str | None:
    """`text` with a relative time replaced by its instant, for what is kept or done again later."""
    return rfc3339(parse_time(text, now)) if text is not None and is_relative(text) else text
