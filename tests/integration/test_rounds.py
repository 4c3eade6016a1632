"""What a group takes with one round, on real Kafka."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from ops.audit import read_topic
from processors.dedupe import Seen
from processors.metrics import ProcessMetrics
from processors.runtime import Group
from processors.work import Work
from schemas.kafka import producer_arguments
from schemas.records import RawRecord, Record
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.integration.processing import PROCESS, prepared

pytestmark = pytest.mark.kafka

_INTERVAL = "commit_interval_ms = 3000\n"
_PATIENCE_S = 60.0


def _copied(raw: RawRecord, _seen: Seen) -> Sequence[Record]:
    return (Record("orders", raw.key or b"", raw.value or b""),)


async def _copies(settings: Settings, count: int) -> None:
    """Returns once so many copies are committed."""
    async with asyncio.timeout(_PATIENCE_S):
        while len(await read_topic(settings, "orders")) < count:  # noqa: ASYNC110 the log is elsewhere
            await asyncio.sleep(0.05)


async def test_what_comes_while_a_group_pauses_is_one_transaction(settings: SettingsFactory) -> None:
    """Between two rounds the client fetches once; what came after that fetch waits for no second interval."""
    mine = await prepared(settings(PROCESS + _INTERVAL, partitions=1))
    work = Work(
        name="deliver",
        source="raw",
        changelog="deliver-state",
        new_step=lambda: _copied,
        new_state=lambda: Seen(window_s=1, keys_max=1),
        settings=mine,
        metrics=ProcessMetrics(CollectorRegistry()),
    )
    stopping = asyncio.Event()
    task = asyncio.create_task(Group(work, stopping).run())
    async with AIOKafkaProducer(**producer_arguments(mine)) as producer:
        for number in range(11):
            await producer.send_and_wait(f"{mine.kafka.topic_prefix}raw", b"%d" % number, key=b"k")
            if number == 0:
                await _copies(mine, 1)
            # So that the first fetch of the pause does not have them all.
            await asyncio.sleep(0.05)
    await _copies(mine, 11)
    stopping.set()
    await task
    # One record of the input's position a transaction: the first delivery's, and that of all others.
    assert len(await read_topic(mine, "deliver-state")) == 2
