"""One small record per delivery that was dropped as a provider's retry: the retry and its first try."""

from datetime import datetime
from typing import Annotated

import orjson
from pydantic import Field, TypeAdapter

from schemas.event_attributes import DeliveryId, EndpointName, RawPlace, Rfc3339
from schemas.fast_frozen import fast_frozen
from schemas.records import Position, Record
from schemas.times import rfc3339


@fast_frozen(kw_only=True)
class Duplicate:
    """A delivery that added nothing."""

    endpoint: EndpointName
    delivery: Annotated[DeliveryId, Field(description="Id of the dropped delivery, a UUIDv7.")]
    recordedtime: Annotated[Rfc3339, Field(description="When it was received, UTC, microseconds.")]
    raw: Annotated[RawPlace, Field(description="topic/partition/offset of the dropped delivery.")]
    first: Annotated[RawPlace, Field(description="topic/partition/offset of the delivery that was processed instead.")]


_READER = TypeAdapter(Duplicate)


def duplicate_record(*, endpoint: str, delivery: str, received_at: datetime, raw: Position, first: Position) -> Record:
    """The record of `duplicates`; `first` lies in the partition of `raw`, unless a migration came between the two."""
    duplicate = Duplicate(
        endpoint=endpoint,
        delivery=delivery,
        recordedtime=rfc3339(received_at),
        raw=str(raw),
        first=str(first),
    )
    # The header says where the delivery lies, as that of a rejected record does.
    return Record("duplicates", endpoint.encode(), orjson.dumps(duplicate), (("dropstream-raw", str(raw).encode()),))


def read_duplicate(value: bytes | None) -> Duplicate | None:
    """The retry that a record of `duplicates` holds; None for whatever else another producer wrote there. Total."""
    try:
        duplicate = _READER.validate_json(value or b"", strict=True)
        datetime.fromisoformat(duplicate.recordedtime)
    except ValueError:  # pydantic's ValidationError is one.
        return None
    return duplicate
