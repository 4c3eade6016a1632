"""Which sequence ids are missing by the records of `gaps`, endpoint by endpoint; and what is not judged yet.

`MissingIds` is pure and follows the rule in `schemas.notes.gaps`; the functions that read the topics are below it.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from ops.kafka.offsets import GROUP_SOURCES, PartitionOffsets, read_group_offsets
from ops.kafka.reader import AtOffsets, full_name, open_reader, read_topic
from processors.runtime.changelog import is_of_store
from processors.sequence.state import Hole, SequenceState, restore
from schemas.errors import DropstreamError
from schemas.kafka.log_bounds import NotKnown
from schemas.notes.gaps import Gap, GapState, read_gap
from schemas.settings import Settings

# A group at work has read by then what lay there at the first look.
_LOOKS = 4
_LOOK_EVERY_S = 0.7


@dataclass(frozen=True, slots=True)
class MissingRun:
    """Missing ids `first` to `last`; `since` (RFC 3339, UTC) is when their state, open or lost, began."""

    endpoint: str
    epoch: int
    first: int
    last: int
    state: GapState
    since: str
    suspected_at: str = ""
    raw: str = ""

    @property
    def count(self) -> int:
        """How many ids are missing; 0 where two counters share the endpoint, for nobody can know."""
        return 0 if self.state is GapState.MIXED else self.last - self.first + 1


@dataclass(slots=True)
class MissingIds:
    """The ids that are open or lost, by the records of `gaps`, which are added in the order of their offsets.

    A lost id that was reconciled is no longer among them.
    """

    # By endpoint and epoch: disjoint runs, ascending.
    _open: dict[tuple[str, int], list[MissingRun]] = field(default_factory=dict)
    _lost: dict[tuple[str, int], list[MissingRun]] = field(default_factory=dict)
    _mixed: dict[str, MissingRun] = field(default_factory=dict)

    def add(self, gap: Gap) -> None:
        """Adds the next record."""
        if gap.state is GapState.RESET:
            for key in [key for key in self._open if key[0] == gap.endpoint and key[1] < gap.epoch]:
                del self._open[key]
            self._mixed.pop(gap.endpoint, None)
            return
        if gap.state is GapState.MIXED:
            for key in [key for key in self._open if key[0] == gap.endpoint]:
                del self._open[key]
            self._mixed[gap.endpoint] = MissingRun(
                gap.endpoint, gap.epoch, gap.first, gap.last, gap.state, gap.changed_at
            )
            return
        run = MissingRun(
            gap.endpoint, gap.epoch, gap.first, gap.last, gap.state, gap.changed_at, gap.suspected_at, gap.raw
        )
        key = (gap.endpoint, gap.epoch)
        if gap.state is not GapState.RECONCILED:
            _put(self._open.setdefault(key, []), run, keep=gap.state is GapState.OPEN)
        if gap.state in {GapState.LOST, GapState.RECONCILED, GapState.DISMISSED}:
            _put(self._lost.setdefault(key, []), run, keep=gap.state is GapState.LOST)

    def runs(self) -> list[MissingRun]:
        """The open and the lost runs, by endpoint, epoch and first id; and the endpoints that two counters share."""
        found = [run for kept in (self._open, self._lost) for runs in kept.values() for run in runs]
        found += self._mixed.values()
        return sorted(found, key=lambda run: (run.endpoint, run.epoch, run.first))


def _put(runs: list[MissingRun], run: MissingRun, *, keep: bool) -> None:
    """Takes the ids of `run` out of `runs`, or puts `run` in their place."""
    start = bisect_left(runs, run.first, key=attrgetter("last"))
    end = bisect_right(runs, run.last, key=attrgetter("first"))
    touched = runs[start:end]
    before = [replace(one, last=run.first - 1) for one in touched[:1] if one.first < run.first]
    after = [replace(one, first=run.last + 1) for one in touched[-1:] if one.last > run.last]
    runs[start:end] = [*before, *([run] if keep else []), *after]


async def read_runs(settings: Settings, endpoint: str | None = None) -> list[MissingRun]:
    """The runs by the topic now, of one endpoint or of all; a record that is no gap is passed over.

    Raises:
        DropstreamError: the cluster or the topic cannot be read.
    """
    missing = MissingIds()
    async with open_reader(settings, [full_name("gaps", settings)], "beginning") as reader:
        while not await reader.is_at_end():
            for record in await reader.fetch():
                gap = read_gap(record.value)
                if gap is not None and endpoint in {None, gap.endpoint}:
                    missing.add(gap)
    return missing.runs()


def offers(runs: Sequence[MissingRun], settings: Settings) -> list[str]:
    """For each endpoint with lost ids, how to fetch from its provider what they told of; none where it is off."""
    lost: dict[str, list[MissingRun]] = {}
    for one in runs:
        if one.state is GapState.LOST and one.endpoint in settings.endpoints:
            lost.setdefault(one.endpoint, []).append(one)
    lines = []
    for name, found in lost.items():
        if settings.endpoints[name].reconcile != "off":
            ids = f"{min(one.first for one in found)}-{max(one.last for one in found)}"
            fetch = f"dropstream reconcile --endpoint {name} --gap {ids}"
            lines.append(f"lost: what {name}'s provider can still tell is fetched by {fetch}")
    return lines


async def read_states(settings: Settings) -> list[SequenceState]:
    """The sequence of each endpoint as group `sequence` left it, with the holes that are in their grace time.

    Raises:
        DropstreamError: the changelog of the group cannot be read, or is corrupt.
    """
    latest: dict[bytes, bytes] = {}
    for record in await read_topic(settings, "sequence-state"):
        if record.key is None or not is_of_store(record.key):
            continue
        if record.value is None:
            latest.pop(record.key, None)
        else:
            latest[record.key] = record.value
    try:
        return list(restore(latest).values())
    except ValueError as error:
        raise DropstreamError(f"the changelog of the sequences is corrupt: {error}") from error


def suspected(states: Sequence[SequenceState], endpoint: str | None) -> list[tuple[SequenceState, Hole]]:
    """The holes that are not reported yet, of one endpoint or of all."""
    return [
        (state, hole)
        for state in states
        if endpoint in {None, state.endpoint}
        for hole in state.holes[state.reported_count() :]
    ]


async def unjudged(settings: Settings) -> str:
    """Why an id may be missing that nobody has noticed yet, as a clause; empty where all that is there is judged.

    What lies in the topics at the call counts; for the groups that judge it there are a few seconds.
    """
    for group, topic in GROUP_SOURCES.items():
        source = full_name(topic, settings)
        ends: dict[int, int] | None = None
        for attempt in range(_LOOKS):
            found = await read_group_offsets(settings, settings.kafka.topic_prefix + group, [source])
            if doubts := [one.unknown_why for one in found if one.unknown_why]:
                return f"how far group {group} is, is not known: {doubts[0]}"
            ends = ends or {one.partition.partition: _end(one) for one in found}
            if not await _has_record(settings, source, {one.partition.partition: _behind(one) for one in found}, ends):
                break
            if attempt == _LOOKS - 1:
                return f"group {group} has not read all of {source} yet; does dropstream process run?"
            await asyncio.sleep(_LOOK_EVERY_S)
    return ""


def _end(one: PartitionOffsets) -> int:
    return 0 if isinstance(one.log, NotKnown) else one.log.end


def _behind(one: PartitionOffsets) -> int:
    """The offset before which the group has read everything."""
    if isinstance(one.log, NotKnown) or isinstance(one.committed, NotKnown):
        return 0
    return max(one.committed or 0, one.log.first)


async def _has_record(settings: Settings, topic: str, begins: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Whether a record lies there; not the lag, in which the marks that end transactions count."""
    starts = {partition: begin for partition, begin in begins.items() if begin < ends[partition]}
    if not starts:
        return False
    async with open_reader(settings, [topic], AtOffsets(starts)) as reader:
        while not await reader.is_at_end():
            if any(one.position.offset < ends[one.position.partition] for one in await reader.fetch()):
                return True
    return False
