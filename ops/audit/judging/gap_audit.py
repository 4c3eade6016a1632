"""Reads `gaps` and `sequence` once, and runs the gap tracker again, partition by partition."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from aiokafka import TopicPartition

from ops.audit.assignment import AuditAssignment
from ops.audit.judging.gaps import GapsOfPartition
from ops.audit.reading.gap_snapshot import GapSnapshot
from ops.audit.reading.stream import open_stream
from ops.audit.tally import AuditTally
from ops.kafka.reader import full_name
from processors.groups import gap_rules
from schemas.kafka.partitions import partition_of
from schemas.notes.gaps import read_gap
from schemas.notes.layouts import ancestors_of
from schemas.notes.replays import Range
from schemas.records import RawRecord

# About so much memory a record of `gaps` takes.
_RECORD_BYTES = 1_500
_BYTES_MAX = 8_000_000


async def audit_gaps(assignment: AuditAssignment, tally: AuditTally) -> None:
    """Adds to `tally` what is wrong with `gaps`, for the assignment's partitions of `sequence`.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    snapshot = assignment.gaps
    if snapshot is None:
        return
    count = sum(one.count for one in snapshot.gaps.values())
    if count * _RECORD_BYTES > assignment.memory_bytes_max // 2:
        tally.unknown.append(
            f"{count} records of gaps are more than fit in memory, so they were not judged; audit a later range with "
            "--from, or give it more with --memory"
        )
        return
    rules = gap_rules(assignment.settings)
    judged = {
        partition: GapsOfPartition(rules, _since(assignment, snapshot, partition))
        for partition in snapshot.observations
        if partition in assignment.sequences
    }
    await _note_gaps(assignment, snapshot, judged, tally)
    for partition, gaps in judged.items():
        for source in _sources(assignment, snapshot, partition):
            async for records in _records(assignment, "sequence", {source.partition: source}):
                for record in records:
                    if not assignment.snapshot.moves or _is_placed(record, partition, len(snapshot.observations)):
                        gaps.observe(record)
        due, unjudged = gaps.finish(snapshot.now, is_caught_up=snapshot.is_running and partition in snapshot.caught_up)
        for finding in gaps.findings:
            tally.add_finding(finding)
        tally.gaps_due += due
        tally.gaps_unjudged += unjudged


def _sources(assignment: AuditAssignment, snapshot: GapSnapshot, partition: int) -> list[Range]:
    """The observations of the partition, in order: those of the partitions from which a migration made it first."""
    own = snapshot.observations[partition]
    found: list[Range] = []
    for ancestor, end in ancestors_of(assignment.snapshot.moves, partition, topic="sequence"):
        if (one := snapshot.observations.get(ancestor)) is not None:
            found.append(Range(ancestor, one.first, max(one.first, min(one.end, end))))
    return [*found, own]


def _is_placed(record: RawRecord, partition: int, count: int) -> bool:
    """Whether the observation's endpoint belongs to the partition today, wherever the record lies."""
    return partition_of(record.key or b"", count) == partition


def _since(assignment: AuditAssignment, snapshot: GapSnapshot, partition: int) -> datetime | None:
    """The time before which gaps cannot be judged, of the partition and of all that it was made from."""
    times = [snapshot.since.get(one.partition) for one in _sources(assignment, snapshot, partition)]
    return max((one for one in times if one is not None), default=None)


async def _note_gaps(
    assignment: AuditAssignment, snapshot: GapSnapshot, judged: Mapping[int, GapsOfPartition], tally: AuditTally
) -> None:
    """Gives each record of `gaps` to the partition of `sequence` that its endpoint has."""
    partitions_of_sequence = len(snapshot.observations)
    rules = assignment.snapshot.rules.values()
    counts = {len(snapshot.gaps), *(one.partitions.get("gaps", 0) for one in rules)} - {0}
    async for records in _records(assignment, "gaps", snapshot.gaps):
        for record in records:
            gap = read_gap(record.value)
            key = (record.key or b"") if gap is None else gap.endpoint.encode()
            partition = partition_of(key, partitions_of_sequence)
            if partition in judged:
                tally.outputs["gaps"] += 1
                partitions = {partition_of(key, count) for count in counts}
                judged[partition].note(record, is_in_place=record.position.partition in partitions)


async def _records(
    assignment: AuditAssignment, topic: str, ranges: Mapping[int, Range]
) -> AsyncIterator[list[RawRecord]]:
    """The records of these partitions, in order within each."""
    name = full_name(topic, assignment.settings)
    by_partition = {TopicPartition(name, partition): one for partition, one in ranges.items()}
    async with open_stream(assignment.settings, by_partition, bytes_max=_BYTES_MAX) as stream:
        while (records := await stream.more()) is not None:
            yield records
