"""When a group asks for records."""

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.kafka.arguments import group_consumer_arguments, producer_arguments
from schemas.kafka.group_consumer import GroupConsumer
from tests.conftest import SettingsFactory
from tests.support.processing import PROCESS, prepared

pytestmark = pytest.mark.kafka


async def test_what_comes_while_nobody_waits_comes_in_one_piece(settings: SettingsFactory) -> None:
    """aiokafka would have asked already, and have the first of them alone; and a group that waits is told at once."""
    mine = await prepared(settings(PROCESS, partitions=1))
    source = TopicPartition(f"{mine.kafka.topic_prefix}raw", 0)
    arguments = group_consumer_arguments(mine, group="")
    async with (
        AIOKafkaProducer(**producer_arguments(mine)) as producer,
        GroupConsumer(**{**arguments, "group_id": None, "group_instance_id": None}) as consumer,
    ):
        consumer.assign([source])
        consumer.seek(source, 0)
        for turn in range(3):
            for number in range(4):
                await producer.send_and_wait(source.topic, b"%d" % number, partition=0)
            found = await consumer.getmany(timeout_ms=20_000)
            assert [record.value for record in found[source]] == [b"0", b"1", b"2", b"3"], turn
            assert not consumer.awaits_more
