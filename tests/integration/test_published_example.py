"""Why the runtime is what it is: with the usual loop a rebalance in the middle of a batch doubles records.

The usual loop (one transactional producer a process, offsets sent to the transaction) and ours do the same slow work
under the same schedule. aiokafka sends the offsets without member and generation, so nobody stops a member that has
lost its partition (aio-libs/aiokafka issue 844).
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client import CollectorRegistry

from ops.audit import read_topic
from processors.dedupe import Seen
from processors.metrics import ProcessMetrics
from processors.runtime import Group
from processors.work import Work
from schemas.kafka import group_consumer_arguments, producer_arguments, transactional_producer_arguments
from schemas.records import RawRecord, Record
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.integration.processing import PROCESS, prepared

pytestmark = pytest.mark.kafka

_RECORDS = 120
_WORK_S = 0.05
_PATIENCE_S = 60.0

Member = Callable[[Settings, str, asyncio.Event], Coroutine[Any, Any, None]]


async def usual_member(settings: Settings, name: str, stopping: asyncio.Event) -> None:
    """Consume, transform, produce, as documentation and blogs show it."""
    prefix = settings.kafka.topic_prefix
    arguments = {**group_consumer_arguments(settings, group=f"{prefix}usual"), "auto_offset_reset": "earliest"}
    consumer = AIOKafkaConsumer(f"{prefix}raw", **arguments)
    producer = AIOKafkaProducer(**transactional_producer_arguments(settings, transactional_id=f"{prefix}{name}"))
    async with consumer, producer:
        while not stopping.is_set():
            for source, records in (await consumer.getmany(timeout_ms=200)).items():
                async with producer.transaction():
                    for record in records:
                        time.sleep(_WORK_S)  # noqa: ASYNC251 computation, as in ours
                        await asyncio.sleep(0)
                        await producer.send(f"{prefix}orders", record.value, key=record.key)
                    await producer.send_offsets_to_transaction({source: records[-1].offset + 1}, f"{prefix}usual")


async def our_member(settings: Settings, _name: str, stopping: asyncio.Event) -> None:
    """The same work in a group of ours."""
    work = Work(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=lambda: slow_step,
        new_state=lambda: Seen(window_s=1, keys_max=1),
        settings=settings,
        metrics=ProcessMetrics(CollectorRegistry()),
    )
    await Group(work, stopping).run()


def slow_step(raw: RawRecord, _seen: Seen) -> Sequence[Record]:
    time.sleep(_WORK_S)
    return (Record("orders", raw.key or b"", raw.value or b""),)


@asynccontextmanager
async def running(member: Member, settings: Settings, name: str) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(member(settings, name, stopping))
    try:
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(_PATIENCE_S):
            await task


async def copies(member: Member, settings: Settings) -> Counter[bytes]:
    """How often each record came out, when a second member joins in the middle of the first one's batch."""
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for number in range(_RECORDS):
            value = b"%d" % number
            await producer.send(f"{settings.kafka.topic_prefix}raw", value, key=value)
        await producer.flush()
    async with running(member, settings, "first"):
        await asyncio.sleep(1.5)  # Long enough to be in the batch, far too short to be through it.
        async with running(member, settings, "second"):
            async with asyncio.timeout(_PATIENCE_S):
                while len(await values(settings)) < _RECORDS:  # noqa: ASYNC110 the log is elsewhere
                    await asyncio.sleep(0.2)
    return Counter(record.value or b"" for record in await read_topic(settings, "orders"))


async def values(settings: Settings) -> set[bytes | None]:
    return {record.value for record in await read_topic(settings, "orders")}


async def test_the_usual_loop_doubles(settings: SettingsFactory) -> None:
    """The schedule is real: the loop that is usually shown writes records twice under it."""
    found = await copies(usual_member, await prepared(settings(PROCESS, partitions=2)))
    assert len(found) == _RECORDS
    assert max(found.values()) > 1


async def test_ours_does_not(settings: SettingsFactory) -> None:
    """Under the same schedule every record comes out once."""
    found = await copies(our_member, await prepared(settings(PROCESS, partitions=2)))
    assert len(found) == _RECORDS
    assert set(found.values()) == {1}
