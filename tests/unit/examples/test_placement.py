"""Where the example consumer reads a partition from; what the cluster answers is as Kafka gives it (KIP-88)."""

from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from placement import Placement, Start

ORDERS = TopicPartition("orders", 0)
OTHER = TopicPartition("orders", 1)
GAPS = TopicPartition("gaps", 0)
NONE = -1


class Cluster(AIOKafkaAdminClient):  # type: ignore[misc] # aiokafka has no types
    """Answers for the group's coordinator: the committed offsets, or that it is moving."""

    def __init__(self) -> None:
        self.committed: dict[TopicPartition, int] = {}
        self.is_moving = False

    async def find_coordinator(self, _group: str, _kind: int = 0) -> int:
        return 1

    async def _send_request(self, _request: object, _node: int | None = None) -> OffsetFetchResponse_v3:
        if self.is_moving:
            return OffsetFetchResponse_v3(0, [], NotCoordinatorForGroupError.errno)
        found = [(one.topic, [(one.partition, offset, "", 0)]) for one, offset in self.committed.items()]
        return OffsetFetchResponse_v3(0, found, 0)


class Consumer:
    """The positions that it was given; `error` is what it raises once."""

    def __init__(self) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.error: KafkaError | None = None

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return dict.fromkeys(partitions, 3)

    @property
    def read(self) -> dict[TopicPartition, int]:
        return {one: offset for one, offset in self.positions.items() if one not in self.paused}


class Reader:
    def __init__(self, start: Start = None) -> None:
        self.cluster, self.consumer = Cluster(), Consumer()
        self.cluster.committed = {ORDERS: NONE, OTHER: NONE, GAPS: NONE}
        consumer: Any = self.consumer
        self.placement = Placement(consumer, self.cluster, group="group", gaps="gaps", start=start)

    async def given(self, *partitions: TopicPartition) -> dict[TopicPartition, int]:
        await self.placement.on_partitions_revoked([ORDERS, OTHER, GAPS])
        await self.placement.on_partitions_assigned(partitions)
        await self.placement.place()
        return self.consumer.read


async def test_a_group_goes_on_where_it_stood_and_begins_where_there_is_none() -> None:
    """Gaps from the beginning every time, for what is missing is their sum."""
    reader = Reader()
    reader.cluster.committed |= {ORDERS: 41, GAPS: 7}
    assert await reader.given(ORDERS, OTHER, GAPS) == {ORDERS: 41, OTHER: 3, GAPS: 3}


async def test_a_coordinator_that_moves_is_no_group_that_has_committed_nothing() -> None:
    """Nothing is read until it answers, and then from where the group stood."""
    reader = Reader()
    reader.cluster.committed[ORDERS] = 41
    reader.cluster.is_moving = True
    assert await reader.given(ORDERS, GAPS) == {}
    reader.cluster.is_moving = False
    await reader.placement.place()
    assert reader.consumer.read == {ORDERS: 41, GAPS: 3}


async def test_an_error_passes_over_no_partition() -> None:
    """One that a retry may mend is tried again; any other one reaches the reader."""
    reader = Reader()
    reader.consumer.error = NodeNotReadyError()
    assert await reader.given(ORDERS) == {}
    await reader.placement.place()
    assert reader.consumer.read == {ORDERS: 3}
    reader.consumer.error = TopicAuthorizationFailedError()
    with pytest.raises(TopicAuthorizationFailedError):
        await reader.given(ORDERS)


async def test_from_counts_once_and_until_something_is_committed() -> None:
    """After a rebalance it goes on, and what was never committed is placed as at first."""
    reader = Reader(start="beginning")
    reader.cluster.committed[ORDERS] = 41
    assert await reader.given(ORDERS) == {ORDERS: 3}
    assert await reader.given(ORDERS) == {ORDERS: 41}
    reader = Reader(start=(0, 99))
    assert await reader.given(ORDERS, OTHER, GAPS) == {ORDERS: 99, GAPS: 3}
    assert await reader.given(ORDERS, OTHER, GAPS) == {ORDERS: 99, GAPS: 3}
    reader.cluster.committed[ORDERS] = 101
    assert await reader.given(ORDERS, OTHER, GAPS) == {ORDERS: 101, GAPS: 3}


async def test_what_was_given_anew_meanwhile_is_placed_anew() -> None:
    """An answer of before a rebalance is not used after it."""
    reader = Reader()
    reader.cluster.committed[ORDERS] = 41

    class Rebalancing(Consumer):
        async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
            await reader.placement.on_partitions_revoked([ORDERS])
            return await super().beginning_offsets(partitions)

    consumer: Any = Rebalancing()
    reader.placement._consumer = consumer  # noqa: SLF001 it rebalances at the worst moment
    await reader.given(ORDERS)
    assert consumer.read == {}
