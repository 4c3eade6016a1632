"""The first offset and the end of each partition, where the cluster can say them; one that cannot spoils no other.

aiokafka asks for all partitions together and goes on asking until the last of them has a leader, so that one partition
without a leader leaves all figures unknown.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

_TOGETHER_WITHIN_S = 5.0
_EACH_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class NotKnown:
    """A figure that nobody can say now; `why` is a phrase for a person."""

    why: str

    def __str__(self) -> str:
        return "unknown"


@dataclass(frozen=True, slots=True)
class LogBounds:
    """Offsets of a partition: of the first record that is kept, and behind the last one."""

    first: int
    end: int


async def log_bounds(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], *, leaderless: Collection[TopicPartition] = ()
) -> dict[TopicPartition, LogBounds | NotKnown]:
    """The bounds of each of `partitions`, within ten seconds; those in `leaderless` are not asked for."""
    found: dict[TopicPartition, LogBounds | NotKnown] = {
        one: NotKnown("the partition has no leader") for one in partitions if one in leaderless
    }
    led = [one for one in partitions if one not in found]
    try:
        found |= await _ask(consumer, led, _TOGETHER_WITHIN_S)
    except (KafkaError, TimeoutError):
        for answer in await asyncio.gather(*(_ask_one(consumer, one) for one in led)):
            found |= answer
    return found


async def _ask_one(consumer: AIOKafkaConsumer, partition: TopicPartition) -> dict[TopicPartition, LogBounds | NotKnown]:
    try:
        return await _ask(consumer, [partition], _EACH_WITHIN_S)
    except (KafkaError, TimeoutError) as error:
        return {partition: NotKnown(f"its leader does not answer ({type(error).__name__})")}


async def _ask(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], within_s: float
) -> dict[TopicPartition, LogBounds | NotKnown]:
    if not partitions:
        return {}
    async with asyncio.timeout(within_s):
        firsts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
    return {one: LogBounds(firsts[one], ends[one]) for one in partitions}
