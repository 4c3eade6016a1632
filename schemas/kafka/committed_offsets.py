"""The committed offsets of a group, asked for in a way that cannot mistake an error for "nothing committed".

aiokafka 0.14 sends version 3 of OffsetFetch, whose answer has an error of its own beside one per partition (KIP-88),
and reads only the latter: while a coordinator moves or loads, its `committed()` gives None, and a group that then
begins at the start of the log processes everything twice. Version 7 can also leave out what a transaction that has not
ended may still move (KIP-447). Its fields:
https://github.com/apache/kafka/blob/4.1/clients/src/main/resources/common/message/OffsetFetchRequest.json
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import CoordinatorNotAvailableError, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from schemas.kafka.errors import UnstableOffsetError, error_of

Answer = TypeVar("Answer")

_NONE_COMMITTED = -1
# A coordinator that is young, moves or loads answers within seconds.
_PATIENCE_S = 15.0
_POLL_S = 0.2


class OffsetFetchResponse_v7(Response):  # type: ignore[misc] # aiokafka ships no types  # noqa: N801 its way
    """Each partition with its committed offset or an error, and an error of the whole."""

    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class OffsetFetchRequest_v7(RequestStruct):  # type: ignore[misc] # as above  # noqa: N801 as above
    """Which committed offsets of a group are asked for; `topics` None is all of them."""

    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = OffsetFetchResponse_v7
    SCHEMA = Schema(
        ("group_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class CommittedRequest(Request[OffsetFetchRequest_v7]):  # type: ignore[misc] # as above
    """OffsetFetch in version 7 and no other: an older one would say "stable" of what is not."""

    API_KEY = 9

    def __init__(self, group: str, sources: Collection[TopicPartition] | None, *, stable: bool) -> None:
        topics: dict[str, list[int]] = defaultdict(list)
        for source in sources or ():
            topics[source.topic].append(source.partition)
        asked: list[tuple[str, list[int], dict[int, bytes]]] | None = None
        if sources is not None:
            asked = [(topic, numbers, {}) for topic, numbers in topics.items()]
        self._fields = (group, asked, stable)

    def build(self, request_struct_class: type[OffsetFetchRequest_v7]) -> OffsetFetchRequest_v7:
        """The request as it is sent."""
        return request_struct_class(*self._fields, {})


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

    A transaction that has not ended counts for nothing.

    Raises:
        KafkaError: one of the offsets cannot be read now, as in `committed_offset`.
    """
    found = await _fetched(client, group, sources, stable=False)
    return {source: _read_offset(source, found) for source in (found if sources is None else sources)}


async def committed_offsets_by(
    consumer: AIOKafkaConsumer, group: str, sources: Collection[TopicPartition]
) -> dict[TopicPartition, int | None]:
    """`committed_offsets`, asked over the connections of a consumer, which need not belong to the group."""
    return await committed_offsets(consumer._client, group, sources)


async def stable_offsets(
    client: AIOKafkaClient, group: str, sources: Collection[TopicPartition]
) -> dict[TopicPartition, int | None]:
    """The committed offsets that nothing can move any more but a member of today; the others are left out.

    A position that was accepted from a former owner stays pending until its transaction ends; one that comes later is
    refused. So an offset that is stable, asked for by a member of the new generation, is final. Ask again for those
    that are left out.

    Raises:
        KafkaError: the coordinator is away, moving or loading, or refuses; ask again.
    """
    found = await _fetched(client, group, sources, stable=True)
    ended = [one for one in sources if one not in found or found[one][1] != UnstableOffsetError.errno]
    return {source: _read_offset(source, found) for source in ended}


async def _fetched(
    client: AIOKafkaClient, group: str, sources: Collection[TopicPartition] | None, *, stable: bool
) -> dict[TopicPartition, tuple[int, int]]:
    """For each partition of the answer its offset and the code of its error."""
    if client.get_random_node() is None:
        # aiokafka's `coordinator_lookup` ends with an AssertionError here.
        raise CoordinatorNotAvailableError("the cluster names no node that serves, as one does whose nodes are fenced")
    coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group)
    # Not behind a fetch: a node answers the requests of a connection one after the other.
    request = CommittedRequest(group, sources, stable=stable)
    answer = await client.send(coordinator, request, group=ConnectionGroup.COORDINATION)
    if answer.error_code:
        raise error_of(answer.error_code, group, f"the committed offsets of {group} cannot be read now")
    return {
        TopicPartition(topic, partition): (offset, error)
        for topic, partitions, _ in answer.topics
        for partition, offset, _epoch, _metadata, error, _ in partitions
    }


def _read_offset(source: TopicPartition, found: Mapping[TopicPartition, tuple[int, int]]) -> int | None:
    if source not in found:
        raise CoordinatorNotAvailableError(f"the coordinator says nothing about {source}")
    offset, error = found[source]
    if error:
        raise error_of(error, source.topic, f"the committed offset of {source} cannot be read now")
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
