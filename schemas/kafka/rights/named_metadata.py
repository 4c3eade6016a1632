"""Topics asked for by name: only so the cluster tells a topic that is not there from one that we may not see.

In a list of all topics those without the right Describe are left out, as if there were none.
"""

import asyncio
import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request

from schemas.kafka.rights.requests import NamedMetadataRequest

# A node that is well answers within milliseconds; one that hangs must not keep the others from being asked.
_NODE_WITHIN_S = 4.0


@dataclass(frozen=True, slots=True)
class NamedTopic:
    """What the cluster says of a topic: an error, or how many partitions; `operations` are bits of what we may do."""

    error: type[KafkaError] | None
    partitions: int
    operations: int


async def named_topics(client: AIOKafkaClient, names: Collection[str]) -> dict[str, NamedTopic]:
    """What the cluster says of each of these topics (full names); it creates none.

    Raises:
        KafkaError, TimeoutError: the cluster cannot be asked now.
        NotImplementedError: the brokers are older than Kafka 2.3.
    """
    if not names:
        return {}
    answer = await ask_any_node(client, NamedMetadataRequest(names))
    found = {
        topic: NamedTopic(for_code(code) if code else None, len(partitions), operations)
        for code, topic, _internal, partitions, operations in answer.topics
    }
    return {name: found.get(name, NamedTopic(UnknownTopicOrPartitionError, 0, 0)) for name in names}


async def ask_any_node(client: AIOKafkaClient, request: Request[Any]) -> Any:
    """What the first node says that answers; they are asked in any order, each for a few seconds.

    Raises:
        IncompatibleBrokerVersion, NotImplementedError: the brokers do not know the request.
        KafkaError, TimeoutError: no node answers, as the last one did not.
    """
    nodes = [one.nodeId for one in client.cluster.brokers()]
    failure: KafkaError | TimeoutError = CoordinatorNotAvailableError("the cluster names no node that serves")
    for node in random.sample(nodes, len(nodes)):
        try:
            async with asyncio.timeout(_NODE_WITHIN_S):
                return await client.send(node, request)
        except IncompatibleBrokerVersion:
            raise
        except (KafkaError, TimeoutError) as error:
            failure = error
    raise failure


async def topics_there(client: AIOKafkaClient, names: Collection[str]) -> dict[str, int]:
    """The number of partitions of those of these topics (full names) that are there.

    Raises:
        TopicAuthorizationFailedError: whether one is there is not to be known; its `args` are the names.
        KafkaError, TimeoutError: the cluster cannot be asked now, or says nothing of a topic.
    """
    try:
        found = await named_topics(client, names)
    except (IncompatibleBrokerVersion, NotImplementedError):
        # A broker older than Kafka 2.3, or one that only resembles Kafka: what it does not list is not there.
        cluster = await client.fetch_all_metadata()
        counts = {name: len(cluster.partitions_for_topic(name) or ()) for name in names}
        return {name: count for name, count in counts.items() if count}
    if hidden := sorted(name for name, one in found.items() if one.error is TopicAuthorizationFailedError):
        raise TopicAuthorizationFailedError(*hidden)
    for name, one in found.items():
        if one.error not in {None, UnknownTopicOrPartitionError}:
            raise one.error(f"the cluster does not describe topic {name}")
    return {name: one.partitions for name, one in found.items() if one.error is None}
