"""Group `deliver` on real Kafka: every delivery once, in order, whatever dies meanwhile. One audit is the judge."""

import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from ops.audit import read_topic
from schemas.kafka import producer_arguments
from tests.conftest import ClusterFactory, SettingsFactory
from tests.integration.processing import (
    ENDPOINTS,
    ENVIRON,
    PROCESS,
    audited,
    deliveries,
    outputs_so_far,
    prepared,
    processors,
    progress,
    put,
)

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


async def test_kill_9_and_rebalance_lose_and_double_nothing(settings: SettingsFactory, tmp_path: Path) -> None:
    """Processors killed in the middle of their work, others joining and leaving: the audit finds nothing."""
    mine = await prepared(settings(ENDPOINTS + PROCESS, environ=ENVIRON))
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
    assert verdict.clean, (len(verdict.lost), len(verdict.doubled), len(verdict.disordered))


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
        verdict = await audited(mine, 3_500)
        assert processor.process.returncode is None, processor.log.read_text()[-2000:]
        processor.signal(signal.SIGTERM)
        assert await processor.ended() == 0
    assert verdict.clean, (len(verdict.lost), len(verdict.doubled), len(verdict.disordered))
