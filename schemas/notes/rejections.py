"""Why a delivery became no event, and the record of `rejected` that says so.

A rejected record is the raw record, unchanged, with the reason added: it can be redriven any day.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from schemas.delivery import read_record
from schemas.fast_frozen import fast_frozen
from schemas.records import Position, RawRecord, Record, read_position
from schemas.times import timestamp_ms

_REFUSED = "Kafka refuses a record that this delivery leads to: "
# The headers that `rejected_record` adds, in its order.
_ADDED = ("dropstream-reason", "dropstream-detail", "dropstream-raw")


class Reason(StrEnum):
    """The closed set of reasons; each is the value of `dropstream-reason`.

    All but the last are of the delivery. `kafka_refused` is of the records that it led to: a broker took none of them,
    and would not have taken them later, because of their size or content.
    """

    ENDPOINT_UNKNOWN = "endpoint_unknown"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_INVALID = "signature_invalid"
    SECRET_EXPIRED = "secret_expired"  # noqa: S105 a reason's name, no secret
    TIMESTAMP_OUTSIDE_TOLERANCE = "timestamp_outside_tolerance"
    BODY_NOT_JSON = "body_not_json"
    BODY_UNRECOGNISED = "body_unrecognised"
    KAFKA_REFUSED = "kafka_refused"


@fast_frozen()
class Rejection:
    """One reason and one sentence for a person; the sentence holds no secret and nothing of the body."""

    reason: Reason
    detail: str


def rejected_record(raw: RawRecord, why: Rejection, bytes_max: int) -> Record:
    """The record of `rejected`: the raw record unchanged, then reason, detail and where it came from.

    A header without a value, which only another producer writes, gets an empty one. Where the record would outgrow
    `bytes_max` it holds the reason and the position alone, for a record that cannot be written would be tried for ever.
    """
    added = (
        ("dropstream-reason", why.reason.encode()),
        ("dropstream-detail", why.detail.encode()),
        ("dropstream-raw", str(raw.position).encode()),
    )
    received = [(name, value or b"") for name, value in raw.headers]
    whole = Record("rejected", raw.key or b"", raw.value or b"", (*received, *added))
    return whole if whole.bytes_count <= bytes_max else Record("rejected", b"", b"", added)


class HasHeaders(Protocol):
    """A record as it was read or written."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Names and values, in order."""


def refused_reason(record: HasHeaders) -> str | None:
    """Kafka's own reason, of a record of `rejected` that is there because Kafka refused what the delivery led to."""
    headers = dict(record.headers)
    if headers.get("dropstream-reason") != Reason.KAFKA_REFUSED.encode():
        return None
    detail = (headers.get("dropstream-detail") or b"").decode("utf-8", "replace")
    return detail.removeprefix(_REFUSED) if detail.startswith(_REFUSED) else None


def refused_record(raw: RawRecord, error: str, bytes_max: int) -> Record:
    """The record of `rejected` for a delivery whose records Kafka refuses; `error` names Kafka's reason in a word."""
    return rejected_record(raw, Rejection(Reason.KAFKA_REFUSED, f"{_REFUSED}{error}"), bytes_max)


def named_position(record: RawRecord) -> Position | None:
    """The position in `raw` that a record of `rejected` or `duplicates` names in its header; None where none is."""
    named = dict(record.headers).get("dropstream-raw") or b""
    return read_position(named.decode("utf-8", "replace"))


def read_rejected(record: RawRecord) -> tuple[RawRecord, str] | None:
    """The raw record that a record of `rejected` holds, as it lay in `raw`, and the reason.

    None for what another producer wrote there, and for a record that holds the reason and the position alone.
    """
    added = dict(record.headers[-len(_ADDED) :])
    position = named_position(record)
    if tuple(added) != _ADDED or position is None or len(record.headers) == len(_ADDED):
        return None
    raw = replace(record, position=position, headers=record.headers[: -len(_ADDED)])
    reason = (added["dropstream-reason"] or b"").decode("utf-8", "replace")
    return replace(raw, timestamp_ms=timestamp_ms(read_record(raw).received_at)), reason
