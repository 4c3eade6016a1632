"""The admin port of `dropstream process`, as probes and scrapers see it: a real program.

What keeps it from its partitions is real too: a broker that is frozen, and a member of its group that lets go slowly.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from ops.local.broker.cluster import BrokerCluster
from schemas.kafka.arguments import group_consumer_arguments
from schemas.settings import Settings
from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.ports import free_ports
from tests.support.processing import ENDPOINTS, ENVIRON, SECRET, Processor, deliveries, prepared, put
from tests.support.waiting import PATIENCE_S

NAMES = {
    "records": "counter",
    "outputs": "counter",
    "rejected": "counter",
    "duplicates": "counter",
    "bodies_differing": "counter",
    "transactions_failed": "counter",
    "transaction_seconds": "histogram",
    "opening_seconds": "histogram",
    "partitions_open": "gauge",
    "connected": "gauge",
    "lag_records": "gauge",
    "remembered": "gauge",
    "evicted": "gauge",
}


def process_table(port: int) -> str:
    return f"\n[process]\nadmin_port = {port}\nsession_timeout_ms = 6000\ntransaction_timeout_ms = 5000\n"


@asynccontextmanager
async def processor(settings: Settings, folder: Path) -> AsyncIterator[Processor]:
    """`dropstream process deliver` with these settings, until the end of the block."""
    kafka, config, log = settings.kafka, folder / "dropstream.toml", folder / "process.log"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
        f"replication_factor = 1\npartitions = 3\n{process_table(settings.process.admin_port)}\n{ENDPOINTS}"
    )
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops", "process", "deliver", "--config", str(config)),
            env={**os.environ, **ENVIRON},
            stdout=output,
            stderr=output,
        )
    try:
        yield Processor(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass(eq=False)
class SlowMember(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """A member of a group that takes every partition, and gives none back before `released` is set."""

    taken: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        if assigned:
            self.taken.set()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked:
            self.asked.set()
            await self.released.wait()


@asynccontextmanager
async def slow_member(settings: Settings) -> AsyncIterator[SlowMember]:
    """A member of the group `deliver` with all partitions, until it is released or the block ends."""
    member = SlowMember()
    group = f"{settings.kafka.topic_prefix}deliver"
    consumer = AIOKafkaConsumer(**group_consumer_arguments(settings, group=group))
    await consumer.start()
    try:
        consumer.subscribe([f"{settings.kafka.topic_prefix}raw"], listener=member)
        async with asyncio.timeout(PATIENCE_S):
            await member.taken.wait()
        yield member
    finally:
        member.released.set()
        await consumer.stop()


async def answer(client: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    """Status and body; (0, "") where nobody listens."""
    try:
        async with client.get(path) as response:
            return response.status, await response.text()
    except aiohttp.ClientConnectionError:
        return 0, ""


async def answered(client: aiohttp.ClientSession, path: str, status: int, text: str = "") -> str:
    """The body once `path` has this status and a body with `text`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found, body = await answer(client, path)
            if found == status and text in body:
                return body
            await asyncio.sleep(0.05)


async def test_a_processor_says_how_it_is(settings: SettingsFactory, cluster: ClusterFactory, tmp_path: Path) -> None:
    """Alive at once, ready when every partition is open, in figures by documented names, and never with a secret."""
    broker = await cluster()
    table = process_table(free_ports(1))
    mine = await prepared(settings(ENDPOINTS + table, environ=ENVIRON, bootstrap_servers=broker.bootstrap_servers))
    good = deliveries(30)
    await put(mine, [*good, *good[:4], replace(good[1], body=b"{}"), replace(good[2], endpoint="removed")])
    broker.nodes[0].freeze()
    url = f"http://127.0.0.1:{mine.process.admin_port}"
    async with processor(mine, tmp_path) as program, aiohttp.ClientSession(url) as client:
        alive = await answered(client, "/livez", 200)
        waiting = await answered(client, "/readyz", 503)
        assert 'dropstream_process_partitions_open{group="deliver"} 3.0' not in await answered(client, "/metrics", 200)
        broker.nodes[0].thaw()
        ready = await answered(client, "/readyz", 200)
        figures = await answered(client, "/metrics", 200, 'dropstream_process_records_total{group="deliver"} 36.0')
        assert (await answer(client, "/livez"))[0] == 200
        assert [(await answer(client, path))[0] for path in ("/", "/readyz/", "/metrics/raw")] == [404, 404, 404]
        log = program.log.read_text(encoding="utf-8")
        await check_silence(broker, client, program)
    check_figures(figures)
    for said in (alive, waiting, ready, figures, log):
        assert SECRET.decode() not in said
        assert "SAMPLE" not in said


@pytest.mark.kafka
async def test_connected_is_not_ready(settings: SettingsFactory, tmp_path: Path) -> None:
    """A processor in the group that has no partition open yet, for another still holds them, is alive and not ready."""
    table = process_table(free_ports(1))
    mine = await prepared(settings(ENDPOINTS + table, environ=ENVIRON))
    url = f"http://127.0.0.1:{mine.process.admin_port}"
    async with slow_member(mine) as member, processor(mine, tmp_path), aiohttp.ClientSession(url) as client:
        async with asyncio.timeout(PATIENCE_S):
            await member.asked.wait()
        await answered(client, "/readyz", 503, 'connected":true')
        assert (await answer(client, "/livez"))[0] == 200
        member.released.set()
        await answered(client, "/readyz", 200)


async def check_silence(broker: BrokerCluster, client: aiohttp.ClientSession, program: Processor) -> None:
    """An idle processor whose Kafka falls silent is not ready, says so in health, log and metric, and recovers."""
    broker.nodes[0].freeze()
    try:
        unready = await answered(client, "/readyz", 503, '"deliver_connected":false')
        figures = await answered(client, "/metrics", 200, 'dropstream_process_connected{group="deliver"} 0.0')
        assert "dropstream_process_lag_records" in figures
        await program.says("kafka_silent")
        assert (await answer(client, "/livez"))[0] == 200
    finally:
        broker.nodes[0].thaw()
    assert '"deliver_partitions_open":3' in unready
    await answered(client, "/readyz", 200, '"deliver_connected":true')
    await program.says("kafka_answers")


def check_figures(figures: str) -> None:
    """Every documented name with its kind, and what 36 deliveries make of the counters."""
    lines = figures.splitlines()
    for name, kind in NAMES.items():
        suffix = "_total" if kind == "counter" else ""
        assert f"# TYPE dropstream_process_{name}{suffix} {kind}" in lines
    for sample in (
        'records_total{group="deliver"} 36.0',
        'outputs_total{group="deliver",topic="rejected"} 2.0',
        'outputs_total{group="deliver",topic="duplicates"} 4.0',
        'rejected_total{endpoint="",group="deliver",reason="endpoint_unknown"} 1.0',
        'rejected_total{endpoint="dropea",group="deliver",reason="signature_invalid"} 1.0',
        'rejected_total{endpoint="dropea",group="deliver",reason="secret_expired"} 0.0',
        'partitions_opening{group="deliver"} 0.0',
        'partitions_open{group="deliver"} 3.0',
    ):
        assert f"dropstream_process_{sample}" in lines, sample
