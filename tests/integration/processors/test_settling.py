"""What the only broker forgets of a commit when it is killed, on real Kafka."""

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ops.kafka.reader import read_topic
from processors.runtime.producer_slot import ProducerSlot
from schemas.kafka.arguments import reader_arguments
from schemas.kafka.committed_offsets import stable_offsets
from schemas.kafka.group_member import client_of
from tests.conftest import ClusterFactory, SettingsFactory
from tests.integration.processors.test_fencing import joined
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, prepared
from tests.support.waiting import until_it_is

pytestmark = pytest.mark.kafka
# So many markers take longer than the kill.
PARTITIONS = 30


async def write(slot: ProducerSlot, value: bytes, partitions: list[TopicPartition]) -> None:
    """Writes the value to every partition in a transaction that goes on."""
    producer = slot.producer
    assert producer is not None
    batches = {one: [producer.create_batch(one)] for one in partitions}
    for found in batches.values():
        producer.append(found, b"k", value, [])
    await producer.begin_transaction(partitions)
    await producer.write(batches.values())


async def test_no_abort_takes_along_what_was_committed_before_the_only_broker_was_killed(
    settings: SettingsFactory, cluster: ClusterFactory
) -> None:
    """Killed behind the answer to a commit, it often passes over its markers; they are there before anything else is.

    Else readers wait, and what is written next shares its fate with the records: they are gone with its abort.
    """
    broker = await cluster()
    servers = broker.bootstrap_servers
    mine = await prepared(
        settings(ENDPOINTS + PROCESS, environ=ENVIRON, bootstrap_servers=servers, partitions=PARTITIONS)
    )
    prefix = mine.kafka.topic_prefix
    partitions = [TopicPartition(f"{prefix}orders", number) for number in range(PARTITIONS)]
    source = TopicPartition(f"{prefix}raw", 0)
    slot = ProducerSlot(f"{prefix}writer", [f"{prefix}orders"], mine)
    try:
        async with joined(mine) as (_, member):
            await slot.start()
            assert slot.producer is not None
            await write(slot, b"committed", partitions)
            await slot.producer.send_positions({source: 5}, member)
            await slot.producer.commit_transaction()
            await broker.kill()
            await broker.restart(broker.nodes[0])
            slot.drop()
            await slot.start()
            await write(slot, b"given up", partitions)
            slot.drop()
            await slot.start()
    finally:
        await slot.stop()
    assert [one.value for one in await read_topic(mine, "orders")] == [b"committed"] * PARTITIONS
    async with AIOKafkaConsumer(**reader_arguments(mine)) as consumer:

        async def is_known() -> bool:
            try:
                return await stable_offsets(client_of(consumer), member.group, [source]) == {source: 5}
            except KafkaError:
                return False

        await until_it_is(is_known)
