"""A person's judgement that ids of a sequence need not be looked for any more: what `dropstream gaps dismiss` writes.

It is a record of topic `sequence`, beside the observations: so group `sequence` reads it in their order, takes the ids
out of its holes, and writes a record `dismissed` to `gaps` in the same transaction. The audit reads it the same way.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import orjson
from pydantic import Field, TypeAdapter

from schemas.event_attributes import EndpointName, Rfc3339
from schemas.records import Record

TEXT_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissal:
    """Ids `first` to `last` of one epoch of an endpoint are dismissed; by whom, and why.

    `suspected_at` and `seen_in` are those of the gap that the person judged.
    """

    endpoint: Annotated[EndpointName, Field(min_length=1)]
    epoch: Annotated[int, Field(ge=1)]
    first: Annotated[int, Field(ge=0, le=2**64 - 1)]
    last: Annotated[int, Field(ge=0, le=2**64 - 1)]
    suspected_at: Rfc3339
    dismissed_at: Rfc3339
    by: Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
    why: Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
    # Not `raw`: a record of `sequence` with that name tells of a delivery.
    seen_in: str
    note: Literal["dismissal"] = "dismissal"


_READER = TypeAdapter(Dismissal)


def dismissal_record(dismissal: Dismissal) -> Record:
    """The dismissal as a record of `sequence`, keyed by endpoint as its observations are."""
    return Record(topic="sequence", key=dismissal.endpoint.encode(), value=orjson.dumps(dismissal))


def read_dismissal(value: bytes | None) -> Dismissal | None:
    """The dismissal that a record of `sequence` holds; None for an observation, or whatever else lies there. Total."""
    if b'"dismissal"' not in (value or b""):
        return None
    try:
        dismissal = _READER.validate_json(value or b"", strict=True)
        datetime.fromisoformat(dismissal.suspected_at)
        datetime.fromisoformat(dismissal.dismissed_at)
    except ValueError:  # pydantic's ValidationError is one.
        return None
    return dismissal if dismissal.first <= dismissal.last else None
