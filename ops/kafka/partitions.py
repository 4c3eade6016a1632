"""Finds the partitions of topics by their names: all, those that can be read now, and how far each is written."""

import asyncio
import time
from collections.abc import Sequence

from aiokafka import TopicPartition

from ops.kafka.clients import REQUEST_TIMEOUT_MS, admin, consumer
from ops.suggest import nearest
from schemas.errors import DropstreamError
from schemas.kafka.descriptions import describe_topics
from schemas.settings import Settings

_LEADER_ASKED_EVERY_S = 0.5


class UnreadablePartitionError(DropstreamError):
    """A partition gives no records although the cluster answers; the text says which one and why."""


async def partitions_of(settings: Settings, topics: Sequence[str]) -> list[TopicPartition]:
    """Every partition of `topics` (full names), with a leader or without.

    Raises:
        DropstreamError: a topic does not exist; names the nearest.
    """
    return list(await _described(settings, topics))


async def readable_partitions_of(settings: Settings, topics: Sequence[str]) -> list[TopicPartition]:
    """Every partition of `topics` (full names), once each has a leader.

    Raises:
        UnreadablePartitionError: a partition has none for as long as a request may take.
        DropstreamError: a topic does not exist; names the nearest.
    """
    deadline = time.monotonic() + REQUEST_TIMEOUT_MS / 1000
    while True:
        found = await _described(settings, topics)
        leaderless = [one for one, is_led in found.items() if not is_led]
        if not leaderless:
            return list(found)
        if time.monotonic() > deadline:
            one, more = leaderless[0], len(leaderless) - 1
            others = f", and {more} more have none" if more else ""
            raise UnreadablePartitionError(
                f"partition {one.partition} of {one.topic} has no leader{others}: all brokers that hold it are away"
            )
        await asyncio.sleep(_LEADER_ASKED_EVERY_S)


async def _described(settings: Settings, topics: Sequence[str]) -> dict[TopicPartition, bool]:
    """Whether each partition of the topics has a leader."""
    async with admin(settings) as client:
        described = await describe_topics(client, topics)
        found = {
            TopicPartition(topic, one.number): one.has_leader
            for topic in topics
            for one in (described[topic].partitions if topic in described else ())
        }
    missing = [topic for topic in topics if topic not in described]
    if missing:
        prefix = settings.kafka.topic_prefix
        own = [one.removeprefix(prefix) for one in described if not one.startswith("__")]
        hint = nearest(missing[0].removeprefix(prefix), own)
        raise DropstreamError(f"no such topic: {', '.join(missing)}{hint}; dropstream topics plan shows what there is")
    return found


async def written_ends(settings: Settings, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """The end of each partition, open transactions included."""
    async with consumer(settings, isolation_level="read_uncommitted") as client:
        client.assign(partitions)
        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
            ends: dict[TopicPartition, int] = await client.end_offsets(partitions)
    return ends


def held_back(partition: TopicPartition, position: int, end: int, seconds: float) -> UnreadablePartitionError:
    """The error for a partition whose log goes on to `end`, and gave nothing at `position` for so many seconds."""
    return UnreadablePartitionError(
        f"partition {partition.partition} of {partition.topic} gives nothing at offset {position} for {seconds:.0f} s, "
        f"though its log goes on to offset {end}: a transaction is open there, or its leader is not well; "
        "kafka-transactions.sh find-hanging shows such a transaction, see docs/guarantees.md"
    )
