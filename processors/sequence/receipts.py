"""A sequence id came in: at which moment does it count?

At its receipt, unless that is of a clock that runs ahead. Stream time never goes back: believed once, such a receipt
would call every open hole lost, and then stop time until the world has caught up. A silence looks the same at first. So
a receipt far ahead waits for a second witness: the provider's own time, a receipt after it, or the clock of who asks.
Pure: whoever is the witness, the moment is a receipt's, and so a replay without a clock finds the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.notes.sequence_observations import Observation
from schemas.vocabulary import TimeQuality

# Two clocks that are further apart than this: one of them is wrong. A provider's time so far ahead of its receipt,
# believed once, would be the newest for years, and no restart of the counter would be one.
_APART_MAX = timedelta(hours=1)
# So many in a row without a witness are nobody's mistake, or everybody's: there is no other clock then.
WAITING_MAX = 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """A sequence id as it came in; `time` is the provider's own event time, None where none can be believed."""

    endpoint: str
    sequence: int
    time: datetime | None
    recorded_at: datetime
    raw: str

    @property
    def is_attested(self) -> bool:
        """Whether the provider's clock says the same as ours; a retry is told of long after its event."""
        return self.time is not None and self.recorded_at - self.time <= _APART_MAX


def arrival_of(observation: Observation) -> Arrival:
    """The observation as the tracker takes it; its times must be real ones, as `read_observation` sees to."""
    recorded_at = datetime.fromisoformat(observation.recordedtime)
    time = datetime.fromisoformat(observation.time)
    believed = observation.timequality is TimeQuality.EXACT and time <= recorded_at + _APART_MAX
    return Arrival(
        endpoint=observation.endpoint,
        sequence=observation.sequence,
        time=time if believed else None,
        recorded_at=recorded_at,
        raw=observation.raw,
    )


def first_moment(arrival: Arrival) -> datetime:
    """When the very first one counts: nothing was before it, but no clock of ours is right long after its event."""
    return arrival.recorded_at if arrival.time is None else min(arrival.recorded_at, arrival.time + _APART_MAX)


def moment(waiting: Sequence[Arrival], stream_at: datetime, clock: datetime | None) -> datetime | None:
    """When the first of `waiting` (in order of arrival, one at least) counts; None while nobody can tell.

    A receipt far below it that came after it proves it wrong, and is then the moment. `clock` is None where none is to
    be asked.
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
