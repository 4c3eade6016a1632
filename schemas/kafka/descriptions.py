"""What the cluster says of topics and groups, and the error that an answer has instead.

aiokafka's admin client gives such errors as numbers beside empty lists. Who looks at the list alone takes a topic for
missing and a group for empty; so nobody asks for a description but here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from schemas.kafka.errors import error_of
from schemas.kafka.rights.named_metadata import named_topics, topics_there

_NO_LEADER = -1
# What Kafka calls a group of which it knows nothing, neither members nor offsets.
_NO_SUCH_GROUP = "Dead"


@dataclass(frozen=True, slots=True)
class DescribedPartition:
    """A partition as the metadata have it; it can be neither read nor written while it has no leader."""

    number: int
    has_leader: bool
    replicas: int


@dataclass(frozen=True, slots=True)
class DescribedTopic:
    """A topic as the metadata have it; of one whose answer has an `error` nothing else is known."""

    name: str
    error: type[KafkaError] | None
    known_partitions: tuple[DescribedPartition, ...]

    @property
    def partitions(self) -> tuple[DescribedPartition, ...]:
        """Its partitions, at least one, by number.

        Raises:
            KafkaError: the cluster answered with an error.
        """
        if self.error is not None:
            told = self.name if self.error is TopicAuthorizationFailedError else f"no description of topic {self.name}"
            raise self.error(told)
        return self.known_partitions


async def describe_topics(client: AIOKafkaAdminClient, wanted: Collection[str]) -> dict[str, DescribedTopic]:
    """Every topic that the cluster shows us by its name, and those of `wanted` (full names) that it hides from us.

    One that is being deleted is left out. The list of all topics leaves out those without the right Describe, so what
    is not in it is asked for by name, in a way that creates nothing.
    """
    found = (_topic(one) for one in await client.describe_topics())
    described = {one.name: one for one in found if one.error or one.known_partitions}
    if not (unseen := [one for one in wanted if one not in described]):
        return described
    try:
        named = await named_topics(client._client, unseen)
    except (IncompatibleBrokerVersion, NotImplementedError):
        return described
    hidden = {name: one.error for name, one in named.items() if one.error is TopicAuthorizationFailedError}
    return described | {name: DescribedTopic(name, error, ()) for name, error in hidden.items()}


def _topic(answer: Mapping[str, Any]) -> DescribedTopic:
    error: type[KafkaError] | None = for_code(answer["error_code"]) if answer["error_code"] else None
    if error is UnknownTopicOrPartitionError:
        return DescribedTopic(answer["topic"], None, ())
    partitions = (
        DescribedPartition(one["partition"], one["leader"] != _NO_LEADER, len(one["replicas"]))
        for one in answer["partitions"]
    )
    return DescribedTopic(answer["topic"], error, tuple(sorted(partitions, key=lambda one: one.number)))


async def describe_configs(
    client: AIOKafkaAdminClient, topics: Collection[str]
) -> dict[str, list[tuple[str, str, int]]]:
    """The settings of each topic: name, value, and Kafka's number for where the value comes from.

    Raises:
        KafkaError: the cluster does not say; of which topic, the message tells.
    """
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics])
    found = {}
    for one in (resource for answer in answers for resource in answer.to_object()["resources"]):
        if one["error_code"]:
            name = one["resource_name"]
            raise error_of(one["error_code"], name, f"the cluster does not show the settings of topic {name}")
        entries = one["config_entries"]
        found[one["resource_name"]] = [
            (entry["config_names"], entry["config_value"] or "", entry["config_source"]) for entry in entries
        ]
    return found


async def count_members(client: AIOKafkaAdminClient, group: str) -> int:
    """How many members the group has; 0 for a group that the cluster does not know.

    Raises:
        KafkaError: the coordinator moves, loads or is away, or refuses; ask again.
    """
    described = [
        one for answer in await client.describe_consumer_groups([group]) for one in answer.to_object()["groups"]
    ]
    for one in described:
        if one["error_code"]:
            raise error_of(one["error_code"], group, f"the members of group {group} are not known")
    return sum(len(one["members"]) for one in described)


async def group_exists(client: AIOKafkaAdminClient, group: str) -> bool:
    """Whether the group's coordinator knows the group.

    A list of groups is no proof: a node that has just taken over lists nothing until it has read what it took over.

    Raises:
        KafkaError: the coordinator moves, loads or is away, or refuses; ask again.
    """
    described = [
        one for answer in await client.describe_consumer_groups([group]) for one in answer.to_object()["groups"]
    ]
    for one in described:
        if one["error_code"]:
            raise for_code(one["error_code"])(f"whether there is a group {group} is not known")
    return any(one["state"] != _NO_SUCH_GROUP for one in described)


async def partitions_of_topic(client: AIOKafkaClient, topic: str) -> list[TopicPartition]:
    """Every partition of the topic, at least one.

    Raises:
        KafkaError: the cluster cannot be asked, or does not name the topic now.
    """
    count = (await topics_there(client, [topic])).get(topic)
    if not count:
        raise UnknownTopicOrPartitionError(f"the metadata do not name topic {topic}")
    return [TopicPartition(topic, one) for one in range(count)]
