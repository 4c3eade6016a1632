"""Takes a snapshot of the cluster before an audit: what the group has committed, where each topic begins and ends.

The order is the proof: the committed offsets are read first, the ends of the outputs after them; so all that the
committed offsets stand for lies before these ends. What cannot be read becomes a sentence, never a zero.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.audit.judging.records import OutputPartition
from ops.audit.reading.committed import committed_by_partition, waiting_for
from ops.audit.verdict import Pending
from ops.kafka.clients import consumer
from ops.kafka.layouts import current_layout
from ops.kafka.partitions import readable_partitions_of, written_ends
from ops.kafka.ranges import read_ranges
from ops.kafka.reader import AtOffset, Start, full_name
from ops.kafka.topics import existing
from ops.replay.store import ReplayStore
from processors.groups import DELIVER_OUTPUTS
from schemas.errors import DropstreamError
from schemas.notes.audits import Checkpoint
from schemas.notes.layouts import Move, parent_of
from schemas.notes.replays import Range
from schemas.notes.rules import RulesNote, RulesVersion, read_rules
from schemas.settings import Settings
from schemas.times import rfc3339, timestamp_ms
from schemas.vocabulary import EVENT_TOPICS

# An output is written after its delivery was received, but by the clock of another machine.
_CLOCKS_APART_MS = 3_600_000

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AuditScope:
    """The part of `raw` that an audit judges: from `start` to receipt at `end_ms` (milliseconds; None: no limit).

    A checkpoint as start is where the last clean audit ended.
    """

    start: Start | Checkpoint = "beginning"
    end_ms: int | None = None

    @property
    def since(self) -> datetime | None:
        """The time at which the scope begins; None where it has no beginning in time."""
        if isinstance(self.start, Checkpoint):
            return datetime.fromisoformat(self.start.looked_at)
        return self.start if isinstance(self.start, datetime) else None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out, before the last clean audit or after its end."""
        return self.end_ms is None and (self.start == "beginning" or isinstance(self.start, Checkpoint))


@dataclass(frozen=True, slots=True)
class AuditSnapshot:
    """The cluster at one moment.

    `ranges` are the offsets of `raw` to judge: those of the person's range that the group had reached. `raw_first` and
    `raw_end` are where each partition of `raw` begins and ends; `reached` is what the group had committed (0 for
    nothing), without the partitions of which that is not known. `outputs` gives for each output partition where to
    begin and where to end; `begins_at_ms` when its oldest record was written, where the beginning is deleted and lies
    in the range (infinite where nothing is left). `replays` are the ids of all that was ever replayed or redriven, and
    `unfinished` of those that had not come to their end: the next audit judges them again.
    `moves` are the migrations to more partitions that are over. The audit before has read the outputs up to the offsets
    `audited`. `end_ms` is the scope's.
    """

    ranges: Sequence[Range]
    raw_first: Mapping[int, int]
    raw_end: Mapping[int, int]
    reached: Mapping[int, int]
    outputs: Mapping[OutputPartition, Range]
    begins_at_ms: Mapping[OutputPartition, float]
    partitions: Mapping[str, int]
    replays: frozenset[str] = frozenset()
    unfinished: frozenset[str] = frozenset()
    notes: Sequence[RulesNote] = ()
    rules: Mapping[str, RulesVersion] = field(default_factory=dict)
    moves: Sequence[Move] = ()
    audited: Mapping[OutputPartition, int] = field(default_factory=dict)
    end_ms: int | None = None
    looked_at: datetime = _NEVER
    waiting: Sequence[Pending] = ()
    unknown: Sequence[str] = ()

    def parent_of(self, partition: int) -> tuple[int, int] | None:
        """The partition of `raw` in which the keys of this one lay before a migration, and up to which offset."""
        return parent_of(self.moves, partition)

    def root_of(self, partition: int) -> int:
        """The first of the partitions in which the keys of this one lay."""
        parent = self.parent_of(partition)
        return partition if parent is None else self.root_of(parent[0])

    def checkpoint(self, first_unjudged: Mapping[OutputPartition, int]) -> Checkpoint:
        """The checkpoint of an audit; `first_unjudged` is the first record for the next audit, by output partition."""
        begins: dict[str, dict[int, int]] = {}
        ends: dict[str, dict[int, int]] = {}
        for (topic, partition), one in self.outputs.items():
            if "." not in topic:
                begins.setdefault(topic, {})[partition] = first_unjudged.get((topic, partition), one.end)
                ends.setdefault(topic, {})[partition] = one.end
        return Checkpoint(
            looked_at=rfc3339(self.looked_at),
            raw={one.partition: one.end for one in self.ranges},
            begins=begins,
            ends=ends,
            replays=sorted(self.replays - self.unfinished),
        )


