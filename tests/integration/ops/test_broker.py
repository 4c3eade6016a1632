"""The local broker: its life, its faults, and that it never outlives whoever started it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.local.broker import daemon as broker_daemon
from ops.local.broker.cluster import open_cluster
from ops.local.broker.daemon import NodeState
from ops.local.broker.local import BrokerKind, any_broker
from ops.local.broker.memory import memory_broker
from ops.local.broker.pid import find_running
from ops.local.broker.probe import nodes_seen, port_is_free
from ops.local.broker.runtime import Runtime
from ops.local.processes import command_line
from schemas.errors import DropstreamError
from tests.conftest import ClusterFactory, KafkaUnderTest, SettingsFactory
from tests.support.ports import free_ports
from tests.support.waiting import PATIENCE_S

# Starts a broker in a child, prints the broker's pid, and then only waits to be killed.
_PARENT = """
import asyncio, os, sys
from pathlib import Path
from ops.local.broker.local import local_broker
from ops.local.broker.pid import find_running

async def main():
    data = Path(sys.argv[1])
    async with local_broker(data, environ=os.environ, progress=lambda step: None, port=int(sys.argv[2])):
        print(find_running(data / "node-1").process.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def _silent(_step: str) -> None:
    return


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 another process sets no event of ours
            await asyncio.sleep(0.05)


async def _make_topic(servers: str, topic: str, *, replicas: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(topic, 1, replicas, topic_configs={"min.insync.replicas": str(max(1, replicas - 1))})]
        )
    finally:
        await admin.close()


async def _write(servers: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            for value in values:
                await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def _read(servers: str, topic: str, count: int, *, check_crcs: bool = True) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, check_crcs=check_crcs, enable_auto_commit=False)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        async with asyncio.timeout(PATIENCE_S):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_shared_broker_takes_and_gives_records(
    kafka: KafkaUnderTest, prefix: str, settings: SettingsFactory
) -> None:
    """The session's broker takes records, and the settings of a test point at it."""
    await _make_topic(kafka.bootstrap_servers, f"{prefix}raw")
    await _write(kafka.bootstrap_servers, f"{prefix}raw", b"one", b"two")
    assert await _read(kafka.bootstrap_servers, f"{prefix}raw", 2) == [b"one", b"two"]
    assert settings().kafka.bootstrap_servers == kafka.bootstrap_servers
    assert settings().kafka.topic_prefix == prefix


async def test_daemon_starts_once_and_stops(kafka_runtime: Runtime, tmp_path: Path) -> None:
    """A daemon broker is ready once started, is found by a second start, and is gone after stop."""
    data, port = tmp_path / "data", free_ports(4)
    try:
        started = await broker_daemon.start(data, nodes=1, port=port, runtime=kafka_runtime, progress=_silent)
        assert (started.bootstrap_servers, started.already) == (f"127.0.0.1:{port}", False)
        assert [(node.id, node.state, node.port) for node in await broker_daemon.status(data)] == [
            (1, NodeState.READY, port)
        ]
        again = await broker_daemon.running_broker(data, nodes=1, port=port)
        assert again == broker_daemon.Started(f"127.0.0.1:{port}", already=True)
        with pytest.raises(DropstreamError, match=f"a broker of 1 node on port {port} runs on .* stop it first"):
            await broker_daemon.running_broker(data, nodes=1, port=port + 2)
        with pytest.raises(DropstreamError, match=r"is in use: a broker runs on it \(pid \d+, port"):
            await open_cluster(data, nodes=1, port=port + 2, runtime=kafka_runtime, progress=_silent)
    finally:
        assert await broker_daemon.stop(data) == 1
    assert [node.state for node in await broker_daemon.status(data)] == [NodeState.STOPPED]
    assert await broker_daemon.stop(data) == 0
    assert port_is_free(port)


async def test_records_survive_kill_and_freeze(cluster: ClusterFactory) -> None:
    """A node serves its old records after kill -9 and a restart, and after it was frozen and thawed."""
    broker = await cluster()
    node, servers = broker.nodes[0], broker.bootstrap_servers
    await _make_topic(servers, "kept")
    await _write(servers, "kept", b"before")
    await node.kill()
    assert port_is_free(node.plan.port)
    await broker.restart(node)
    assert await _read(servers, "kept", 1) == [b"before"]
    node.freeze()
    # The signal reaches its threads one after the other; one may answer still.
    async with asyncio.timeout(PATIENCE_S):
        while await nodes_seen(node.plan.port):
            pass
    node.thaw()
    await broker.ready()
    await _write(servers, "kept", b"after")
    assert await _read(servers, "kept", 2) == [b"before", b"after"]


# Longer than three nodes wait before another leads.
_LATE_S = 5.0


async def test_a_node_that_stood_still_for_seconds_still_leads(cluster: ClusterFactory) -> None:
    """A node alone whose heartbeats come five seconds late, as on a busy machine, is not fenced."""
    broker = await cluster()
    node = broker.nodes[0]
    node.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(_LATE_S):
            await asyncio.Event().wait()
    node.thaw()
    for number in range(20):
        await _make_topic(broker.bootstrap_servers, f"topic-{number}")
    assert "Fencing broker" not in node.log.read_text()


