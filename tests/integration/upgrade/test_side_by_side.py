"""Two versions at once during a rollout: the older one writes nothing over what it cannot read, and says why."""

import asyncio
import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from ops.kafka.reader import read_topic
from processors.deliver.keys.buckets import bucket_key
from schemas.kafka.arguments import producer_arguments
from schemas.notes.layouts import LAYOUT_KEY, Layout, write_layout
from schemas.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.processing import ENDPOINTS, ENVIRON, PROCESS, deliveries, prepared, processors, put
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka


async def write(settings: Settings, topic: str, key: bytes, value: bytes) -> None:
    """Writes the record as another version would."""
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        await producer.send_and_wait(settings.kafka.topic_prefix + topic, value=value, key=key, partition=0)


async def stored(settings: Settings, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    return [(one.key, one.value) for one in await read_topic(settings, topic)]


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        ("deliver-state", b"\x02" + bucket_key(0)[1:], b"of another shape"),
        ("sequence-state", b'["shipstream"]', b'{"format":2,"ids":"1-8"}'),
    ],
)
async def test_a_partition_that_a_newer_version_had_is_left_to_it(
    topic: str, key: bytes, value: bytes, settings: SettingsFactory, tmp_path: Path
) -> None:
    """The older processors name the partition and the format, and leave every topic as it was."""
    mine = await prepared(settings(PROCESS + ENDPOINTS, environ=ENVIRON, partitions=1))
    await write(mine, topic, key, value)
    await put(mine, deliveries(3))
    sentence = f"changelog {mine.kafka.topic_prefix}{topic}, partition 0, offset 0: "
    async with processors(mine, tmp_path) as start:
        processor = await start("older")
        await processor.says("is of format 2, which a newer dropstream wrote; this version knows formats up to 1")
        processor.signal(signal.SIGTERM)
        await processor.ended()
        assert sentence in processor.log.read_text(encoding="utf-8")
    assert await stored(mine, topic) == [(key, value)]


async def test_a_newer_layout_stops_the_older_processors(settings: SettingsFactory, tmp_path: Path) -> None:
    """They end with the sentence, having judged nothing."""
    mine = await prepared(settings(PROCESS + ENDPOINTS, environ=ENVIRON, partitions=1))
    newer = write_layout(Layout(partitions=1)).replace(b'"format":1', b'"format":2')
    await write(mine, "layout", LAYOUT_KEY, newer)
    await put(mine, deliveries(3))
    async with processors(mine, tmp_path) as start:
        processor = await start("older")
        async with asyncio.timeout(PATIENCE_S):
            assert await processor.ended() == 1
        assert f"the record of {mine.kafka.topic_prefix}layout is of format 2" in processor.log.read_text("utf-8")
    assert await stored(mine, "orders") == []
    assert (await stored(mine, "layout"))[-1] == (LAYOUT_KEY, newer)
