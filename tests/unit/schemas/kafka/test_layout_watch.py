"""What the watch of the layout tells of the cluster, where the topic itself cannot be read."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from schemas.configuration import Context, read_configuration
from schemas.kafka.layout_watch import LayoutWatch
from schemas.kafka.rights.requests import NamedMetadataRequest
from tests.support.coordinating import topics_answer


class Cluster:
    """A consumer and its client, whose cluster answers, though the partition of `layout` has no leader."""

    def __init__(self) -> None:
        self._client = self.cluster = self
        self.waits = asyncio.Event()

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=1)]

    async def send(self, _node: int, _request: object) -> SimpleNamespace:
        return SimpleNamespace(topics=[(0, "dropstream.layout", False, [()], -(2**31))])

    async def end_offsets(self, _partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.waits.set()
        await asyncio.Event().wait()
        return {}


async def test_a_layout_that_cannot_be_read_is_no_silence_of_the_cluster() -> None:
    """An idle ingress rests on that: its Kafka takes deliveries, and one partition without leader says nothing else."""
    cluster: Any = Cluster()
    watch = LayoutWatch(read_configuration("[endpoints]", source="test", context=Context({}, ())))
    look = asyncio.ensure_future(watch.look(cluster))
    await cluster.waits.wait()
    assert watch.answered_at > 0.0
    assert not watch.is_known
    look.cancel()
    await asyncio.wait({look})


class Shared:
    """A consumer and its client, on a cluster of ten thousand topics of others: it tells of topics by name alone."""

    def __init__(self) -> None:
        self._client = self.cluster = self

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=1)]

    async def send(self, _node: int, request: NamedMetadataRequest) -> SimpleNamespace:
        """Two topics are there, one may not be seen (29), the others are missing (3)."""
        known = {"raw": 4, "deliver-state": 4, "sequence": -29}
        named: list[str] = vars(request)["_topics"]
        return topics_answer(**{one: known.get(one.removeprefix("dropstream."), -3) for one in named})


async def test_partitions_are_counted_by_name() -> None:
    """The list of all topics is never asked for; a topic that is missing, or may not be seen, has no count."""
    cluster: Any = Shared()
    watch = LayoutWatch(read_configuration("[endpoints]", source="test", context=Context({}, ())))
    await watch.look(cluster)
    assert watch.counts == {"raw": 4, "deliver-state": 4}
    assert (watch.layout, watch.is_known) == (None, True)