async def test_three_nodes_survive_the_kill_of_one(cluster: ClusterFactory) -> None:
    """Records acknowledged by all in-sync replicas stay, and new ones are taken, after kill -9 of one node in three."""
    broker = await cluster(nodes=3)
    await _make_topic(broker.bootstrap_servers, "kept", replicas=3)
    await _write(broker.bootstrap_servers, "kept", b"before")
    await broker.nodes[0].kill()
    await _write(broker.bootstrap_servers, "kept", b"after")
    assert await _read(broker.bootstrap_servers, "kept", 2) == [b"before", b"after"]


@pytest.mark.usefixtures("kafka_runtime")
async def test_broker_ends_with_its_killed_parent(tmp_path: Path) -> None:
    """Kill -9 of the process that started a broker leaves no broker, even one that was frozen."""
    data, port = tmp_path / "data", free_ports(2)
    with _start_parent(data, port) as parent:
        assert parent.stdout
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert str(data) in command_line(pid)
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    await _until(lambda: str(data) not in command_line(pid))
    assert find_running(data / "node-1") is None
    assert port_is_free(port)


def _start_parent(data: Path, port: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", _PARENT, str(data), str(port)], stdout=subprocess.PIPE)


async def test_taken_port_is_named(kafka_runtime: Runtime, tmp_path: Path) -> None:
    """A port that another program has is named, with what to do, and nothing is left running."""
    port = free_ports(2)
    with socket.create_server(("127.0.0.1", port + 1)):
        with pytest.raises(DropstreamError, match=f"port {port + 1} of 127.0.0.1 is taken .* --port; .* KAFKA="):
            await open_cluster(tmp_path / "data", nodes=1, port=port, runtime=kafka_runtime, progress=_silent)
        assert find_running(tmp_path / "data" / "node-1") is None


async def test_broker_that_dies_at_start_is_explained(kafka_runtime: Runtime, tmp_path: Path) -> None:
    """A broker that ends while starting gives its own last words and the path of its log."""
    data, port = tmp_path / "data", free_ports(2)
    broker = await open_cluster(data, nodes=1, port=port, runtime=kafka_runtime, progress=_silent)
    await broker.stop()
    metadata = data / "node-1" / "logs" / "__cluster_metadata-0"
    for part in metadata.iterdir():
        part.unlink()
    metadata.rmdir()
    metadata.write_bytes(b"not a folder")
    with pytest.raises(DropstreamError, match=r"the broker ended while starting: .*__cluster_metadata-0") as told:
        await open_cluster(data, nodes=1, port=port, runtime=kafka_runtime, progress=_silent)
    assert str(data / "node-1" / "broker.log") in str(told.value)
    assert len(str(told.value).splitlines()) == 2


async def test_interrupted_format_is_healed(cluster: ClusterFactory, tmp_path: Path) -> None:
    """A data folder whose format was interrupted is formatted anew, also under an id that begins with a hyphen."""
    node = tmp_path / "node-1"
    (node / "logs.formatting").mkdir(parents=True)
    (node / "logs.formatting" / "bootstrap.checkpoint").write_bytes(b"half")
    (tmp_path / "cluster.json").write_text(json.dumps({"cluster_id": "-kU3OEVBNTcwNTJENDM2Qg", "nodes": 1}))
    broker = await cluster(data=tmp_path)
    assert await nodes_seen(broker.nodes[0].plan.port) == frozenset({1})
    assert not (node / "logs.formatting").exists()


async def test_memory_broker_takes_and_gives_records() -> None:
    """The in-memory broker makes a topic when it is named, takes a record, gives it back, and ends with its block."""
    async with memory_broker() as address:
        await _write(address, "named", b"one")
        assert await _read(address, "named", 1, check_crcs=False) == [b"one"]
    assert port_is_free(int(address.rsplit(":", 1)[1]))


async def test_given_broker_is_used_and_none_is_started(tmp_path: Path) -> None:
    """KAFKA=host:port is taken as it is."""
    data = tmp_path / "data"
    async with any_broker(data, environ={"KAFKA": "kafka.example:9092"}, progress=_silent) as broker:
        assert (broker.kind, broker.bootstrap_servers) == (BrokerKind.GIVEN, "kafka.example:9092")
    assert not data.exists()


async def test_memory_broker_stands_in(tmp_path: Path) -> None:
    """Where there is neither Java nor Docker the in-memory broker runs, and one sentence says what it cannot show."""
    environ = {"PATH": str(tmp_path)}
    async with any_broker(tmp_path / "data", environ=environ, progress=_silent) as broker:
        assert broker.kind is BrokerKind.MEMORY
        assert broker.limits.startswith(
            "No real Kafka here (there is no Java 17 or newer, and Docker is missing). In-memory broker: "
        )
