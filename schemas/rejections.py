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


def rejected_record(raw: RawRecord, why: Rejection, bytes_max: int) -> Record:
    """The record of `rejected`: the raw record unchanged, then reason, detail and where it came from.

    Where that would outgrow `bytes_max` (only what another producer wrote to `raw` can), the record is the reason and
    the place alone: one that cannot be written would be tried for ever.
    """
    ours = (
        ("dropstream-reason", why.reason.encode()),
        ("dropstream-detail", why.detail.encode()),
        ("dropstream-raw", str(raw.position).encode()),
    )
    whole = Record("rejected", raw.key or b"", raw.value or b"", (*raw.headers, *ours))
    return whole if whole.bytes_count <= bytes_max else Record("rejected", b"", b"", ours)
