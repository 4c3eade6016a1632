"""Up to when the group upstream has read its topic; the coordinator's answers are as Kafka gives them (KIP-88)."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import NotCoordinatorForGroupError

from processors.runtime.clock.upstream import Upstream
from schemas.kafka.committed_offsets import OffsetFetchResponse_v7
from schemas.kafka.rights.requests import NamedMetadataRequest
from tests.support.coordinating import offsets_answer, topics_answer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, OTHER = TopicPartition("raw", 0), TopicPartition("raw", 1)
NONE = -1


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Cluster:
    """The topic `raw`, and what the group has committed in it; both a client and a consumer."""

    def __init__(self, *, ends: tuple[int, int], committed: tuple[int, int], begins: tuple[int, int] = (0, 0)) -> None:
        self.ends, self.committed, self.begins = ends, committed, begins
        self.error = 0

    @property
    def cluster(self) -> "Cluster":
        return self

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=1)]

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {one: self.ends[one.partition] for one in partitions}

    async def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {one: self.begins[one.partition] for one in partitions}

    def get_random_node(self) -> int:
        return 1

    async def coordinator_lookup(self, _kind: int, _group: str) -> int:
        return 1

    async def send(
        self, _node: int, request: object, **_connection: object
    ) -> OffsetFetchResponse_v7 | SimpleNamespace:
        if isinstance(request, NamedMetadataRequest):
            return topics_answer(raw=2)
        found = [("raw", [(number, offset, "", 0)]) for number, offset in enumerate(self.committed)]
        return offsets_answer([] if self.error else found, self.error)


async def ask(upstream: Upstream, cluster: Cluster, second: int) -> datetime | None:
    both: Any = cluster
    return await upstream.read_until(both, both, at(second))


async def test_what_is_read_is_known_by_the_next_call() -> None:
    """What the group has written has a second to arrive, and the moment is that of looking."""
    upstream, cluster = Upstream("deliver", "raw"), Cluster(ends=(5, 0), committed=(5, NONE))
    assert [await ask(upstream, cluster, second) for second in (0, 1, 2)] == [None, at(0), at(1)]


async def test_one_record_unread_stops_the_clock() -> None:
    """Whichever partition it lies in; read, time goes on from when it was seen."""
    upstream, cluster = Upstream("deliver", "raw"), Cluster(ends=(5, 1), committed=(5, NONE))
    assert [await ask(upstream, cluster, second) for second in (0, 1, 2)] == [None, None, None]
    cluster.committed = (5, 1)
    assert [await ask(upstream, cluster, second) for second in (3, 4, 5)] == [None, at(0), at(4)]


async def test_under_load_the_clock_goes_on() -> None:
    """Something is unread at every moment, and it is never the same."""
    upstream, cluster, known = Upstream("deliver", "raw"), Cluster(ends=(5, 5), committed=(4, 4)), None
    for second in range(10):
        known = await ask(upstream, cluster, second)
        cluster.committed, cluster.ends = cluster.ends, (cluster.ends[0] + 7, cluster.ends[1] + 3)
    assert known is not None
    assert known >= at(6)


async def test_what_was_deleted_unread_stops_nothing() -> None:
    """A group that was away for longer than the topic keeps its records will never commit them."""
    upstream, cluster = Upstream("deliver", "raw"), Cluster(ends=(5, 9), committed=(2, NONE), begins=(5, 9))
    assert [await ask(upstream, cluster, second) for second in (0, 1)] == [None, at(0)]


async def test_an_error_is_no_answer() -> None:
    """A coordinator that moves has not said that nothing is left."""
    upstream, cluster = Upstream("deliver", "raw"), Cluster(ends=(0, 0), committed=(NONE, NONE))
    cluster.error = NotCoordinatorForGroupError.errno
    with pytest.raises(NotCoordinatorForGroupError):
        await ask(upstream, cluster, 0)
    cluster.error = 0
    assert [await ask(upstream, cluster, second) for second in (1, 2)] == [None, at(0)]
