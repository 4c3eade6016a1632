"""The committed offsets of a group, asked for in a way that cannot mistake an error for "nothing committed".

aiokafka 0.14 sends version 3 of OffsetFetch, whose answer has an error of its own beside one per partition (KIP-88),
and reads only the latter: while a coordinator moves or loads, its `committed()` gives None, and a group that then
begins at the start of the log processes everything twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import CoordinatorNotAvailableError, KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

Answer = TypeVar("Answer")

_NONE_COMMITTED = -1
# A coordinator that is young, moves or loads answers within seconds.
_PATIENCE_S = 15.0
_POLL_S = 0.2


async def committed_offset(client: AIOKafkaClient, group: str, source: TopicPartition) -> int | None:
    """The group's committed offset; None only when its coordinator says that there is none.

    Raises:
        KafkaError: the coordinator is away, moving or loading, or refuses; ask again.
    """
    return (await committed_offsets(client, group, [source]))[source]


async def committed_offsets(
    client: AIOKafkaClient, group: str, sources: Collection[TopicPartition] | None
) -> dict[TopicPartition, int | None]:
    """The committed offsets of `sources`, in one request; `sources` None is every partition with a committed offset.

    Raises:
        KafkaError: one of the offsets cannot be read now, as in `committed_offset`.
    """
    if client.get_random_node() is None:
        # aiokafka's `coordinator_lookup` ends with an AssertionError here.
        raise CoordinatorNotAvailableError("the cluster names no node that serves, as one does whose nodes are fenced")
    coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group)
    asked = None if sources is None else [(source.topic, [source.partition]) for source in sources]
    answer = await client.send(coordinator, OffsetFetchRequest(group, asked))
    found = {
        TopicPartition(topic, partition): (offset, error)
        for topic, partitions in answer.topics
        for partition, offset, _metadata, error in partitions
    }
    if answer.error_code:
        raise for_code(answer.error_code)(f"the committed offsets of {group} cannot be read now")
    return {source: _read_offset(source, found) for source in (found if sources is None else sources)}


def _read_offset(source: TopicPartition, found: Mapping[TopicPartition, tuple[int, int]]) -> int | None:
    if source not in found:
        raise CoordinatorNotAvailableError(f"the coordinator says nothing about {source}")
    offset, error = found[source]
    if error:
        raise for_code(error)(f"the committed offset of {source} cannot be read now")
    return None if offset == _NONE_COMMITTED else offset


async def ask_patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `ask` returns, asked again while the coordinator says that it cannot answer yet.

    Raises:
        KafkaError: the coordinator refuses for good.
        TimeoutError: it did not answer within 15 seconds.
    """
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                return await ask()
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(_POLL_S)
