"""Turns what a person names (a gap, times, the last outage) into a run: which window of time is asked for, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ops.kafka.reader import read_topic
from schemas.errors import UsageError
from schemas.notes.gaps import Gap, GapState, read_gap
from schemas.notes.reconciliations import ReconcileRun
from schemas.notes.sequence_observations import Observation, read_observation
from schemas.settings import Settings
from schemas.times import rfc3339

# Clocks differ, and an API may show a change a little later than its webhook says: windows overlap what is known.
_OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class WantedGaps:
    """The gaps to reconcile and the window of time in which their deliveries were made."""

    gaps: tuple[Gap, ...]
    begin: datetime


def parse_gap(text: str) -> tuple[int, int]:
    """First and last id of `FIRST-LAST`, or of one id.

    Raises:
        UsageError: it is neither.
    """
    first, dash, last = text.partition("-")
    texts = (first, last if dash else first)
    if not all(one.isascii() and one.isdecimal() and len(one) < 19 for one in texts) or int(texts[0]) > int(texts[1]):
        raise UsageError(f"--gap {text!r} is none of: FIRST-LAST, ID; dropstream gaps shows the ids")
    return int(texts[0]), int(texts[1])


async def find_gaps(settings: Settings, endpoint: str, first: int, last: int) -> WantedGaps:
    """The lost gaps of the endpoint that have an id from `first` to `last`, and since when to ask.

    Raises:
        UsageError: none of these ids is lost; names those that are.
        DropstreamError: the topics cannot be read.
    """
    lost = await lost_gaps(settings, endpoint)
    chosen = tuple(one for one in lost if one.first <= last and one.last >= first)
    if not chosen:
        shown = ", ".join(f"{one.first}-{one.last}" for one in lost[-5:]) or "none"
        raise UsageError(f"no id from {first} to {last} of {endpoint} is lost and not reconciled; lost are: {shown}")
    return WantedGaps(chosen, await begin_of(settings, endpoint, chosen))


@dataclass(slots=True)
class LostGaps:
    """The gaps that are lost and neither reconciled nor dismissed, by the records of `gaps`, added in their order."""

    _lost: list[Gap] = field(default_factory=list)

    def add(self, gap: Gap) -> None:
        """Adds the next record."""
        if gap.state is GapState.LOST:
            self._lost.append(gap)
        elif gap.state in {GapState.RECONCILED, GapState.DISMISSED}:
            self.remove((gap,))

    def remove(self, settled: Sequence[Gap]) -> None:
        """Takes away the ids that these gaps name; what is left of a gap stays lost."""
        for gap in settled:
            self._lost = [part for one in self._lost for part in _without(one, gap)]

    def all(self) -> list[Gap]:
        """All of them, in the order in which they were lost."""
        return list(self._lost)


async def lost_gaps(settings: Settings, endpoint: str) -> list[Gap]:
    """The gaps of the endpoint that are lost and not reconciled, in the order in which they were lost."""
    lost = LostGaps()
    for record in await read_topic(settings, "gaps"):
        gap = read_gap(record.value)
        if gap is not None and gap.endpoint == endpoint:
            lost.add(gap)
    return lost.all()


def _without(lost: Gap, settled: Gap) -> list[Gap]:
    same = (settled.endpoint, settled.epoch) == (lost.endpoint, lost.epoch)
    if not same or settled.last < lost.first or lost.last < settled.first:
        return [lost]
    parts = (replace(lost, last=settled.first - 1), replace(lost, first=settled.last + 1))
    return [part for part in parts if part.first <= part.last]


async def begin_of(settings: Settings, endpoint: str, gaps: Sequence[Gap]) -> datetime:
    """The time since when to ask: before the deliveries of these gaps were made.

    They were made behind the delivery with the id before, by the provider's own clock. Where that one is not known any
    more, they were made at most as long before the gap was seen as it takes until a gap is lost.
    """
    observations = [
        one
        for record in await read_topic(settings, "sequence")
        if (one := read_observation(record.value)) is not None and one.endpoint == endpoint
    ]
    return min(begin_before(settings, gap, observations) for gap in gaps)


def begin_before(settings: Settings, gap: Gap, observations: Sequence[Observation]) -> datetime:
    """A time before the deliveries of the gap were made, by the observations of its endpoint."""
    seen_at = datetime.fromisoformat(gap.suspected_at)
    before = [one for one in observations if one.sequence < gap.first and one.recordedtime <= gap.suspected_at]
    if not before:
        return seen_at - timedelta(hours=settings.sequence.lost_after_hours)
    nearest = max(before, key=lambda one: (one.sequence, one.time))
    return min(datetime.fromisoformat(nearest.time), seen_at) - _OVERLAP


def new_run(
    run_id: str, endpoint: str, *, begin: datetime, end: datetime | None, gaps: Sequence[Gap], now: datetime
) -> ReconcileRun:
    """A run that has not begun.

    Raises:
        UsageError: the window is empty, or in the future.
    """
    if begin >= (end or now):
        raise UsageError(f"nothing lies between {rfc3339(begin)} and {rfc3339(end or now)}")
    return ReconcileRun(
        id=run_id,
        endpoint=endpoint,
        begin=rfc3339(begin),
        end=None if end is None or end >= now else rfc3339(end),
        gaps=tuple(gaps),
        changed_at=rfc3339(now),
    )
