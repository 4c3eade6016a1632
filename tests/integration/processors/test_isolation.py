"""A partition that Kafka does not take, or that cannot be opened, beside others that are well; on real Kafka."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from ops.kafka.reader import read_topic
from processors.deliver.dedupe import DedupeStore
from processors.providers import discover
from processors.runtime.group import Group
from processors.runtime.group_spec import GroupSpec
from processors.runtime.metrics import GroupMetrics
from schemas.delivery import Delivery, kept_headers
from schemas.health import Health
from schemas.kafka.arguments import producer_arguments
from schemas.records import RawRecord, Record
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    PROCESS,
    SECRET,
    STARTED_AT,
    audited,
    deliveries,
    is_processed,
    prepared,
    processors,
    put,
)
from tests.support.serving import limit_topic
from tests.support.waiting import until, until_it_is

pytestmark = pytest.mark.kafka

_STUCK = "dropstream_process_partition_stuck_seconds"


def _noise(count: int, seed: int) -> bytes:
    """Bytes that no codec makes smaller."""
    return random.Random(seed).randbytes(count)  # noqa: S311 no secret


def _routed(raw: RawRecord, _seen: DedupeStore) -> Sequence[Record]:
    """To `inventory` where the value is large; else to `orders`. Each input partition has keys of its own."""
    value = raw.value or b""
    return (Record("inventory" if len(value) > 1_000 else "orders", raw.key or b"", value),)


@asynccontextmanager
async def _routing(
    settings: Settings, registry: CollectorRegistry, **fields: object
) -> AsyncIterator[tuple[AIOKafkaProducer, Group[DedupeStore]]]:
    """A group at work; gives a producer for `raw`, too."""
    spec: GroupSpec[DedupeStore] = GroupSpec(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=lambda: _routed,
        new_store=lambda: DedupeStore(window_s=1),
        settings=settings,
        metrics=GroupMetrics(registry),
    )
    stopping = asyncio.Event()
    group = Group(replace(spec, **fields), stopping)  # type: ignore[arg-type] # the test's own
    task = asyncio.create_task(group.run())
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        yield producer, group
    stopping.set()
    await task


def _large_order() -> Delivery:
    """A signed order whose event no broker takes that takes 4,000 bytes."""
    (sample,) = [one for one in discover()["shipstream"].samples if one.name == "shipstream-order-created"]
    note = b'{"note":"' + _noise(9_000, 7).hex().encode() + b'",'
    body = sample.body(1_000, STARTED_AT).replace(b"{", note, 1)
    received = [(name.encode(), value.encode()) for name, value in sample.sign(body, SECRET, STARTED_AT).items()]
    return Delivery(str(uuid7()), "shipstream", "shipstream", STARTED_AT, "192.0.2.1", kept_headers(received), body)


async def _limit(settings: Settings, topic: str, bytes_max: int) -> None:
    name = f"{settings.kafka.topic_prefix}{topic}"
    await asyncio.to_thread(limit_topic, settings.kafka.bootstrap_servers, name, bytes_max)


async def test_a_partition_that_kafka_refuses_holds_up_no_other(settings: SettingsFactory) -> None:
    """The others go on as if it were not there; it is named, tried again, and goes on where it stood."""
    mine = await prepared(settings(PROCESS, partitions=3))
    await _limit(mine, "inventory", 2_000)
    registry = CollectorRegistry()

    def stuck(partition: int) -> float | None:
        return registry.get_sample_value(_STUCK, {"group": "deliver", "partition": str(partition)})

    async with _routing(mine, registry) as (producer, group):
        raw = f"{mine.kafka.topic_prefix}raw"
        await producer.send_and_wait(raw, _noise(5_000, 1), partition=0)
        await until(lambda: stuck(0) is not None)
        for number in range(40):
            await producer.send(raw, b"%d" % number, key=b"k", partition=1 + number % 2)
            await producer.send(raw, b"late", key=b"late", partition=0)
        await producer.flush()

        async def others_are_out() -> bool:
            return len(await read_topic(mine, "orders")) == 40

        await until_it_is(others_are_out)
        health: Health = group.health()
        assert (health.facts["partitions_stuck"], health.facts["partitions_open"]) == ("0", 3)
        assert (stuck(1), stuck(2)) == (None, None)
        assert await read_topic(mine, "inventory") == []
        await _limit(mine, "inventory", 1_000_000)

        async def all_are_out() -> bool:
            return len(await read_topic(mine, "orders")) == 80

        await until_it_is(all_are_out)
        await until(lambda: stuck(0) is None)
    assert [record.value for record in await read_topic(mine, "inventory")] == [_noise(5_000, 1)]


async def test_a_record_that_kafka_refuses_is_found_and_its_neighbours_pass(settings: SettingsFactory) -> None:
    """It is replaced by what the group makes of a refused record; everything else is there once, in order."""
    mine = await prepared(settings(PROCESS, partitions=1))
    await _limit(mine, "inventory", 150_000)
    values = [_noise(2_000 if number != 23 else 200_000, number) for number in range(60)]

    def refused(raw: RawRecord, error: str) -> Sequence[Record]:
        return (Record("rejected", raw.key or b"", f"{raw.position.offset}: {error}".encode()),)

    async with _routing(mine, CollectorRegistry(), refused=refused) as (producer, _):
        for value in values:
            await producer.send(f"{mine.kafka.topic_prefix}raw", value, key=b"k")
        await producer.flush()

        async def all_are_out() -> bool:
            return len(await read_topic(mine, "inventory")) == 59

        await until_it_is(all_are_out)
    assert [one.value for one in await read_topic(mine, "inventory")] == [*values[:23], *values[24:]]
    assert [one.value for one in await read_topic(mine, "rejected")] == [b"23: MessageSizeTooLarge"]


async def test_a_delivery_whose_event_kafka_refuses_is_rejected_and_the_audit_knows(
    settings: SettingsFactory, tmp_path: Path
) -> None:
    """The delivery and its retry are in `rejected` with a reason of their own, and no event is missing."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, partitions=1))
    await _limit(mine, "orders", 4_000)
    few, poison = deliveries(60), _large_order()
    await put(mine, [*few[:30], poison, *few[30:], poison])
    async with processors(mine, tmp_path) as start:
        processor = await start("one")
        await until_it_is(lambda: is_processed(mine, 62))
        verdict = await audited(mine, 62)
        log = processor.log.read_text(encoding="utf-8")
    assert (verdict.status, verdict.pending, verdict.refused) == ("clean", 0, 2), verdict
    reasons = [dict(one.headers)["dropstream-reason"] for one in await read_topic(mine, "rejected")]
    assert reasons.count(b"kafka_refused") == 2
    assert log.count("record_refused") == 2
