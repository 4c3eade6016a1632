"""One observation per verified delivery that carries a sequence id: what the `sequence` group reads.

Small on purpose: a slow gap tracker never delays an order.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import orjson
from pydantic import Field

from schemas.delivery import rfc3339
from schemas.events import Rfc3339
from schemas.records import Position, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A sequence id was seen at an endpoint."""

    endpoint: str
    sequence: Annotated[int, Field(description="The provider's sequence id.")]
    time: Annotated[Rfc3339, Field(description="When the delivery's event happened, UTC.")]
    recordedtime: Annotated[Rfc3339, Field(description="When the delivery was received, UTC.")]
    raw: Annotated[str, Field(description="topic/partition/offset of the raw record.")]


def observation_record(*, endpoint: str, sequence: int, time: datetime, received_at: datetime, raw: Position) -> Record:
    """The observation as a record of `sequence`, keyed by endpoint."""
    observation = Observation(
        endpoint=endpoint, sequence=sequence, time=rfc3339(time), recordedtime=rfc3339(received_at), raw=str(raw)
    )
    return Record(topic="sequence", key=endpoint.encode(), value=orjson.dumps(observation))
