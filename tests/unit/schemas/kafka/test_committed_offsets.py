"""What a coordinator's answer about a committed offset means. The answers are as Kafka gives them (KIP-88)."""

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    UnknownTopicOrPartitionError,
)

from schemas.kafka.committed_offsets import (
    OffsetFetchResponse_v7,
    committed_offset,
    committed_offsets,
    stable_offsets,
)
from tests.support.coordinating import OffsetsByTopic, offsets_answer

SOURCE = TopicPartition("raw", 7)


class Coordinator:
    """A broker that gives one answer."""

    def __init__(self, topics: OffsetsByTopic, error: int) -> None:
        self.answer = offsets_answer(topics, error)

    def get_random_node(self) -> int:
        return 1

    async def coordinator_lookup(self, _kind: int, _group: str) -> int:
        return 1

    async def send(self, _node: int, _request: object, **_connection: object) -> OffsetFetchResponse_v7:
        return self.answer


@pytest.mark.parametrize(("offset", "means"), [(0, 0), (41, 41), (-1, None)])
async def test_an_offset_is_an_offset_and_minus_one_is_none(offset: int, means: int | None) -> None:
    """A coordinator that knows the group is believed."""
    client = Coordinator([("raw", [(6, 99, "", 0), (7, offset, "", 0)])], 0)
    assert await committed_offset(client, "group", SOURCE) == means


@pytest.mark.parametrize(
    ("topics", "error", "raised"),
    [
        ([], 14, GroupLoadInProgressError),
        ([], 16, NotCoordinatorForGroupError),
        ([("raw", [(7, -1, "", 14)])], 0, GroupLoadInProgressError),
        ([("raw", [(7, -1, "", 3)])], 0, UnknownTopicOrPartitionError),
        ([], 0, CoordinatorNotAvailableError),
        ([("raw", [(6, 99, "", 0)])], 0, CoordinatorNotAvailableError),
    ],
)
async def test_an_error_is_never_taken_for_nothing_committed(
    topics: OffsetsByTopic, error: int, raised: type[KafkaError]
) -> None:
    """Else a group would begin at the start of the log whenever its coordinator moves."""
    with pytest.raises(raised):
        await committed_offset(Coordinator(topics, error), "group", SOURCE)


async def test_of_every_partition_each_error_is_an_error() -> None:
    """A coordinator that cannot answer for one partition has not answered for the others either."""
    answer: OffsetsByTopic = [("raw", [(6, 99, "", 0), (7, -1, "", 0)])]
    found = {TopicPartition("raw", 6): 99, SOURCE: None}
    assert await committed_offsets(Coordinator(answer, 0), "group", None) == found
    for topics, error in ((answer, 16), ([("raw", [(6, 99, "", 0), (7, -1, "", 14)])], 0)):
        with pytest.raises(KafkaError):
            await committed_offsets(Coordinator(topics, error), "group", None)


async def test_an_offset_that_a_transaction_may_still_move_is_left_out() -> None:
    """It is neither an offset nor "nothing committed"; any other error is one."""
    answer: OffsetsByTopic = [("raw", [(6, -1, "", 88), (7, 41, "", 0)])]
    asked = [TopicPartition("raw", 6), SOURCE]
    assert await stable_offsets(Coordinator(answer, 0), "group", asked) == {SOURCE: 41}
    with pytest.raises(GroupLoadInProgressError):
        await stable_offsets(Coordinator([("raw", [(6, -1, "", 14), (7, 41, "", 0)])], 0), "group", asked)


async def test_a_cluster_that_names_no_node_is_asked_again() -> None:
    """Where no node serves, as when the only one is fenced, the offset cannot be read for now."""
    client = AIOKafkaClient()
    with pytest.raises(CoordinatorNotAvailableError) as caught:
        await committed_offset(client, "group", SOURCE)
    assert caught.value.retriable
