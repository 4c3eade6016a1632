"""One way through `gaps` and `sequence`: the gap tracker run again, partition by partition."""

from collections.abc import AsyncIterator, Mapping

from aiokafka import TopicPartition

from ops.audit.judging.gaps import GapsOfPartition
from ops.audit.reading.gap_snapshot import GapLook
from ops.audit.reading.stream import open_raw
from ops.audit.reading.writer_opener import Part
from ops.audit.tally import PartFound
from ops.kafka.reader import full_name
from processors.groups import gap_rules
from schemas.kafka.partitions import partition_of
from schemas.notes.gaps import read_gap
from schemas.notes.replays import Range
from schemas.records import RawRecord

# What a record of `gaps` takes in memory, about.
_RECORD_BYTES = 1_500
_BYTES_MAX = 8_000_000


async def audit_gaps(part: Part, found: PartFound) -> None:
    """Adds to `found` what is wrong with `gaps`, of the part's partitions of `sequence`.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    look = part.gaps
    if look is None:
        return
    count = sum(one.count for one in look.gaps.values())
    if count * _RECORD_BYTES > part.memory_bytes_max // 2:
        found.unknown.append(
            f"{count} records of gaps are more than fit in memory, so they were not judged; audit a later range with "
            "--from, or give it more with --memory"
        )
        return
    rules = gap_rules(part.settings)
    judged = {
        partition: GapsOfPartition(rules, look.since.get(partition))
        for partition in look.observations
        if partition in part.sequences
    }
    await _note_gaps(part, look, judged, found)
    for partition, gaps in judged.items():
        async for records in _records(part, "sequence", {partition: look.observations[partition]}):
            for record in records:
                gaps.observe(record)
        due, unjudged = gaps.finish(look.now, is_caught_up=look.is_running and partition in look.caught_up)
        for finding in gaps.findings:
            found.say(finding)
        found.gaps_due += due
        found.gaps_unjudged += unjudged


async def _note_gaps(part: Part, look: GapLook, judged: Mapping[int, GapsOfPartition], found: PartFound) -> None:
    """Gives each record of `gaps` to the partition of `sequence` that its endpoint has."""
    sources = len(look.observations)
    counts = {len(look.gaps), *(rules.partitions.get("gaps", 0) for rules in part.look.rules.values())} - {0}
    async for records in _records(part, "gaps", look.gaps):
        for record in records:
            gap = read_gap(record.value)
            key = (record.key or b"") if gap is None else gap.endpoint.encode()
            partition = partition_of(key, sources)
            if partition in judged:
                found.outputs["gaps"] += 1
                places = {partition_of(key, count) for count in counts}
                judged[partition].note(record, is_in_place=record.position.partition in places)


async def _records(part: Part, topic: str, ranges: Mapping[int, Range]) -> AsyncIterator[list[RawRecord]]:
    """The records of these partitions, in order within each."""
    name = full_name(topic, part.settings)
    asked = {TopicPartition(name, partition): one for partition, one in ranges.items()}
    async with open_raw(part.settings, asked, bytes_max=_BYTES_MAX) as stream:
        while (records := await stream.more()) is not None:
            yield records
