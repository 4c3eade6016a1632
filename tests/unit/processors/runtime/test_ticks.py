"""Which partitions time alone moves, while the leaders of some are silent or go away."""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from processors.deliver.dedupe import DedupeStore
from processors.runtime.clock import ticks as runtime
from processors.runtime.clock.ticks import Ticks
from processors.runtime.partition import Partition, PartitionState
from tests.support.waiting import until

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FROZEN, BUSY, FETCHED, GONE, LOST, WELL = range(6)


class Group:
    """Six partitions where something is due; the ends of all are asked for, and `on_asked` is called then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.partitions = [
            Partition(TopicPartition("dropstream.raw", number), DedupeStore(window_s=9), 7, PartitionState.OPEN)
            for number in range(6)
        ]
        self.ticked: list[list[int]] = []
        self.asked: set[int] = set()
        self.gone: set[int] = set()
        self.waits_for_frozen = self.side_by_side = False
        self.on_asked: Callable[[], None] = lambda: None
        self.spec = SimpleNamespace(name="deliver", witness=None, upstream=None, punctuate=lambda *_: [1])
        self.consumer = self
        monkeypatch.setattr(runtime, "_EVERY_S", 0.01)
        monkeypatch.setattr(runtime, "_END_WITHIN_S", 0.2)
        monkeypatch.setattr(runtime, "high_watermark", self.end)

    async def end(self, _: Any, source: TopicPartition) -> int:
        self.asked.add(source.partition)
        if source.partition == FROZEN:
            self.waits_for_frozen = True
            try:
                await asyncio.Event().wait()
            finally:
                self.waits_for_frozen = False
        if source.partition == LOST:
            raise KafkaConnectionError
        if source.partition == WELL:
            self.side_by_side = self.waits_for_frozen
            self.on_asked()
        return 7

    async def position(self, _: TopicPartition) -> int:
        return 7

    def of(self, state: PartitionState) -> list[Partition[DedupeStore]]:
        return [one for one in self.partitions if one.state is state and self.holds(one)]

    def holds(self, partition: Partition[DedupeStore]) -> bool:
        return partition.source.partition not in self.gone

    def tick(self, partitions: Collection[Partition[DedupeStore]], moment: datetime) -> None:
        assert moment == NOON
        self.ticked.append([one.source.partition for one in partitions])

    async def first_tick(self) -> list[int]:
        """What is ticked first."""
        group: Any = self
        running = asyncio.create_task(Ticks(group, group, lambda: NOON).run())
        await until(lambda: bool(self.ticked) or running.done())
        running.cancel()
        await asyncio.wait({running})
        return self.ticked[0]


async def test_a_frozen_leader_stops_no_other_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """All leaders are asked at once, and what they answered for is ticked."""
    group = Group(monkeypatch)
    assert await group.first_tick() == [BUSY, FETCHED, GONE, WELL]
    assert group.asked == set(range(6))
    assert group.side_by_side


async def test_what_changes_while_leaders_are_asked_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that has records, begins a transaction or goes is not moved by time."""
    group = Group(monkeypatch)

    def change() -> None:
        group.partitions[BUSY].is_busy = True
        group.partitions[FETCHED].add([ConsumerRecord("dropstream.raw", 2, 7, 0, 0, b"", b"", 0, 0, 0, ())])
        group.gone.add(GONE)

    group.on_asked = change
    assert await group.first_tick() == [WELL]
