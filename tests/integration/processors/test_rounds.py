"""What a group takes with one round, and what becomes of a round that is refused, on real Kafka."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from ops.kafka.reader import read_topic
from processors.deliver.dedupe import DedupeStore
from processors.runtime.group import Group
from processors.runtime.group_spec import GroupSpec
from processors.runtime.metrics import GroupMetrics
from schemas.kafka.arguments import producer_arguments
from schemas.records import RawRecord, Record
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import PROCESS, prepared
from tests.support.serving import limit_topic
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka

_FAILED = "dropstream_process_transactions_failed_total"


def _copied(raw: RawRecord, _seen: DedupeStore) -> Sequence[Record]:
    return tuple([Record(topic, raw.key or b"", raw.value or b"") for topic in ("orders", "inventory")])


@asynccontextmanager
async def _copying(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[AIOKafkaProducer]:
    """A group at work that copies `raw` to two topics; gives a producer for `raw`."""
    work = GroupSpec(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=lambda: _copied,
        new_store=lambda: DedupeStore(window_s=1),
        settings=settings,
        metrics=GroupMetrics(registry),
    )
    stopping = asyncio.Event()
    task = asyncio.create_task(Group(work, stopping).run())
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        yield producer
    stopping.set()
    await task


async def _copies(settings: Settings, count: int) -> None:
    """Returns once so many copies are committed."""
    async with asyncio.timeout(PATIENCE_S):
        while len(await read_topic(settings, "orders")) < count:  # noqa: ASYNC110 the log is elsewhere
            await asyncio.sleep(0.05)


async def _limit_orders(settings: Settings, bytes_max: int) -> None:
    name = f"{settings.kafka.topic_prefix}orders"
    await asyncio.to_thread(limit_topic, settings.kafka.bootstrap_servers, name, bytes_max)


async def _transactions_of_two_rounds(mine: Settings) -> int | None:
    """How many transactions eleven records made, ten of them in the pause after the first; None if they came late."""
    interval_s = mine.process.commit_interval_ms / 1000
    async with _copying(mine, CollectorRegistry()) as producer:
        began_at = time.monotonic()
        for number in range(11):
            await producer.send_and_wait(f"{mine.kafka.topic_prefix}raw", b"%d" % number, key=b"k")
            if number == 0:
                await _copies(mine, 1)
            # So that the first fetch of the pause does not have them all.
            await asyncio.sleep(0.05)
        in_time = time.monotonic() - began_at < interval_s
        await _copies(mine, 11)
    # One record of the input's position a transaction.
    return len(await read_topic(mine, "deliver-state")) if in_time else None


async def test_what_comes_while_a_group_pauses_is_one_transaction(
    settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two rounds the client fetches once; what came after that fetch waits for no second interval."""
    # As long as a fetch takes on any machine; where something lies there it is not waited for.
    monkeypatch.setattr("processors.runtime.intake._MORE_WAIT_MS", 10_000)
    made = None
    # On a slow machine the records come later than in one pause, and the next try pauses for longer.
    for interval_ms in (1_500, 2_500, 5_000):
        plain = settings(f"{PROCESS}commit_interval_ms = {interval_ms}\n", partitions=1)
        kafka = plain.kafka.model_copy(update={"topic_prefix": f"{plain.kafka.topic_prefix}{interval_ms}."})
        made = await _transactions_of_two_rounds(await prepared(plain.model_copy(update={"kafka": kafka})))
        if made is not None:
            break
    # That of the first delivery, and that of all others.
    assert made == 2


async def test_a_refused_batch_ends_its_transaction(settings: SettingsFactory) -> None:
    """Nothing of it is committed, in no topic, and no offset; once the broker takes it, all of it is there once."""
    mine = await prepared(settings(PROCESS, partitions=1))
    await _limit_orders(mine, 2_000)
    registry = CollectorRegistry()
    async with _copying(mine, registry) as producer:
        await producer.send_and_wait(f"{mine.kafka.topic_prefix}raw", random.Random(1).randbytes(5_000), key=b"k")  # noqa: S311 no codec makes it smaller
        async with asyncio.timeout(PATIENCE_S):
            # Twice: after the first one the same delivery came again.
            while (registry.get_sample_value(_FAILED, {"group": "deliver"}) or 0) < 2:  # noqa: ASYNC110 as above
                await asyncio.sleep(0.05)
        assert [await read_topic(mine, topic) for topic in ("orders", "inventory", "deliver-state")] == [[], [], []]
        await _limit_orders(mine, 1_000_000)
        await _copies(mine, 1)
    assert [len(await read_topic(mine, topic)) for topic in ("orders", "inventory", "deliver-state")] == [1, 1, 1]
