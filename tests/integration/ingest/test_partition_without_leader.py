"""The ingress in front of three nodes of which one dies, and with it the only copy of one partition of `raw`."""

import asyncio
from collections import defaultdict
from pathlib import Path

from confluent_kafka.admin import AdminClient

from ops.kafka.topics import apply
from ops.local.broker.cluster import BrokerCluster
from ops.local.broker.node import BrokerNode
from schemas.kafka.partitions import partition_of
from schemas.settings import Settings
from tests.conftest import ClusterFactory, SettingsFactory
from tests.support.raw_http import post
from tests.support.serving import Serving, read_raw, serving
from tests.support.waiting import PATIENCE_S, until

_PARTITIONS = 3
_ROUNDS = 40
_SETTINGS = """
[ingest]
host = "127.0.0.1"
port = 0
kafka_deadline_ms = 2_000
spool_dir = "{spool}"
"""
_ENDPOINT = '[endpoints.{name}]\nprovider = "shipstream"\nsecrets = ["env:SECRET"]\n'
# By murmur2 they are in all three partitions.
_NAMES = tuple(f"e{number}" for number in range(9))


async def leader_of(settings: Settings, broker: BrokerCluster, partition: int) -> BrokerNode:
    """The node that leads this partition of `raw`."""
    name = f"{settings.kafka.topic_prefix}raw"
    client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    found = await asyncio.to_thread(client.list_topics, name, timeout=PATIENCE_S)
    (node,) = (node for node in broker.nodes if node.plan.id == found.topics[name].partitions[partition].leader)
    return node


async def deliver_rounds(running: Serving) -> None:
    """Two senders for each endpoint, which overlap; every answer is 200."""

    async def send(name: str, sender: int) -> None:
        for number in range(_ROUNDS):
            body = b"%s %d %02d" % (name.encode(), sender, number)
            assert (await running.ask(post(f"/webhooks/{name}", body))).status == 200

    await asyncio.gather(*(send(name, sender) for name in _NAMES for sender in range(2)))


async def test_only_the_dead_partitions_deliveries_wait(
    settings: SettingsFactory, cluster: ClusterFactory, tmp_path: Path
) -> None:
    """Of the healthy partitions' deliveries 99 % go to Kafka within the deadline; with the node back, all the rest."""
    broker = await cluster(nodes=3)
    tables = _SETTINGS.format(spool=tmp_path / "spool") + "".join(_ENDPOINT.format(name=name) for name in _NAMES)
    mine = settings(tables, environ={"SECRET": "x"}, bootstrap_servers=broker.bootstrap_servers, partitions=_PARTITIONS)
    await apply(mine)
    dead = partition_of(b"e4", _PARTITIONS)
    healthy = [name for name in _NAMES if partition_of(name.encode(), _PARTITIONS) != dead]
    async with serving(mine) as running:
        for name in _NAMES:
            await running.stored(b"before", name)
        spooled = sum(running.requests(name, "spooled") for name in healthy)
        node = await leader_of(mine, broker, dead)
        await node.kill()
        await deliver_rounds(running)
        spooled = sum(running.requests(name, "spooled") for name in healthy) - spooled
        assert running.requests("e4", "spooled") > 0
        assert spooled <= 0.01 * 2 * _ROUNDS * len(healthy)
        await until(lambda: running.ingress.health().facts["kafka_partitions_overdue"] == 1)
        # One that Kafka takes after the dead partition is overdue: not all of Kafka hangs.
        await running.stored(b"before", healthy[0])
        facts = running.ingress.health().facts
        assert (facts["kafka_connected"], facts["kafka_partitions_overdue"]) == (True, 1)
        waiting = running.ingress.storage.figures().deliveries
        assert waiting <= 2 * _ROUNDS * (len(_NAMES) - len(healthy)) + 1
        await broker.restart(node)
        await until(lambda: not running.ingress.storage.figures().deliveries)
        records = await read_raw(mine, len(_NAMES) * (2 * _ROUNDS + 1) + 1)
    seen: dict[bytes, list[bytes]] = defaultdict(list)
    for record in records:
        if record.value != b"before" and record.value not in seen[record.value[:4]]:
            seen[record.value[:4]].append(record.value)
    assert len(seen) == 2 * len(_NAMES)
    assert all(len(bodies) == _ROUNDS and bodies == sorted(bodies) for bodies in seen.values())
