"""One observation per verified delivery that carries a sequence id: what the `sequence` group reads.

Small on purpose: a slow gap tracker never delays an order. Writing and reading stand side by side.
"""

from datetime import datetime
from typing import Annotated

import orjson
from pydantic import Field, TypeAdapter

from schemas.event_attributes import EndpointName, RawPlace, Rfc3339
from schemas.fast_frozen import fast_frozen
from schemas.records import Position, Record
from schemas.times import rfc3339
from schemas.trace import TRACEPARENT
from schemas.vocabulary import TimeQuality


@fast_frozen(kw_only=True)
class Observation:
    """A sequence id was seen at an endpoint."""

    endpoint: Annotated[EndpointName, Field(min_length=1)]
    # What JSON's common readers take as a whole number: 64 bits.
    sequence: Annotated[int, Field(description="The provider's sequence id.", ge=0, le=2**64 - 1, examples=[12])]
    time: Annotated[Rfc3339, Field(description="When the delivery's event happened, UTC, microseconds.")]
    timequality: Annotated[TimeQuality, Field(description="How far `time` can be trusted.", examples=["exact"])]
    recordedtime: Annotated[Rfc3339, Field(description="When the delivery was received, UTC, microseconds.")]
    raw: Annotated[RawPlace, Field(description="topic/partition/offset of the raw record.")]
    test: Annotated[
        bool, Field(description="Whether it is a test that a person sent; it moves no sequence.", examples=[False])
    ] = False


_READER = TypeAdapter(Observation)


def observation_record(
    *,
    endpoint: str,
    sequence: int,
    time: datetime,
    time_quality: TimeQuality,
    received_at: datetime,
    raw: Position,
    is_test: bool = False,
    traceparent: str = "",
) -> Record:
    """The observation as a record of `sequence`, keyed by endpoint; `traceparent` is the delivery's, "" for none."""
    observation = Observation(
        endpoint=endpoint,
        sequence=sequence,
        time=rfc3339(time),
        timequality=time_quality,
        recordedtime=rfc3339(received_at),
        raw=str(raw),
        test=is_test,
    )
    headers = ((TRACEPARENT, traceparent.encode()),) if traceparent else ()
    return Record(topic="sequence", key=endpoint.encode(), value=orjson.dumps(observation), headers=headers)


def read_observation(value: bytes | None) -> Observation | None:
    """The observation that a record of `sequence` holds; None for whatever else another producer wrote there.

    Total. Both times of what is returned are real ones, and a span of centuries can be added to `recordedtime`.
    """
    try:
        observation = _READER.validate_json(value or b"", strict=True)
        datetime.fromisoformat(observation.time)
        year = datetime.fromisoformat(observation.recordedtime).year
    except ValueError:  # pydantic's ValidationError is one.
        return None
    return observation if 1970 <= year < 9000 else None
