"""Group `deliver` on real Kafka: every delivery once, in order, whatever dies meanwhile. One audit is the judge."""

import base64
import hmac
import signal
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from uuid_utils import uuid7

from ops.kafka.clients import admin
from ops.kafka.reader import read_topic
from schemas.delivery import Delivery
from schemas.kafka.arguments import producer_arguments
from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    PROCESS,
    SECRET,
    STARTED_AT,
    audited,
    deliveries,
    outputs_so_far,
    prepared,
    processed,
    processors,
    progress,
    put,
)
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kafka


async def test_what_others_write_to_raw_is_rejected_and_passed(settings: SettingsFactory, tmp_path: Path) -> None:
    """A record without our headers, without a key, without a value stops nothing and is not lost."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    raw = mine.kafka.topic_prefix + "raw"
    async with AIOKafkaProducer(**producer_arguments(mine)) as producer:
        await producer.send_and_wait(raw, b"garbage", key=None, partition=0)
        await producer.send_and_wait(raw, None, key=b"key", partition=0)
        await producer.send_and_wait(raw, b"\xff", key=b"\xff", partition=0, headers=[("dropstream-endpoint", b"\xff")])
    await put(mine, deliveries(20))
    async with processors(mine, tmp_path) as start:
        await start("one")
        verdict = await audited(mine, 23)
    assert verdict.clean, verdict
    rejected = await read_topic(mine, "rejected")
    kept = {(record.key, record.value) for record in rejected}
    assert kept == {(b"", b"garbage"), (b"key", b""), (b"\xff", b"\xff")}
    assert {dict(record.headers)["dropstream-reason"] for record in rejected} == {b"endpoint_unknown"}


async def test_compressed_topics_are_read(settings: SettingsFactory, tmp_path: Path) -> None:
    """Inputs, outputs and changelogs that the broker compresses, in every codec of Kafka's, are read as others are."""
    mine = settings(ENDPOINTS + PROCESS, environ=ENVIRON)
    codecs = {"raw": "lz4", "deliver-state": "zstd", "sequence": "snappy", "orders": "gzip", "sequence-state": "lz4"}
    async with admin(mine) as client:
        await client.create_topics(
            [
                NewTopic(mine.kafka.topic_prefix + name, 3, 1, topic_configs={"compression.type": codec})
                for name, codec in codecs.items()
            ]
        )
    await prepared(mine)
    verdict = await processed(mine, tmp_path, deliveries(60))
    assert (verdict.clean, verdict.pending) == (True, 0), verdict.findings[:5]
    # Again, by a process that restores what the first one left; the retries are of the first thirty.
    verdict = await processed(mine, tmp_path, deliveries(30), total=90)
    assert verdict.clean, verdict.findings[:5]
    assert (verdict.pending, verdict.outputs["duplicates"]) == (0, 30)


async def test_kill_9_and_rebalance_lose_and_double_nothing(settings: SettingsFactory, tmp_path: Path) -> None:
    """Processors killed in the middle of their work, others joining and leaving: the audit finds nothing."""
    mine = await prepared(settings(ENDPOINTS + MORTAL, environ=ENVIRON))
    await put(mine, deliveries(4_000))
    async with processors(mine, tmp_path) as start:
        victim = await start("victim")
        for turn in range(3):
            before = await outputs_so_far(mine)
            await put(mine, deliveries(1_000, first=4_001 + 1_000 * turn))
            successor = await start(f"successor-{turn}")
            await progress(mine, beyond=before)
            victim.signal(signal.SIGKILL)
            victim = successor
        leaver = await start("leaver")
        await leaver.says("partition_opened")
        leaver.signal(signal.SIGTERM)
        verdict = await audited(mine, 7_000)
        assert await leaver.ended() == 0
    assert verdict.clean, verdict.findings[:5]


async def test_a_killed_broker_comes_back_and_nothing_is_missing(
    settings: SettingsFactory, cluster: ClusterFactory, tmp_path: Path
) -> None:
    """Kafka is killed under load and started again: the same processor goes on, and the audit finds nothing."""
    broker = await cluster()
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON, bootstrap_servers=broker.bootstrap_servers))
    await put(mine, deliveries(3_000))
    async with processors(mine, tmp_path) as start:
        processor = await start("survivor")
        await progress(mine, beyond=0)
        await broker.kill()
        await broker.restart(broker.nodes[0])
        await put(mine, deliveries(500, first=3_001))
        verdict = await audited(mine, 3_500, patience_s=PATIENCE_S / 2)
        assert processor.process.returncode is None, processor.log.read_text()[-2000:]
        processor.signal(signal.SIGTERM)
        assert await processor.ended() == 0
    assert verdict.clean, verdict.findings[:5]


async def test_a_frozen_processor_harms_nobody_when_it_wakes(settings: SettingsFactory, tmp_path: Path) -> None:
    """Frozen past its session and woken under load, it commits nothing of its own and never ends the new owner."""
    mine = await prepared(settings(ENDPOINTS + MORTAL, environ=ENVIRON))
    await put(mine, deliveries(6_000))
    async with processors(mine, tmp_path) as start:
        frozen = await start("frozen")
        await frozen.says("partition_opened")
        frozen.signal(signal.SIGSTOP)
        owner = await start("owner")
        await progress(mine, beyond=await outputs_so_far(mine))
        await put(mine, deliveries(2_000, first=6_001))
        frozen.signal(signal.SIGCONT)
        verdict = await audited(mine, 8_000)
        assert owner.process.returncode is None, owner.log.read_text(encoding="utf-8")[-2000:]
    assert verdict.clean, verdict.findings[:5]
    assert verdict.pending == 0


async def test_a_hostile_and_a_huge_backlog_stop_nobody(settings: SettingsFactory, tmp_path: Path) -> None:
    """Bodies made to be costly, and deliveries of hundreds of SKUs, pass in bounded transactions."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
    hostile = [
        Delivery(str(uuid7()), "dropea", "dropea", STARTED_AT, "192.0.2.1", (), body)
        for body in (
            orjson.dumps({"topic": "order.created", "market": "ΐ" * 320_000, "resource_id": 1}),
            b'{"topic":"order.created","market":"PT","resource_id":1,"resource":{"line_items":['
            + b",".join([b"{}"] * 300_000)
            + b"]}}",
        )
        for _ in range(4)
    ]
    await put(mine, hostile)
    await put(mine, [stock_change(number, skus=250) for number in range(1, 201)])
    await put(mine, deliveries(30))
    async with processors(mine, tmp_path) as start:
        processor = await start("one")
        verdict = await audited(mine, len(hostile) + 200 + 30)
        assert processor.process.returncode is None
        log = processor.log.read_text(encoding="utf-8")
    assert verdict.clean, verdict.findings[:5]
    assert verdict.pending == 0
    assert verdict.outputs["inventory"] >= 200 * 250
    assert "transaction_failed" not in log


def stock_change(number: int, *, skus: int) -> Delivery:
    """A signed ShipStream delivery that adjusts many SKUs."""
    adjustments = {
        f"SKU-{one}": {"sku": f"SKU-{one}", "qty_adjust": -1, "qty_available": number} for one in range(skus)
    }
    message = {"webhook_increment_id": 1_000_000 + number, "stock_adjustments": adjustments}
    body = orjson.dumps({"topic": "inventory:adjusted", "message": message})
    signature = base64.b64encode(hmac.digest(SECRET, body, "sha256"))
    headers = (("x-plugin-hmac-sha256", signature),)
    return Delivery(str(uuid7()), "shipstream", "shipstream", STARTED_AT, "192.0.2.1", headers, body)
