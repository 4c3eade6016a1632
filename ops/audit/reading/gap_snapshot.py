"""One look at group `sequence` before an audit: how far it has read, and since when its gaps can be judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiokafka import TopicPartition

from ops.audit.reading.committed import committed_by_partition, members_or_none
from ops.audit.reading.eras import Eras, eras_of
from ops.audit.reading.snapshot import Limits, Look, starts_since
from ops.kafka.clients import consumer
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name, partitions_of, written_ends
from processors.rules_version import gap_rules_version
from schemas.notes.audits import Checkpoint
from schemas.notes.replays import Range
from schemas.notes.sequence_observations import read_observation
from schemas.settings import Settings
from schemas.times import timestamp_ms


@dataclass(frozen=True, slots=True)
class GapLook:
    """Which observations the group has read, and which records of `gaps` there are; by partition.

    `since` gives for each partition of `sequence` before when gaps cannot be judged, where there is such a time.
    `is_running` where the group has members. `now` is when it was looked.
    """

    observations: Mapping[int, Range]
    gaps: Mapping[int, Range]
    since: Mapping[int, datetime]
    caught_up: frozenset[int]
    is_running: bool
    now: datetime


async def look_at_gaps(settings: Settings, limits: Limits, look: Look) -> tuple[GapLook | None, list[str]]:
    """How group `sequence` stands; None where the range has no beginning in time. And what of it is not known."""
    if limits.end_ms is not None or not (limits.start == "beginning" or limits.since):
        return None, []
    sequence = full_name("sequence", settings)
    sources = await partitions_of(settings, [sequence])
    written = await partitions_of(settings, [full_name("gaps", settings)])
    committed, unknown = await committed_by_partition(settings, "sequence", sources)
    since = _judged_since(settings, limits)
    # A hole that is open then was seen at most so long before.
    since_ms = None if since is None else timestamp_ms(since - _lost_after(settings))
    ends = await written_ends(settings, written)
    eras = eras_of(gap_rules_version(settings), "sequence", look.notes, look.rules)
    async with consumer(settings) as client:
        begins = await client.beginning_offsets(sources)
        starts = await starts_since(client, sources, begins, await client.end_offsets(sources), since_ms)
        gap_starts = await starts_since(client, written, await client.beginning_offsets(written), ends, since_ms)
        source_ends = await client.end_offsets(sources)
    known = {one: committed[one] or 0 for one in sources if one in committed}
    return GapLook(
        observations={one.partition: Range(one.partition, starts[one], at) for one, at in known.items()},
        gaps={one.partition: Range(one.partition, gap_starts[one], ends[one]) for one in written},
        since={
            one.partition: moment
            for one, begin in begins.items()
            if (moment := await _since(settings, since, one, begin, eras.get(one.partition))) is not None
        },
        caught_up=frozenset(one.partition for one, at in known.items() if at >= source_ends[one]),
        is_running=bool(await members_or_none(settings, f"{settings.kafka.topic_prefix}sequence")),
        now=datetime.now(UTC),
    ), sorted(unknown.values())


def _judged_since(settings: Settings, limits: Limits) -> datetime | None:
    """Since when gaps are asked about; after a checkpoint those too that were open then."""
    if limits.since is None:
        return None
    return limits.since - _lost_after(settings) if isinstance(limits.start, Checkpoint) else limits.since


def _lost_after(settings: Settings) -> timedelta:
    return timedelta(hours=settings.sequence.lost_after_hours)


async def _since(
    settings: Settings, since: datetime | None, source: TopicPartition, begin: int, eras: Eras | None
) -> datetime | None:
    """Before when gaps cannot be judged: by the range, by retention, or because other rules judged until then."""
    times = [] if since is None else [since]
    if begin and (first := await _received(settings, source, begin)) is not None:
        times.append(first + _lost_after(settings))
    changed = 0 if eras is None else eras.today_since
    if changed is None:
        times.append(datetime.max.replace(tzinfo=UTC))
    elif changed > begin and (moment := await _received(settings, source, changed)) is not None:
        times.append(moment)
    return max(times, default=None)


async def _received(settings: Settings, source: TopicPartition, offset: int) -> datetime | None:
    """When the first delivery was received that is noted at `offset` or behind it."""
    asked = [Range(source.partition, offset, offset + 1)]
    async for records in read_ranges(settings, source.topic, asked):
        for record in records:
            if (observation := read_observation(record.value)) is not None:
                return datetime.fromisoformat(observation.recordedtime)
    return None
