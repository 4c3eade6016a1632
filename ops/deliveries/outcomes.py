"""Finds in the topics what became of some deliveries, by reading them forwards from the time of receipt.

A delivery's records are written in one transaction, mostly within a second; those of a redrive lie where the redrive
began. What is not found within the bounds stays unknown, and is never called lost.
"""

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import TopicPartition

from ops.deliveries.backwards import ChunkReader
from ops.deliveries.summary import DeliveryOutcome, DeliverySummary, Summaries, mention_in, named_offset
from ops.kafka.reader import full_name
from ops.replay.store import read_store
from schemas.notes.replays import ReplayPlan
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from schemas.times import timestamp_ms
from schemas.vocabulary import EVENT_TOPICS

OUTCOME_TOPICS = (*EVENT_TOPICS, "rejected", "duplicates")
_RECORDS_MAX = 60_000
_SECONDS_MAX = 4.0
# So far may the clock of the processors be behind that of the ingress.
_CLOCKS_APART_MS = 2_000
# The records of a transaction are made within this time.
_TRANSACTION_MS = 1_000
_PLAN_TIME = re.compile(r"^redrive-(\d{8}T\d{6})Z-")


@dataclass(slots=True)
class OutcomeReader:
    """Adds to `known` what became of deliveries; groups and redrives are asked for once."""

    settings: Settings
    reader: ChunkReader
    known: Summaries
    _committed: Mapping[int, int] | None = None
    _redrives: Sequence[ReplayPlan] | None = None

    async def complete(self, positions: Collection[Position]) -> None:
        """Looks for what became of the deliveries at these positions of `raw`, as far as it is not known."""
        undecided = self.known.undecided(positions)
        behind = [one for one in undecided if await self._is_waiting(one)]
        left = {one.position: one for one in undecided if one not in behind}
        if left:
            await self._look(left, OUTCOME_TOPICS, min(one.at_ms for one in left.values()) - _CLOCKS_APART_MS)
        rejected = [
            one
            for position in positions
            if (one := self.known.get(position)) is not None and one.outcome is DeliveryOutcome.REJECTED
        ]
        if rejected:
            await self._look_for_redriven(rejected)
        for one in behind:
            one.outcome = DeliveryOutcome.WAITING

    async def _is_waiting(self, one: DeliverySummary) -> bool:
        """Whether group `deliver` has not come to the delivery; False where nobody can say."""
        if self._committed is None:
            self._committed = await self.reader.group_positions(f"{self.settings.kafka.topic_prefix}deliver", "raw")
        committed = self._committed.get(one.position.partition)
        return committed is not None and one.position.offset >= committed

    async def _look_for_redriven(self, rejected: Sequence[DeliverySummary]) -> None:
        if self._redrives is None:
            store = await read_store(self.settings)
            self._redrives = [plan for plan in store.plans.values() if plan.source == "rejected"]
        wanted: dict[Position, DeliverySummary] = {}
        begins_ms: list[int] = []
        for one in rejected:
            times = [time_ms for plan in self._redrives if _covers(plan, one) and (time_ms := _began_ms(plan))]
            if times:
                wanted[one.position] = one
                begins_ms.append(min(times))
        if wanted:
            await self._look(wanted, EVENT_TOPICS, min(begins_ms) - _CLOCKS_APART_MS)

    async def _look(self, wanted: Mapping[Position, DeliverySummary], topics: tuple[str, ...], begin_ms: int) -> None:
        """Reads `topics` from a time on until all wanted deliveries are found and read past, or the bounds are met."""
        partitions = [one for topic in topics for one in self.reader.partitions[topic]]
        offsets = await self.reader.offsets(partitions, begin_ms, None)
        names = {full_name(topic, self.settings): topic for topic in topics}
        places = {(one.partition, one.offset): one for one in wanted}
        left, newest_ms, count = set(places), 0, 0
        # The newest time that was read of each partition that is not at its end.
        reached: dict[TopicPartition, int] = dict.fromkeys(offsets, 0)
        deadline = time.monotonic() + _SECONDS_MAX
        async for records in self.reader.read(offsets):
            for record in records:
                partition = TopicPartition(record.position.topic, record.position.partition)
                reached[partition] = record.timestamp_ms
                if record.position.offset + 1 >= offsets[partition][1]:
                    del reached[partition]
                place = named_offset(names[record.position.topic], record)
                if place in places and self._add(names[record.position.topic], record):
                    left.discard(place)
                    newest_ms = max(newest_ms, record.timestamp_ms)
            count += len(records)
            is_past = not left and all(at_ms > newest_ms + _TRANSACTION_MS for at_ms in reached.values())
            if is_past or count > _RECORDS_MAX or time.monotonic() > deadline:
                return

    def _add(self, topic: str, record: RawRecord) -> bool:
        mention = mention_in(topic, record)
        if mention is None or mention.position.topic != full_name("raw", self.settings):
            return False
        self.known.add(mention)
        return True


def _covers(plan: ReplayPlan, one: DeliverySummary) -> bool:
    """Whether the redrive took the rejected delivery."""
    if one.rejected is None:
        return False
    place, reason, _ = one.rejected
    partition, offset = map(int, place.split(":"))
    choice = plan.choice
    return (
        choice.endpoint in {None, one.endpoint}
        and choice.reason in {None, reason}
        and any(each.partition == partition and each.first <= offset < each.end for each in plan.ranges)
    )


def _began_ms(plan: ReplayPlan) -> int | None:
    """When the redrive was planned, by its id (ms since 1970)."""
    found = _PLAN_TIME.match(plan.id)
    return timestamp_ms(datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)) if found else None
