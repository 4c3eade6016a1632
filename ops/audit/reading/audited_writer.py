"""A writer of output records that the audit judges: the live group, a replay or a redrive.

Each writer has its own deliveries, memory of retries and ledgers. Records of a replay or a redrive bear its id in a
header, or lie in topics with its suffix.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from ops.audit.judging.judge import Judge, Judgement
from ops.audit.judging.ledger import PartitionLedger
from ops.audit.judging.records import ExpectedRecord
from ops.audit.reading.stream import PartitionStream
from processors.deliver.step import deliver
from processors.replay import Replaying, Task, replay_step
from schemas.notes.rejections import read_rejected
from schemas.notes.replays import ReplayPlan
from schemas.records import RawRecord, Record, next_offset
from schemas.vocabulary import EVENT_TOPICS


class DeliverySource(Protocol):
    """Gives the deliveries that a writer judged, in order within a partition of `raw`."""

    def until(self, offsets: Mapping[int, int]) -> AsyncIterator[Sequence[RawRecord]]:
        """The deliveries before these offsets, by partition of `raw`, that were not given before."""


@dataclass(slots=True)
class RejectedSource:
    """Gives the deliveries that a redrive chose, as they lie in `rejected`."""

    stream: PartitionStream
    task: Task
    partitions: frozenset[int]
    _given: dict[int, int] = field(default_factory=dict)

    async def until(self, offsets: Mapping[int, int]) -> AsyncIterator[Sequence[RawRecord]]:
        """The deliveries before these offsets, and some more: they lie in the order in which they were rejected."""
        while any(self._given.get(partition, 0) < offset for partition, offset in offsets.items()):
            records = await self.stream.more()
            if records is None:
                return
            chosen = []
            for record in records:
                found = read_rejected(record)
                if found is None or not self.task.wants(*found):
                    continue
                position = found[0].position
                if position.partition in self.partitions and position.offset >= self._given.get(position.partition, 0):
                    self._given[position.partition] = next_offset(position)
                    chosen.append(found[0])
            yield chosen


@dataclass(slots=True, eq=False)
class AuditedWriter:
    """A writer: the deliveries that it judged, and the ledger of each partition of `raw`.

    `ends` are the offsets of `raw` by partition before which the writer has written everything. `plan` is None for the
    live group. `parents` are, by partition that a migration made, the one that must be judged first and up to where.
    """

    source: DeliverySource
    ledgers: Mapping[int, PartitionLedger]
    ends: Mapping[int, int]
    on_deliveries: Callable[[int], None]
    plan: ReplayPlan | None = None
    parents: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    async def expect(self, until: Mapping[int, int]) -> None:
        """Makes the ledgers expect the records of all deliveries before these offsets, by partition of `raw`."""
        wanted = {partition: end for partition, end in until.items() if self.ledgers[partition].next < end}
        if not wanted:
            return
        await self._expect_parents(wanted)
        async for deliveries in self.source.until(wanted):
            for delivery in deliveries:
                self.ledgers[delivery.position.partition].expect(delivery)
            if self.plan is None:
                self.on_deliveries(len(deliveries))  # How many there are is known of the group alone.

    async def _expect_parents(self, wanted: Mapping[int, int]) -> None:
        """What a partition remembers that a migration made, its parent remembered first."""
        first: dict[int, int] = {}
        for partition in wanted.keys() & self.parents.keys():
            parent, end = self.parents[partition]
            if parent in self.ledgers:
                first[parent] = max(first.get(parent, 0), min(end, self.ends[parent]))
        if first:
            await self.expect(first)


@dataclass(slots=True)
class ReplayJudge(Judge):
    """Judges again the deliveries that a replay or a redrive judged."""

    task: Task
    state: Replaying

    def judge(self, raw: RawRecord, endpoint: str) -> Judgement:
        """The records that the replay or redrive ought to have written of the delivery."""
        if self.task.plan.source == "raw":
            records = [one for one in replay_step(raw, self.state, self.task) if one.topic != "sequence"]
        else:
            records = [one for one in deliver(raw, self.rules, self.state.deliveries) if one.topic in EVENT_TOPICS]
        offset = raw.position.offset
        return Judgement(self.placed(records, offset), self.eras.other_than_today(offset, endpoint))

    def placed(self, records: Sequence[Record], offset: int) -> tuple[ExpectedRecord, ...]:
        """The records of the chosen topics, each in the partition where it ought to be; topics without the suffix."""
        choice = self.task.plan.choice
        topics = {*(choice.topics or EVENT_TOPICS), *(("rejected", "duplicates") if choice.into else ())}
        plain = [replace(one, topic=one.topic.partition(".")[0]) for one in records]
        return Judge.placed(self, [one for one in plain if one.topic in topics], offset)


def begun_at_ms(plan: ReplayPlan) -> int:
    """The time at which the plan was made, from its id; milliseconds since 1970, 0 where the id has none."""
    try:
        moment = datetime.strptime(plan.id.split("-")[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return int(moment.timestamp() * 1000)
