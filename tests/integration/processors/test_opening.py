"""What a new owner of a partition reads while a former owner's transaction is still being ended, on real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from processors.deliver.dedupe import DedupeStore
from processors.runtime.changelog import input_offset_change, restore_store
from schemas.kafka.arguments import reader_arguments, transactional_producer_arguments
from schemas.kafka.committed_offsets import committed_offsets, stable_offsets
from schemas.kafka.group_member import client_of
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import PROCESS, prepared
from tests.support.waiting import until_it_is

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def transacting(settings: Settings, name: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer with an open transaction."""
    arguments = transactional_producer_arguments(settings, transactional_id=settings.kafka.topic_prefix + name)
    async with AIOKafkaProducer(**arguments) as producer:
        await producer.begin_transaction()
        yield producer


async def test_a_store_misses_nothing_behind_an_open_transaction(settings: SettingsFactory) -> None:
    """A committed change that lies behind what is not ended yet is read, once it has ended."""
    mine = await prepared(settings(PROCESS, partitions=1))
    changelog = TopicPartition(mine.kafka.topic_prefix + "deliver-state", 0)
    store = DedupeStore(window_s=1)
    async with transacting(mine, "slow") as slow, transacting(mine, "quick") as quick:
        for producer, offset in ((slow, 7), (quick, 8)):
            key, value = input_offset_change(offset)
            await producer.send_and_wait(changelog.topic, value, key=key, partition=0)
        await quick.commit_transaction()
        restoring = asyncio.ensure_future(restore_store(store, changelog, mine))
        async with AIOKafkaConsumer(**reader_arguments(mine)) as reader:
            # What a reader of committed records alone takes for the end is before both.
            assert await reader.end_offsets([changelog]) == {changelog: 0}
        assert not restoring.done()
        await slow.commit_transaction()
        await restoring
    assert store.input_offset == 8


async def test_an_offset_in_an_open_transaction_is_not_stable(settings: SettingsFactory) -> None:
    """Until the transaction ends there is no answer for its partition; the others have theirs."""
    mine = await prepared(settings(PROCESS, partitions=2))
    group = f"{mine.kafka.topic_prefix}deliver"
    first, second = (TopicPartition(f"{mine.kafka.topic_prefix}raw", number) for number in (0, 1))
    async with transacting(mine, "owner") as owner, AIOKafkaConsumer(**reader_arguments(mine)) as consumer:
        client = client_of(consumer)
        await owner.send_offsets_to_transaction({first: 5}, group)
        assert await stable_offsets(client, group, [first, second]) == {second: None}
        assert await committed_offsets(client, group, [first, second]) == {first: None, second: None}
        await owner.commit_transaction()

        async def answer() -> dict[TopicPartition, int | None]:
            return await stable_offsets(client, group, [first])

        async def ended() -> bool:
            return bool(await answer())

        await until_it_is(ended)
        assert await answer() == {first: 5}
