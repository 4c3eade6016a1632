"""Takes a snapshot of group `sequence` before an audit: how far it has read, and since when gaps can be judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiokafka import TopicPartition

from ops.audit.reading.committed import committed_by_partition
from ops.audit.reading.eras import Eras, eras_of
from ops.audit.reading.snapshot import AuditScope, AuditSnapshot, starts_since
from ops.kafka.clients import consumer
from ops.kafka.offsets import members_if_known
from ops.kafka.partitions import readable_partitions_of, written_ends
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import full_name
from processors.rules_version import gap_rules_version
from schemas.notes.audits import Checkpoint
from schemas.notes.replays import Range
from schemas.notes.sequence_observations import read_observation
from schemas.settings import Settings
from schemas.times import timestamp_ms


@dataclass(frozen=True, slots=True)
class GapSnapshot:
    """The observations that the group has read, and the records of `gaps` that there are; by partition.

    `since` gives for each partition of `sequence` before when gaps cannot be judged, where there is such a time.
    `is_running` where the group has members. `now` is when the snapshot was taken.
    """

    observations: Mapping[int, Range]
    gaps: Mapping[int, Range]
    since: Mapping[int, datetime]
    caught_up: frozenset[int]
    is_running: bool
    now: datetime


async def take_gap_snapshot(
    settings: Settings, scope: AuditScope, snapshot: AuditSnapshot
) -> tuple[GapSnapshot | None, list[str]]:
    """The snapshot, None where the scope has no beginning in time; and sentences that say what is not known."""
    if scope.end_ms is not None or not (scope.start == "beginning" or scope.since):
        return None, []
    sequence = full_name("sequence", settings)
    observed = await readable_partitions_of(settings, [sequence])
    written = await readable_partitions_of(settings, [full_name("gaps", settings)])
    committed, unknown = await committed_by_partition(settings, "sequence", observed)
    since = _judged_since(settings, scope)
    # A hole that is open then was seen at most so long before.
    since_ms = None if since is None else timestamp_ms(since - _lost_after(settings))
    ends = await written_ends(settings, written)
    eras = eras_of(gap_rules_version(settings), "sequence", snapshot.notes, snapshot.rules)
    async with consumer(settings) as client:
        begins = await client.beginning_offsets(observed)
        starts = await starts_since(client, observed, begins, await client.end_offsets(observed), since_ms)
        gap_starts = await starts_since(client, written, await client.beginning_offsets(written), ends, since_ms)
        observed_ends = await client.end_offsets(observed)
    known = {one: committed[one] or 0 for one in observed if one in committed}
    members = await members_if_known(settings, f"{settings.kafka.topic_prefix}sequence")
    doubts = [] if members is not None else ["how many members group sequence has is not known; audit again"]
    return GapSnapshot(
        observations={one.partition: Range(one.partition, starts[one], at) for one, at in known.items()},
        gaps={one.partition: Range(one.partition, gap_starts[one], ends[one]) for one in written},
        since={
            one.partition: moment
            for one, begin in begins.items()
            if (moment := await _since(settings, since, one, begin, eras.get(one.partition))) is not None
        },
        caught_up=frozenset(one.partition for one, at in known.items() if at >= observed_ends[one]),
        is_running=bool(members),
        now=datetime.now(UTC),
    ), sorted([*unknown.values(), *doubts])


def _judged_since(settings: Settings, scope: AuditScope) -> datetime | None:
    """Since when gaps are in scope; after a checkpoint the gaps that were open then are too."""
    if scope.since is None:
        return None
    return scope.since - _lost_after(settings) if isinstance(scope.start, Checkpoint) else scope.since


def _lost_after(settings: Settings) -> timedelta:
    return timedelta(hours=settings.sequence.lost_after_hours)


async def _since(
    settings: Settings, since: datetime | None, partition: TopicPartition, begin: int, eras: Eras | None
) -> datetime | None:
    """The time before which gaps cannot be judged: by the scope, by retention, or because other rules judged."""
    times = [] if since is None else [since]
    if begin and (first := await _received(settings, partition, begin)) is not None:
        times.append(first + _lost_after(settings))
    changed = 0 if eras is None else eras.today_since
    if changed is None:
        times.append(datetime.max.replace(tzinfo=UTC))
    elif changed > begin and (moment := await _received(settings, partition, changed)) is not None:
        times.append(moment)
    return max(times, default=None)


async def _received(settings: Settings, partition: TopicPartition, offset: int) -> datetime | None:
    """The time of receipt of the first delivery that is noted at `offset` or behind it."""
    ranges = [Range(partition.partition, offset, offset + 1)]
    async for records in read_ranges(settings, partition.topic, ranges):
        for record in records:
            if (observation := read_observation(record.value)) is not None:
                return datetime.fromisoformat(observation.recordedtime)
    return None
