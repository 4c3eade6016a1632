"""Partitions whose memory is read back from the changelog: one after the other, while everything else goes on."""

import asyncio
import time
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from processors.deliver.dedupe import DedupeStore
from processors.deliver.keys.buckets import bucket_key, bucket_value, tag_of
from processors.deliver.keys.local import KeyPlace
from processors.runtime.changelog import restore_store
from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import prepared

pytestmark = pytest.mark.kafka

PARTITIONS = 4
BUCKETS = 700
KEYS = 100


async def write_changelogs(mine: Settings) -> None:
    """`BUCKETS` of `KEYS` keys in each partition."""
    tag = tag_of("shop")
    async with AIOKafkaProducer(**producer_arguments(mine)) as producer:
        for number in range(BUCKETS):
            first = number * KEYS
            entries = [one.to_bytes(24) + one.to_bytes(8) + bytes(4) for one in range(first, first + KEYS)]
            for partition in range(PARTITIONS):
                key, value = bucket_key(first), bucket_value({tag: entries})
                await producer.send(f"{mine.kafka.topic_prefix}deliver-state", value, key=key, partition=partition)
        await producer.flush()


async def test_the_first_partition_does_not_wait_for_the_last(settings: SettingsFactory) -> None:
    """Two are restored at a time, so the first is at work early; and the event loop goes round all the while."""
    mine = await prepared(settings(partitions=PARTITIONS))
    await write_changelogs(mine)
    place = KeyPlace()
    stores = [DedupeStore(window_s=100, place=replace(place)) for _ in range(PARTITIONS)]
    turns = at_once = 0
    began = time.thread_time()

    async def restore(partition: int) -> None:
        changelog = TopicPartition(f"{mine.kafka.topic_prefix}deliver-state", partition)
        await restore_store(stores[partition], changelog, mine)

    async def tick() -> None:
        nonlocal turns, at_once
        while True:
            await asyncio.sleep(0)
            turns += 1
            at_once = max(at_once, sum(0 < store.entries < BUCKETS * KEYS for store in stores))

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*map(restore, range(PARTITIONS)))
    ticking.cancel()
    assert [store.entries for store in stores] == [BUCKETS * KEYS] * PARTITIONS
    assert 1 <= at_once <= 2
    # A turn every 10 ms of work or so, and many more while Kafka is waited for.
    assert turns > (time.thread_time() - began) / 0.05
