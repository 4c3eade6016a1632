"""Why a delivery became no event, and the record of `rejected` that says so.

A rejected delivery is kept whole: the raw record, unchanged, with the reason added. It can be redriven any day.
"""

from dataclasses import dataclass
from enum import StrEnum

from schemas.records import RawRecord, Record


class Reason(StrEnum):
    """The closed set of reasons; each is the value of `dropstream-reason`."""

    ENDPOINT_UNKNOWN = "endpoint_unknown"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_INVALID = "signature_invalid"
    SECRET_EXPIRED = "secret_expired"  # noqa: S105 a reason's name, no secret
    TIMESTAMP_OUTSIDE_TOLERANCE = "timestamp_outside_tolerance"
    BODY_NOT_JSON = "body_not_json"
    BODY_UNRECOGNISED = "body_unrecognised"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One reason and one sentence for a person; the sentence holds no secret and nothing of the body."""

    reason: Reason
    detail: str


def rejected_record(raw: RawRecord, why: Rejection) -> Record:
    """The record of `rejected`: the raw record unchanged, then reason, detail and where it came from."""
    return Record(
        topic="rejected",
        key=raw.key or b"",
        value=raw.value or b"",
        headers=(
            *raw.headers,
            ("dropstream-reason", why.reason.encode()),
            ("dropstream-detail", why.detail.encode()),
            ("dropstream-raw", str(raw.position).encode()),
        ),
    )
