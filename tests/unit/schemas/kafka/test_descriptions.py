"""What the cluster's descriptions of topics and groups mean; the answers are as Kafka gives them."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from schemas.kafka.descriptions import (
    DescribedPartition,
    count_members,
    describe_configs,
    describe_topics,
    partitions_of_topic,
)
from tests.support.coordinating import topics_answer

LED = {"error_code": 0, "partition": 1, "leader": 2, "replicas": [2, 3], "isr": [2]}
LEADERLESS = {"error_code": 5, "partition": 0, "leader": -1, "replicas": [1], "isr": []}


class Answer:
    def __init__(self, **content: Any) -> None:
        self.content = content

    def to_object(self) -> dict[str, Any]:
        return self.content


class Cluster:
    """An admin client, and a client, whose cluster gives these answers."""

    def __init__(self, *answers: Any, partitions: int = 0) -> None:
        self.answers = list(answers)
        self.partitions = partitions

    async def describe_topics(self) -> list[Any]:
        return self.answers

    async def describe_configs(self, _resources: object) -> list[Any]:
        return self.answers

    async def describe_consumer_groups(self, _groups: object) -> list[Any]:
        return self.answers

    @property
    def cluster(self) -> "Cluster":
        return self

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=1)]

    async def send(self, _node: int, _request: object) -> SimpleNamespace:
        return topics_answer(raw=self.partitions)


async def test_a_partition_without_leader_is_a_partition() -> None:
    """Every partition of a topic is there by number, and says whether it can be read."""
    described = await describe_topics(Cluster({"topic": "raw", "error_code": 0, "partitions": [LED, LEADERLESS]}), ())
    assert described["raw"].partitions == (DescribedPartition(0, False, 1), DescribedPartition(1, True, 2))


async def test_a_topic_with_an_error_is_not_taken_for_missing() -> None:
    """Else a topic that the cluster may not show would be created a second time, or counted as empty."""
    forbidden = {"topic": "raw", "error_code": 29, "partitions": []}
    deleted = {"topic": "gone", "error_code": 3, "partitions": []}
    described = await describe_topics(Cluster(forbidden, deleted), ())
    assert list(described) == ["raw"]
    with pytest.raises(TopicAuthorizationFailedError, match="raw"):
        _ = described["raw"].partitions


async def test_settings_that_are_not_shown_are_an_error() -> None:
    """A topic whose settings the cluster refuses to show is not taken for one that is missing."""
    shown = {"error_code": 0, "resource_name": "raw"} | {
        "config_entries": [{"config_names": "retention.ms", "config_value": "5", "config_source": 1}]
    }
    assert await describe_configs(Cluster(Answer(resources=[shown])), ["raw"]) == {"raw": [("retention.ms", "5", 1)]}
    refused = {"error_code": 29, "resource_name": "raw", "config_entries": []}
    with pytest.raises(TopicAuthorizationFailedError, match="raw"):
        await describe_configs(Cluster(Answer(resources=[refused])), ["raw"])


@pytest.mark.parametrize(("code", "raised"), [(14, GroupLoadInProgressError), (16, NotCoordinatorForGroupError)])
async def test_a_group_is_not_empty_because_its_coordinator_moves(code: int, raised: type[KafkaError]) -> None:
    """Else offsets would be set under a group that consumes."""
    there = Answer(groups=[{"error_code": 0, "members": [{}, {}]}])
    assert await count_members(Cluster(there), "deliver") == 2
    with pytest.raises(raised, match="deliver"):
        await count_members(Cluster(Answer(groups=[{"error_code": code, "members": []}])), "deliver")


@pytest.mark.parametrize("known", [0, -3])
async def test_a_topic_that_the_metadata_do_not_name_has_no_end(known: int) -> None:
    """Else all of it would count as read, and ids that lie unread in it as missing."""
    assert [one.partition for one in await partitions_of_topic(Cluster(partitions=2), "raw")] == [0, 1]
    with pytest.raises(UnknownTopicOrPartitionError):
        await partitions_of_topic(Cluster(partitions=known), "raw")
