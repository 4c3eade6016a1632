"""Moments in the forms in which records carry them: RFC 3339 text, milliseconds and microseconds since 1970."""

from datetime import UTC, datetime, timedelta

import orjson

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(moment: datetime) -> str:
    """`moment` (aware) as RFC 3339 in UTC with microseconds and `Z`."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    # Twice as fast as `isoformat`, but a fraction of zeros is left out.
    text = orjson.dumps(utc, option=orjson.OPT_UTC_Z)[1:-2].decode()
    return f"{text}Z" if utc.microsecond else f"{text}.000000Z"


def timestamp_ms(moment: datetime) -> int:
    """`moment` (aware) as milliseconds since 1970, the form of a Kafka record time."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def timestamp_us(moment: datetime) -> int:
    """`moment` (aware) as microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def read_utc(text: bytes) -> datetime | None:
    """The instant that `text` (RFC 3339 with an offset) names, in UTC; None for anything else."""
    try:
        moment = datetime.fromisoformat(text.decode("utf-8", "replace"))
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
