"""Opens the lines of a part: the group's own, and those of replays and redrives."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from aiokafka import TopicPartition

from ops.audit.judging.judge import Judge
from ops.audit.judging.ledger import PartitionLedger
from ops.audit.judging.sightings import DiskSightings, SightingsFile
from ops.audit.reading.audited_writer import AuditLine, RawSource, RejectedSource, ReplayJudge, begun_at_ms
from ops.audit.reading.eras import Era, Eras, eras_of
from ops.audit.reading.gap_snapshot import GapLook
from ops.audit.reading.snapshot import Look
from ops.audit.reading.stream import OutputStream, open_outputs, open_raw
from ops.kafka.reader import full_name
from ops.replay.history import ground_of, open_state
from processors.deliver.step import Rules
from processors.groups import deliver_rules
from processors.providers import discover
from processors.replay import Known, Replaying, Task
from processors.rules_version import rules_version
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress
from schemas.settings import Settings

_HOUR_S = 3_600
_FOREVER_S = 2**32
# Of the memory that a part may take: what it takes before it has read anything, and how the rest is shared.
_IDLE_BYTES = 90_000_000
_OUTPUTS_SHARE, _RAW_SHARE, _HELD_SHARE = 0.35, 0.15, 0.2
_BYTES_MIN = 8_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """What one process judges: these partitions of `raw`; `is_first` for the part that judges what belongs to none.

    `plans` are the replays and redrives that are judged too, with how far each is by partition of its source.
    """

    settings: Settings
    look: Look
    partitions: Sequence[int]
    memory_bytes_max: int
    plans: Sequence[tuple[ReplayPlan, Mapping[int, ReplayProgress]]] = ()
    # The partitions of `sequence` whose gaps are judged here, where gaps are judged.
    sequences: frozenset[int] = frozenset()
    gaps: GapLook | None = None
    is_first: bool = True

    @property
    def ranges(self) -> dict[int, Range]:
        """The ranges of `raw` that are its own."""
        return {one.partition: one for one in self.look.ranges if one.partition in self.partitions}

    @property
    def is_moving(self) -> bool:
        """Whether a replay or a redrive goes on: of its observations some may be seen without their events."""
        return not self.look.unsettled <= {plan.id for plan, _ in self.plans}

    @property
    def raw_topic(self) -> str:
        """The full name of `raw`."""
        return full_name("raw", self.settings)


@dataclass(slots=True)
class AuditLines:
    """Opens the lines of a part; each has a memory of its own."""

    part: Part
    seen: SightingsFile
    on_deliveries: Callable[[int], None]
    _numbers: "count[int]" = field(default_factory=count)

    @asynccontextmanager
    async def main(self) -> AsyncIterator[AuditLine]:
        """The way of the group."""
        part = self.part
        rules = deliver_rules(part.settings.endpoints, part.settings, discover())
        today = rules_version(part.settings, part.settings.endpoints, discover())
        eras = eras_of(today, "raw", part.look.notes, part.look.rules)
        ledgers = {
            partition: self._ledger(
                Judge(rules, self._memory(), eras.get(partition) or Eras(today), part.look.partitions),
                partition,
                one.first,
            )
            for partition, one in part.ranges.items()
        }
        sources = {TopicPartition(part.raw_topic, partition): one for partition, one in part.ranges.items()}
        async with open_raw(part.settings, sources, bytes_max=self._bytes(_RAW_SHARE)) as stream:
            ends = {partition: one.end for partition, one in part.ranges.items()}
            yield AuditLine(RawSource(stream, part.raw_topic), ledgers, ends, self.on_deliveries)

    @asynccontextmanager
    async def of_plan(self, plan: ReplayPlan, progress: Mapping[int, ReplayProgress]) -> AsyncIterator[AuditLine]:
        """The way of a replay or a redrive, as far as it has come."""
        rules = deliver_rules(self.part.settings.endpoints, self.part.settings, discover())
        rules = replace(rules, replay=plan.id)
        today = rules_version(self.part.settings, self.part.settings.endpoints, discover())
        eras = Eras(today, () if plan.rules == today.judging else (Era(0, None),))
        if plan.source == "raw":
            async with self._replay(plan, progress, rules, eras) as line:
                yield line
        else:
            async with self._redrive(plan, progress, rules, eras) as line:
                yield line

    @asynccontextmanager
    async def outputs(self, suffix: str) -> AsyncIterator[OutputStream]:
        """The records of the live topics, or of the topics of a suffix."""
        settings, end = self.part.settings, f".{suffix}"
        lanes = {
            TopicPartition(full_name(topic, settings), partition): one
            for (topic, partition), one in self.part.look.lanes.items()
            if (topic.endswith(end) if suffix else "." not in topic)
        }
        async with open_outputs(settings, lanes, bytes_max=self._bytes(_OUTPUTS_SHARE)) as stream:
            yield stream

    @asynccontextmanager
    async def _replay(
        self, plan: ReplayPlan, progress: Mapping[int, ReplayProgress], rules: Rules, eras: Eras
    ) -> AsyncIterator[AuditLine]:
        part = self.part
        firsts = part.look.raw_first
        ranges = {
            one.partition: _done(one, firsts.get(one.partition, 0), progress[one.partition])
            for one in plan.ranges
            if one.partition in part.partitions
        }
        ranges = {partition: one for partition, one in ranges.items() if one.count}
        ground = await ground_of(part.settings, plan, rules, list(ranges.values()))
        task = Task(plan, rules, ground.known)
        ledgers = {}
        for partition, one in ranges.items():
            seen = self._memory()
            state = await open_state(part.settings, task, ground, one, ReplayProgress(next=one.first), seen=seen)
            judge = ReplayJudge(rules, seen, eras, self._partitions(plan), task, state)
            ledgers[partition] = self._ledger(judge, partition, one.first, plan)
        sources = {TopicPartition(part.raw_topic, partition): one for partition, one in ranges.items()}
        async with open_raw(part.settings, sources, bytes_max=_BYTES_MIN) as stream:
            ends = {partition: one.end for partition, one in ranges.items()}
            yield AuditLine(RawSource(stream, part.raw_topic), ledgers, ends, self.on_deliveries, plan)

    @asynccontextmanager
    async def _redrive(
        self, plan: ReplayPlan, progress: Mapping[int, ReplayProgress], rules: Rules, eras: Eras
    ) -> AsyncIterator[AuditLine]:
        part = self.part
        task = Task(plan, rules, Known())
        ledgers = {}
        for partition in part.partitions:
            seen = self._memory(window_s=_FOREVER_S)
            state = Replaying(plan.id, partition, seen, ReplayProgress(next=0))
            judge = ReplayJudge(rules, seen, eras, self._partitions(plan), task, state)
            ledgers[partition] = self._ledger(judge, partition, 0, plan)
        topic = full_name("rejected", part.settings)
        # All of it, wherever the audit's own range begins: a redrive reads what was rejected long ago.
        sources = {
            TopicPartition(topic, one.partition): replace(one, end=progress[one.partition].next) for one in plan.ranges
        }
        async with open_raw(part.settings, sources, bytes_max=_BYTES_MIN) as stream:
            source = RejectedSource(stream, task, frozenset(part.partitions))
            yield AuditLine(source, ledgers, part.look.raw_end, self.on_deliveries, plan)

    def _ledger(self, judge: Judge, partition: int, first: int, plan: ReplayPlan | None = None) -> PartitionLedger:
        suffix = plan.choice.into if plan is not None and plan.choice.into else ""
        begins_at_ms = {
            (topic.removesuffix(f".{suffix}"), lane): at
            for (topic, lane), at in self.part.look.begins_at_ms.items()
            if (topic.endswith(f".{suffix}") if suffix else "." not in topic)
        }
        return PartitionLedger(
            judge=judge,
            raw_topic=self.part.raw_topic,
            partition=partition,
            first=first,
            knows_all_before=plan is None and first == 0,
            begins_at_ms=begins_at_ms,
            held_bytes_max=self._bytes(_HELD_SHARE) // max(1, len(self.part.partitions)),
            written_since_ms=None if plan is None else begun_at_ms(plan),
            may_leave_out=plan is not None and plan.source == "rejected",
            is_redriven=self.part.is_moving,
        )

    def _memory(self, window_s: int | None = None) -> DiskSightings:
        process = self.part.settings.process
        return DiskSightings(
            self.seen,
            next(self._numbers),
            window_s=process.dedupe_window_hours * _HOUR_S if window_s is None else window_s,
            keys_max=process.dedupe_keys_max,
            bucket_max=process.records_per_round_max,
        )

    def _partitions(self, plan: ReplayPlan) -> dict[str, int]:
        """How many partitions the topics have that the plan writes to, by their names without its suffix."""
        end = f".{plan.choice.into}" if plan.choice.into else ""
        counts = self.part.look.partitions
        return {topic: counts.get(topic + end, number) for topic, number in counts.items() if "." not in topic}

    def _bytes(self, share: float) -> int:
        return max(_BYTES_MIN, int((self.part.memory_bytes_max - _IDLE_BYTES) * share))


def _done(one: Range, first: int, progress: ReplayProgress) -> Range:
    """The part of a plan's range that it has come through and that is there still."""
    return replace(one, first=max(one.first, first), end=progress.next)
