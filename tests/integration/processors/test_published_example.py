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
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client import CollectorRegistry

from ops.kafka.reader import read_topic
from processors.deliver.dedupe import DedupeStore
from processors.runtime.group import Group
from processors.runtime.group_spec import GroupSpec
from processors.runtime.metrics import GroupMetrics
from schemas.kafka.arguments import group_consumer_arguments, producer_arguments, transactional_producer_arguments
from schemas.records import RawRecord, Record
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import MORTAL, prepared
from tests.support.waiting import PATIENCE_S, until_it_is

pytestmark = pytest.mark.kafka

_RECORDS = 120
_WORK_S = 0.02
# Of these the first member has done some and not all when the second one joins.
_TURN = 10


@dataclass(slots=True)
class Schedule:
    """The order of events that both loops are put under, however fast they are.

    The second member joins once the first one works on its batch; the batch ends once the second one works too.
    """

    first_works: asyncio.Event = field(default_factory=asyncio.Event)
    second_works: asyncio.Event = field(default_factory=asyncio.Event)

    def worked(self, name: str) -> None:
        """A member of this name has worked on a record; its work is computation, in both loops."""
        time.sleep(_WORK_S)
        (self.first_works if name == "first" else self.second_works).set()


Member = Callable[[Settings, str, Schedule, asyncio.Event], Coroutine[Any, Any, None]]


async def usual_member(settings: Settings, name: str, schedule: Schedule, stopping: asyncio.Event) -> None:
    """Consume, transform, produce, as documentation and blogs show it."""
    prefix = settings.kafka.topic_prefix
    arguments = {**group_consumer_arguments(settings, group=f"{prefix}usual"), "auto_offset_reset": "earliest"}
    consumer = AIOKafkaConsumer(f"{prefix}raw", **arguments)
    producer = AIOKafkaProducer(**transactional_producer_arguments(settings, transactional_id=f"{prefix}{name}"))
    async with consumer, producer:
        while not stopping.is_set():
            for source, records in (await consumer.getmany(timeout_ms=200)).items():
                async with producer.transaction():
                    for number, record in enumerate(records):
                        schedule.worked(name)
                        await asyncio.sleep(0)
                        if name == "first" and number == _TURN:
                            await schedule.second_works.wait()
                        await producer.send(f"{prefix}orders", record.value, key=record.key)
                    await producer.send_offsets_to_transaction({source: records[-1].offset + 1}, f"{prefix}usual")


async def our_member(settings: Settings, name: str, schedule: Schedule, stopping: asyncio.Event) -> None:
    """The same work in a group of ours."""

    def slow_step(raw: RawRecord, _seen: DedupeStore) -> Sequence[Record]:
        schedule.worked(name)
        return (Record("orders", raw.key or b"", raw.value or b""),)

    work = GroupSpec(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=lambda: slow_step,
        new_store=lambda: DedupeStore(window_s=1),
        settings=settings,
        metrics=GroupMetrics(CollectorRegistry()),
    )
    await Group(work, stopping).run()


@asynccontextmanager
async def running(member: Member, settings: Settings, name: str, schedule: Schedule) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(member(settings, name, schedule, stopping))
    try:
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(PATIENCE_S):
            await task


async def copies(member: Member, settings: Settings) -> tuple[int, Counter[bytes]]:
    """How many records went in, and how often each came out, when a second member joins in the middle of a batch."""
    schedule, numbers = Schedule(), count()

    async def put(producer: AIOKafkaProducer, how_many: int) -> None:
        for number in islice(numbers, how_many):
            value = b"%d" % number
            await producer.send(f"{settings.kafka.topic_prefix}raw", value, key=value)
        await producer.flush()

    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        await put(producer, _RECORDS)
        async with running(member, settings, "first", schedule), asyncio.timeout(PATIENCE_S):
            await schedule.first_works.wait()
            async with running(member, settings, "second", schedule):
                # A loop whose batches are small would be through before the second one has joined.
                while not schedule.second_works.is_set():
                    await put(producer, 2)
                    await asyncio.sleep(0.1)
                sent = next(numbers)
                await until_it_is(lambda: all_are_out(settings, sent))
    return sent, Counter(record.value or b"" for record in await read_topic(settings, "orders"))


async def all_are_out(settings: Settings, sent: int) -> bool:
    return len(await values(settings)) == sent


async def values(settings: Settings) -> set[bytes | None]:
    return {record.value for record in await read_topic(settings, "orders")}


async def test_the_usual_loop_doubles(settings: SettingsFactory) -> None:
    """The schedule is real: the loop that is usually shown writes records twice under it."""
    sent, found = await copies(usual_member, await prepared(settings(MORTAL, partitions=2)))
    assert len(found) == sent
    assert max(found.values()) > 1


async def test_ours_does_not(settings: SettingsFactory) -> None:
    """Under the same schedule every record comes out once."""
    sent, found = await copies(our_member, await prepared(settings(MORTAL, partitions=2)))
    assert len(found) == sent
    assert set(found.values()) == {1}
