"""At which moment a sequence id counts: at its receipt, unless the clock of the receipt runs ahead.

Stream time never goes back. A receipt far ahead, believed once, would call every open hole lost, and then stop time
until the world has caught up; a long silence looks the same at first. So a receipt far ahead waits for a witness: the
provider's own time, a later receipt, or the clock of the caller.
Pure: whichever the witness is, the moment is that of a receipt, and so a replay without a clock finds the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import PlainValidator

from schemas.notes.sequence_observations import Observation
from schemas.vocabulary import TimeQuality

# Of two clocks that are further apart than this, one is wrong. A provider's time so far ahead of its receipt, believed
# once, would be the newest for years, and no restart of the counter would be recognised.
_APART_MAX = timedelta(hours=1)
# After so many receipts in a row without a witness the first is believed: there is no other clock.
WAITING_MAX = 20


# A time in a changelog record, as orjson wrote it.
StoredTime = Annotated[datetime, PlainValidator(datetime.fromisoformat)]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A sequence id as it came in; `time` is the provider's own event time, None where none can be believed."""

    endpoint: str
    sequence: int
    time: StoredTime | None
    recorded_at: StoredTime
    raw: str
    is_test: bool = False

    @property
    def is_attested(self) -> bool:
        """Whether the provider's clock agrees with the receipt, which of a retry is long after its event."""
        return self.time is not None and self.recorded_at - self.time <= _APART_MAX


def arrival_of(observation: Observation) -> Arrival:
    """The observation as the tracker takes it; its times must be real ones, as `read_observation` guarantees."""
    recorded_at = datetime.fromisoformat(observation.recordedtime)
    time = datetime.fromisoformat(observation.time)
    is_exact = observation.timequality is TimeQuality.EXACT and time <= recorded_at + _APART_MAX
    believed = is_exact and not observation.test
    return Arrival(
        endpoint=observation.endpoint,
        sequence=observation.sequence,
        time=time if believed else None,
        recorded_at=recorded_at,
        raw=observation.raw,
        is_test=observation.test,
    )


def first_moment(arrival: Arrival) -> datetime:
    """When the first arrival of an endpoint counts: at its receipt, and at most an hour after its event."""
    return arrival.recorded_at if arrival.time is None else min(arrival.recorded_at, arrival.time + _APART_MAX)


def moment(waiting: Sequence[Arrival], stream_at: datetime, clock: datetime | None) -> datetime | None:
    """When the first of `waiting` (in order of arrival, at least one) counts; None while it has no witness.

    A later receipt that is far below its own proves its own wrong, and is then the moment. `clock` is the caller's, or
    None.
    """
    receipt, later = waiting[0].recorded_at, waiting[1:]
    for one in later:
        if one.recorded_at < receipt - _APART_MAX:
            return one.recorded_at
    has_witness = (
        receipt <= stream_at + _APART_MAX
        or (clock is not None and receipt <= clock)
        or any(one.is_attested for one in waiting)
    )
    return receipt if has_witness or len(later) >= WAITING_MAX else None
