"""What befalls topics in the course of time, done to real ones: processed, shortened, grown, forged into."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete
from prometheus_client import CollectorRegistry

from ops.audit.run import audit
from ops.audit.verdict import AuditVerdict
from ops.kafka.clients import admin
from ops.kafka.reader import read_topic
from processors.deliver.provider import Provider
from processors.groups import deliver_group
from processors.metrics import ProcessMetrics
from processors.providers import discover
from schemas.kafka.arguments import producer_arguments
from schemas.records import RawRecord
from schemas.settings import Settings
from tests.support.forging import caught_up
from tests.support.waiting import PATIENCE_S


@asynccontextmanager
async def processing(settings: Settings, providers: Mapping[str, Provider] | None = None) -> AsyncIterator[None]:
    """Group `deliver` runs meanwhile, in this process; at the end it has read all of `raw`."""
    stopping = asyncio.Event()
    group = deliver_group(settings, providers or discover(), ProcessMetrics(CollectorRegistry()), stopping)
    async with asyncio.TaskGroup() as together:
        together.create_task(group.run())
        try:
            yield
            await caught_up(settings)
        finally:
            stopping.set()


async def process(settings: Settings, providers: Mapping[str, Provider] | None = None) -> None:
    """Group `deliver` reads all of `raw`."""
    async with processing(settings, providers):
        pass


async def audited_clean(settings: Settings) -> AuditVerdict:
    """The verdict of an audit, which is clean."""
    verdict = await audit(settings)
    assert verdict.clean, verdict
    return verdict


async def delete_before(settings: Settings, offsets: Mapping[tuple[str, int], int]) -> None:
    """Retention has removed what lies before these offsets; by topic (short name) and partition."""
    prefix = settings.kafka.topic_prefix
    wanted = {
        TopicPartition(prefix + topic, partition): RecordsToDelete(before_offset=offset)
        for (topic, partition), offset in offsets.items()
    }
    async with admin(settings) as client:
        await client.delete_records(wanted)


async def delete_topics(settings: Settings, *topics: str) -> None:
    """The topics are no longer there."""
    names = [settings.kafka.topic_prefix + topic for topic in topics]
    async with admin(settings) as client:
        await client.delete_topics(names)
        async with asyncio.timeout(PATIENCE_S):
            while set(names) & set(await client.list_topics()):  # noqa: ASYNC110 the broker does it
                await asyncio.sleep(0.1)


async def grow(settings: Settings, count: int, *topics: str) -> None:
    """The topics have so many partitions, whoever asks."""
    names = {settings.kafka.topic_prefix + topic for topic in topics}
    async with admin(settings) as client:
        await client.create_partitions({name: NewPartitions(total_count=count) for name in names})
        async with asyncio.timeout(PATIENCE_S):
            while any(len(one["partitions"]) < count for one in await client.describe_topics(list(names))):  # noqa: ASYNC110 as above
                await asyncio.sleep(0.1)


async def write_again(settings: Settings, topic: str, record: RawRecord) -> str:
    """Writes a record once more, at the end of its partition of `topic` (short name); its place there."""
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        written = await producer.send_and_wait(
            settings.kafka.topic_prefix + topic,
            record.value,
            key=record.key,
            headers=list(record.headers),
            partition=record.position.partition,
        )
    return f"{written.topic}/{written.partition}/{written.offset}"


async def last_of(settings: Settings, topic: str, marked: str = "") -> RawRecord:
    """The last record of a topic; of those only that have this mark of a replay, or none."""
    records = [
        one for one in await read_topic(settings, topic) if (dict(one.headers).get("replay") or b"").decode() == marked
    ]
    return records[-1]