async def take_snapshot(settings: Settings, scope: AuditScope, store: ReplayStore) -> AuditSnapshot:
    """The snapshot, by which everything is judged.

    Raises:
        DropstreamError: the cluster or a topic cannot be read.
    """
    looked_at = datetime.now(UTC)
    raw_partitions = await readable_partitions_of(settings, [full_name("raw", settings)])
    committed, unknown = await committed_by_partition(settings, "deliver", raw_partitions)
    names = {full_name(topic, settings): topic for topic in (*DELIVER_OUTPUTS, *await _copies(settings, store))}
    outputs = await readable_partitions_of(settings, list(names))
    written = await written_ends(settings, outputs)
    async with consumer(settings) as client:
        raw_first, raw_end = await client.beginning_offsets(raw_partitions), await client.end_offsets(raw_partitions)
        in_scope = await _in_scope(settings, client, raw_first, raw_end, scope)
        begins = await client.beginning_offsets(outputs)
        since_ms = await _since_ms(settings, in_scope, scope)
        starts = await starts_since(client, outputs, begins, written, since_ms)
        if isinstance(scope.start, Checkpoint):
            starts = _after(scope.start.begins, names, begins)
        oldest = await _oldest_ms(client, [one for one in outputs if begins[one] and starts[one] == begins[one]])
    reached = {one.partition: offset or 0 for one, offset in committed.items()}
    notes, rules = await noted_rules(settings)
    layout = await current_layout(settings)
    return AuditSnapshot(
        ranges=[replace(one, end=max(one.first, min(one.end, reached.get(one.partition, 0)))) for one in in_scope],
        raw_first={one.partition: raw_first[one] for one in raw_partitions},
        raw_end={one.partition: raw_end[one] for one in raw_partitions},
        reached=reached,
        outputs={(names[one.topic], one.partition): Range(one.partition, starts[one], written[one]) for one in outputs},
        begins_at_ms={(names[one.topic], one.partition): at for one, at in oldest.items()},
        partitions=Counter(names[one.topic] for one in outputs),
        replays=frozenset(store.plans),
        notes=notes,
        rules=rules,
        moves=layout.moves if layout else (),
        audited=_audited(scope),
        end_ms=scope.end_ms,
        looked_at=looked_at,
        waiting=await waiting_for(settings, in_scope, committed, unknown),
        unknown=[unknown[one.partition] for one in in_scope if one.count and one.partition in unknown],
    )


async def _oldest_ms(client: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, float]:
    """The time of the oldest record of each partition, in milliseconds since 1970; infinity where none is left."""
    found = await client.offsets_for_times(dict.fromkeys(partitions, 0)) if partitions else {}
    return {one: float(found[one].timestamp) if found.get(one) else float("inf") for one in partitions}


async def _copies(settings: Settings, store: ReplayStore) -> list[str]:
    """The topics that replays have made for themselves, as far as they are there (short names)."""
    made = {
        f"{topic}.{plan.choice.into}"
        for plan in store.plans.values()
        if plan.choice.into is not None
        for topic in (*(plan.choice.topics or EVENT_TOPICS), "rejected", "duplicates")
    }
    there = await existing(settings, [full_name(topic, settings) for topic in made])
    return sorted(topic for topic in made if full_name(topic, settings) in set(there))


