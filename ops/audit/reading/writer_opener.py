"""Opens the writers that an assignment audits: the live group, replays and redrives."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from aiokafka import TopicPartition

from ops.audit.assignment import AuditAssignment
from ops.audit.judging.judge import Judge
from ops.audit.judging.ledger import PartitionLedger
from ops.audit.judging.sightings import DiskSightings, ParentSightings, SightingsFile
from ops.audit.reading.audited_writer import AuditedWriter, RejectedSource, ReplayJudge, begun_at_ms
from ops.audit.reading.eras import Era, Eras, eras_of
from ops.audit.reading.stream import PartitionStream, open_stream
from ops.kafka.reader import full_name
from ops.replay.history import open_state, read_basis
from processors.deliver.step import Rules
from processors.groups import KEYS_PER_DELIVERY, deliver_rules, key_budget
from processors.providers import discover
from processors.replay import Known, Replaying, Task
from processors.rules_version import rules_version
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress

_HOUR_S = 3_600
_FOREVER_S = 2**32
# The memory that a process takes before it has read anything, and how the rest of its memory is shared.
_IDLE_BYTES = 90_000_000
_OUTPUTS_SHARE, _RAW_SHARE, _HELD_SHARE = 0.35, 0.15, 0.2
_BYTES_MIN = 8_000_000


@dataclass(slots=True)
class WriterOpener:
    """Opens the writers of an assignment; each has a memory of retries of its own."""

    assignment: AuditAssignment
    seen: SightingsFile
    on_deliveries: Callable[[int], None]
    _numbers: "count[int]" = field(default_factory=count)

    @asynccontextmanager
    async def group(self) -> AsyncIterator[AuditedWriter]:
        """Opens the live group as a writer."""
        assignment = self.assignment
        rules = deliver_rules(assignment.settings.endpoints, assignment.settings, discover())
        today = rules_version(assignment.settings, assignment.settings.endpoints, discover())
        eras = eras_of(today, "raw", assignment.snapshot.notes, assignment.snapshot.rules)
        memories: dict[int, DiskSightings] = {}
        ledgers = {
            partition: self._ledger(
                Judge(
                    rules,
                    self._group_memory(partition, memories),
                    eras.get(partition) or Eras(today),
                    assignment.snapshot.partitions,
                ),
                partition,
                one.first,
            )
            for partition, one in assignment.ranges.items()
        }
        stream_ranges = {
            TopicPartition(assignment.raw_topic, partition): one for partition, one in assignment.ranges.items()
        }
        async with open_stream(assignment.settings, stream_ranges, bytes_max=self._bytes(_RAW_SHARE)) as stream:
            ends = {partition: one.end for partition, one in assignment.ranges.items()}
            parents = {one: parent for one in ends if (parent := assignment.snapshot.parent_of(one)) is not None}
            yield AuditedWriter(stream, ledgers, ends, self.on_deliveries, parents=parents)

    @asynccontextmanager
    async def of_plan(self, plan: ReplayPlan, progress: Mapping[int, ReplayProgress]) -> AsyncIterator[AuditedWriter]:
        """Opens a replay or a redrive as a writer, as far as it has come."""
        rules = deliver_rules(self.assignment.settings.endpoints, self.assignment.settings, discover())
        rules = replace(rules, replay=plan.id)
        today = rules_version(self.assignment.settings, self.assignment.settings.endpoints, discover())
        eras = Eras(today, () if plan.rules == today.judging else (Era(0, None),))
        open_writer = self._replay if plan.source == "raw" else self._redrive
        async with open_writer(plan, progress, rules, eras) as writer:
            yield writer

    def outputs(self, suffix: str) -> AbstractAsyncContextManager[PartitionStream]:
        """Opens the records of the live topics, or of the topics of a suffix."""
        settings, end = self.assignment.settings, f".{suffix}"
        ranges = {
            TopicPartition(full_name(topic, settings), partition): one
            for (topic, partition), one in self.assignment.snapshot.outputs.items()
            if (topic.endswith(end) if suffix else "." not in topic)
        }
        return open_stream(settings, ranges, bytes_max=self._bytes(_OUTPUTS_SHARE))

    @asynccontextmanager
    async def _replay(
        self, plan: ReplayPlan, progress: Mapping[int, ReplayProgress], rules: Rules, eras: Eras
    ) -> AsyncIterator[AuditedWriter]:
        assignment = self.assignment
        firsts = assignment.snapshot.raw_first
        ranges = {
            one.partition: _done(one, firsts.get(one.partition, 0), progress[one.partition])
            for one in plan.ranges
            if one.partition in assignment.partitions
        }
        ranges = {partition: one for partition, one in ranges.items() if one.count}
        basis = await read_basis(assignment.settings, plan, rules, list(ranges.values()))
        task = Task(plan, rules, basis.known)
        ledgers = {}
        for partition, one in ranges.items():
            seen = self._memory()
            state = await open_state(assignment.settings, task, basis, one, ReplayProgress(next=one.first), seen=seen)
            judge = ReplayJudge(rules, seen, eras, self._partitions(plan), task, state)
            ledgers[partition] = self._ledger(judge, partition, one.first, plan)
        stream_ranges = {TopicPartition(assignment.raw_topic, partition): one for partition, one in ranges.items()}
        async with open_stream(assignment.settings, stream_ranges, bytes_max=_BYTES_MIN) as stream:
            ends = {partition: one.end for partition, one in ranges.items()}
            yield AuditedWriter(stream, ledgers, ends, self.on_deliveries, plan)

    @asynccontextmanager
    async def _redrive(
        self, plan: ReplayPlan, progress: Mapping[int, ReplayProgress], rules: Rules, eras: Eras
    ) -> AsyncIterator[AuditedWriter]:
        assignment = self.assignment
        task = Task(plan, rules, Known())
        ledgers = {}
        for partition in assignment.partitions:
            seen = self._memory(window_s=_FOREVER_S)
            state = Replaying(plan.id, partition, seen, ReplayProgress(next=0))
            judge = ReplayJudge(rules, seen, eras, self._partitions(plan), task, state)
            ledgers[partition] = self._ledger(judge, partition, 0, plan)
        topic = full_name("rejected", assignment.settings)
        # All of it, wherever the audit's own range begins: a redrive reads what was rejected long ago.
        stream_ranges = {
            TopicPartition(topic, one.partition): replace(one, end=progress[one.partition].next) for one in plan.ranges
        }
        async with open_stream(assignment.settings, stream_ranges, bytes_max=_BYTES_MIN) as stream:
            source = RejectedSource(stream, task, frozenset(assignment.partitions))
            yield AuditedWriter(source, ledgers, assignment.snapshot.raw_end, self.on_deliveries, plan)

    def _ledger(self, judge: Judge, partition: int, first: int, plan: ReplayPlan | None = None) -> PartitionLedger:
        suffix = plan.choice.into if plan is not None and plan.choice.into else ""
        begins_at_ms = {
            (topic.removesuffix(f".{suffix}"), number): at
            for (topic, number), at in self.assignment.snapshot.begins_at_ms.items()
            if (topic.endswith(f".{suffix}") if suffix else "." not in topic)
        }
        return PartitionLedger(
            judge=judge,
            raw_topic=self.assignment.raw_topic,
            partition=partition,
            first=first,
            knows_all_before=plan is None and self._knows_all_before(partition, first),
            begins_at_ms=begins_at_ms,
            held_bytes_max=self._bytes(_HELD_SHARE) // max(1, len(self.assignment.partitions)),
            written_since_ms=None if plan is None else begun_at_ms(plan),
            may_leave_out=plan is not None and plan.source == "rejected",
            is_redriven=self.assignment.is_moving,
        )

    def _knows_all_before(self, partition: int, first: int) -> bool:
        """Whether nothing of the keys of this partition was ever in `raw` that is not judged here."""
        parent = self.assignment.snapshot.parent_of(partition)
        ranges = self.assignment.ranges
        return first == 0 and (
            parent is None or (parent[0] in ranges and self._knows_all_before(parent[0], ranges[parent[0]].first))
        )

    def _group_memory(self, partition: int, known: dict[int, DiskSightings]) -> DiskSightings:
        """The memory of one partition; that of a partition which a migration made goes on from its parent's."""
        if partition not in known:
            found = self._memory()
            if (parent := self.assignment.snapshot.parent_of(partition)) is not None:
                found.parent = ParentSightings(self._group_memory(parent[0], known), *parent)
            known[partition] = found
        return known[partition]

    def _memory(self, window_s: int | None = None) -> DiskSightings:
        settings = self.assignment.settings
        process = settings.process
        budget = key_budget(settings, on_disk=bool(process.state_dir))
        return DiskSightings(
            self.seen,
            next(self._numbers),
            window_s=process.dedupe_window_hours * _HOUR_S if window_s is None else window_s,
            keys_max=budget.keys_kept,
            bucket_max=process.records_per_round_max * KEYS_PER_DELIVERY,
        )

    def _partitions(self, plan: ReplayPlan) -> dict[str, int]:
        """How many partitions each topic has that the plan writes to, by its name without the suffix."""
        end = f".{plan.choice.into}" if plan.choice.into else ""
        counts = self.assignment.snapshot.partitions
        return {topic: counts.get(topic + end, number) for topic, number in counts.items() if "." not in topic}

    def _bytes(self, share: float) -> int:
        return max(_BYTES_MIN, int((self.assignment.memory_bytes_max - _IDLE_BYTES) * share))


def _done(one: Range, first: int, progress: ReplayProgress) -> Range:
    """The part of a plan's range that it has written the events of and that is still in `raw`."""
    return replace(one, first=max(one.first, first), end=progress.next)