async def _in_scope(
    settings: Settings,
    client: AIOKafkaConsumer,
    firsts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    scope: AuditScope,
) -> list[Range]:
    """The offsets of `raw` that the scope mean, by partition."""
    start = scope.start
    partitions = list(firsts)
    if isinstance(start, Checkpoint):
        firsts = {one: max(first, start.raw.get(one.partition, 0)) for one, first in firsts.items()}
    elif isinstance(start, datetime):
        found = await client.offsets_for_times(dict.fromkeys(partitions, max(0, timestamp_ms(start))))
        firsts = {one: found[one].offset if found.get(one) else ends[one] for one in partitions}
    elif isinstance(start, AtOffset):
        partitions = [one for one in partitions if one.partition == start.partition]
        if not partitions:
            raise DropstreamError(f"{full_name('raw', settings)} has no partition {start.partition}")
        firsts = {one: max(firsts[one], min(start.offset, ends[one])) for one in partitions}
    elif start == "latest":
        firsts = ends
    if scope.end_ms is not None:
        found = await client.offsets_for_times(dict.fromkeys(partitions, max(0, scope.end_ms)))
        ends = {one: found[one].offset if found.get(one) else ends[one] for one in partitions}
    return [Range(one.partition, firsts[one], max(firsts[one], ends[one])) for one in partitions]


async def _since_ms(settings: Settings, in_scope: Sequence[Range], scope: AuditScope) -> int | None:
    """The time at which the oldest output of the ranges can have been written; None for any time."""
    if scope.start == "beginning" or isinstance(scope.start, Checkpoint):
        return None
    if isinstance(scope.start, datetime):
        return timestamp_ms(scope.start - timedelta(milliseconds=_CLOCKS_APART_MS))
    raw = full_name("raw", settings)
    firsts = [Range(one.partition, one.first, one.first + 1) for one in in_scope if one.count]
    times = [record.timestamp_ms async for records in read_ranges(settings, raw, firsts) for record in records]
    return min(times) - _CLOCKS_APART_MS if times else None


def _after(
    offsets: Mapping[str, Mapping[int, int]], names: Mapping[str, str], begins: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """The offsets of a checkpoint by partition; where it has none, or they are deleted, the beginning."""
    return {one: max(begin, offsets.get(names[one.topic], {}).get(one.partition, 0)) for one, begin in begins.items()}


def _audited(scope: AuditScope) -> dict[OutputPartition, int]:
    if not isinstance(scope.start, Checkpoint):
        return {}
    return {(topic, partition): end for topic, ends in scope.start.ends.items() for partition, end in ends.items()}


async def starts_since(
    client: AIOKafkaConsumer,
    outputs: Sequence[TopicPartition],
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    since_ms: int | None,
) -> dict[TopicPartition, int]:
    """The first offset of each partition that was written at `since_ms` or later; its beginning where that is None."""
    if since_ms is None:
        return dict(begins)
    found = await client.offsets_for_times(dict.fromkeys(outputs, max(0, since_ms)))
    return {one: found[one].offset if found.get(one) else ends[one] for one in outputs}


async def noted_rules(settings: Settings) -> tuple[list[RulesNote], dict[str, RulesVersion]]:
    """The notes and the rules on the topic `rules`; none where the cluster has no such topic yet.

    Raises:
        UnreadablePartitionError: a partition has no leader; by which rules a delivery was judged is then not known.
        DropstreamError: the cluster cannot be read, or does not grant it.
    """
    topic = full_name("rules", settings)
    notes: list[RulesNote] = []
    rules: dict[str, RulesVersion] = {}
    if not await existing(settings, [topic]):
        return notes, rules
    partitions = await readable_partitions_of(settings, [topic])
    async with consumer(settings) as client:
        firsts = await client.beginning_offsets(partitions)
    ends = await written_ends(settings, partitions)
    ranges = [Range(one.partition, firsts[one], ends[one]) for one in partitions]
    async for records in read_ranges(settings, topic, ranges):
        for record in records:
            said = read_rules(record.key, record.value)
            if isinstance(said, RulesNote):
                notes.append(said)
            elif said is not None:
                rules[said.digest] = said
    return notes, rules
