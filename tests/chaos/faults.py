"""What happens to an ingress on the open internet and to the Kafka behind it. Each is given a stage under load."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable

from confluent_kafka.admin import AdminClient

from schemas.kafka.partitions import partition_of
from tests.chaos.disk_faults import disk_full, disk_hangs, disk_slow, page_damaged
from tests.chaos.obligations import ENDPOINTS, PAUSE_S, Load
from tests.chaos.scrape_fault import scrape_storm
from tests.chaos.stage import Stage
from tests.chaos.strange_ingress import DEATHS
from tests.chaos.stranger_faults import big_bodies_one_endpoint, idle_flood, strangers_flood
from tests.support.serving import limit_topic, set_topic
from tests.support.waiting import PATIENCE_S

Fault = Callable[[Stage, Load, random.Random], Awaitable[None]]

_SHORT_S = 6.0
_SLOW_CONNECTIONS = 1_000


async def broker_stopped(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """The broker ends in order, and is started again."""
    await stage.node.stop()
    await asyncio.sleep(_SHORT_S)


async def broker_killed(stage: Stage, _load: Load, chance: random.Random) -> None:
    """The broker is killed with -9, twice."""
    for _ in range(2):
        await stage.node.kill()
        await asyncio.sleep(chance.uniform(1, _SHORT_S))
        await stage.cluster.restart(stage.node)
        await asyncio.sleep(chance.uniform(0, 2))


async def broker_frozen(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """The broker hangs longer than a producer is given: connections stay open, nothing answers."""
    stage.node.freeze()
    await asyncio.sleep(15)


async def acks_slow(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """Kafka acknowledges, and later than the deadline: frozen for 1.75 s, awake for 0.15 s, again and again."""
    for _ in range(10):
        stage.node.freeze()
        await asyncio.sleep(1.75)
        stage.node.thaw()
        await asyncio.sleep(0.15)


async def latency(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """What the ingress and Kafka say to each other takes 0.9 s each way."""
    stage.wire.delay_s = 0.9
    await asyncio.sleep(3 * _SHORT_S)


async def kafka_stalls(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """Kafka stalls for longer than a producer is given, and again for less."""
    for stall_s in (13, 4):
        stage.node.freeze()
        await asyncio.sleep(stall_s)
        stage.node.thaw()
        await asyncio.sleep(3)


async def one_leader_gone(stage: Stage, load: Load, _chance: random.Random) -> None:
    """One of three nodes is killed, and its partitions of `raw` have no other copy; the others go on."""
    await lose_a_node(stage, load)


async def one_copy_gone(stage: Stage, load: Load, _chance: random.Random) -> None:
    """One of three nodes is killed; the one copy that is left of its partitions takes nothing alone."""
    raw = f"{stage.settings.kafka.topic_prefix}raw"
    await asyncio.to_thread(set_topic, stage.cluster.bootstrap_servers, raw, "min.insync.replicas", "2")
    await lose_a_node(stage, load)


async def lose_a_node(stage: Stage, load: Load) -> None:
    """Kills a node; notes which share of the deliveries to partitions without a copy there went to Kafka at once."""
    raw = f"{stage.settings.kafka.topic_prefix}raw"
    client = AdminClient({"bootstrap.servers": stage.settings.kafka.bootstrap_servers})
    partitions = (await asyncio.to_thread(client.list_topics, raw, timeout=PATIENCE_S)).topics[raw].partitions
    healthy = [
        name
        for name in (f"e{number}" for number in range(ENDPOINTS))
        if stage.node.plan.id not in partitions[partition_of(name.encode(), len(partitions))].replicas
    ]
    await stage.node.kill()
    before = await stage.requests()
    await asyncio.sleep(3 * _SHORT_S)
    since = await stage.requests() - before
    stored, spooled = (sum(since[name, outcome] for name in healthy) for outcome in ("stored", "spooled"))
    load.healthy_served = min(load.healthy_served or 1.0, stored / (stored + spooled))


async def broker_long_away(stage: Stage, load: Load, _chance: random.Random) -> None:
    """The broker is away for long; a provider that saw 503 meanwhile would have switched the webhook off."""
    await stage.node.kill()
    load.pause_s = 10 * PAUSE_S
    await asyncio.sleep(stage.away_s)


async def wire_cut(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """The network swallows everything, without a word."""
    stage.wire.cut()
    await asyncio.sleep(2 * _SHORT_S)


async def wire_reset(stage: Stage, _load: Load, chance: random.Random) -> None:
    """Connections to the broker break, again and again."""
    for _ in range(5):
        stage.wire.reset()
        await asyncio.sleep(chance.uniform(0.1, 2))
        stage.wire.mend()
        await asyncio.sleep(chance.uniform(0.1, 1))


async def ingress_killed(stage: Stage, _load: Load, chance: random.Random) -> None:
    """The ingress is killed with -9 ten times, with Kafka there and away."""
    for turn in range(10):
        if turn == 3:
            await stage.node.kill()
        if turn == 7:
            await stage.cluster.restart(stage.node)
        await asyncio.sleep(chance.uniform(1.5, 3))
        stage.kill_ingress()


async def ingress_stopped(stage: Stage, _load: Load, chance: random.Random) -> None:
    """The ingress is told to stop five times, under full load."""
    for _ in range(5):
        await asyncio.sleep(chance.uniform(1.5, 3))
        await stage.until(lambda: stage.alive)
        deaths = stage.deaths
        stage.kill_ingress(signal.SIGTERM)
        await stage.died(deaths + 1)


async def ingress_dies_at_each_step(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """Killed with -9 before and after the spool's write, and while it is emptied."""
    for step in DEATHS:
        await stage.until(lambda: stage.alive)
        deaths = stage.deaths
        stage.troubles.append(step)
        stage.kill_ingress()
        await stage.died(deaths + 1)
        await stage.node.kill()
        await asyncio.sleep(3)
        await stage.cluster.restart(stage.node)
        await stage.died(deaths + 2)


async def clock_jumps(stage: Stage, load: Load, _chance: random.Random) -> None:
    """The wall clock jumps by hours and weeks, ahead and back, with Kafka there and away."""
    load.clock_jumps = True
    stage.troubles.append("jumping_clock")
    stage.kill_ingress()
    await asyncio.sleep(8)
    await stage.node.kill()
    await asyncio.sleep(6)
    await stage.cluster.restart(stage.node)
    await asyncio.sleep(6)


async def producer_poisoned(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """Kafka refuses whole batches for a while, and with each the producer's sequence numbers."""
    await asyncio.to_thread(limit_raw, stage, 3_000)
    await asyncio.sleep(_SHORT_S)
    await asyncio.to_thread(limit_raw, stage, 4_194_304)


async def slow_connections(stage: Stage, _load: Load, _chance: random.Random) -> None:
    """A thousand connections say one byte a second."""

    async def dawdle() -> None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", stage.settings.ingest.port)
            with contextlib.closing(writer):
                for byte in b"POST /webhooks/e0 HT":
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(1)

    async with asyncio.timeout(60):
        await asyncio.gather(*(dawdle() for _ in range(_SLOW_CONNECTIONS)))


async def hostile_bodies(stage: Stage, _load: Load, chance: random.Random) -> None:
    """Oversized, endless, half and garbled requests, fifty at a time."""
    head = b"POST /webhooks/e1 HTTP/1.1\r\nHost: x\r\n"
    chunk = b"400\r\n" + b"x" * 1_024 + b"\r\n"
    openings = (
        head + b"Content-Length: 999999999\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2_000,
        head + b"Content-Length: 5000\r\n\r\nhalf",
        head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nhello",
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    )

    async def harm() -> None:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.settings.ingest.port)
            with contextlib.closing(writer):
                writer.write(chance.choice((*openings, chance.randbytes(2_000))))
                await writer.drain()
                async with asyncio.timeout(chance.uniform(0.1, 2)):
                    await reader.read()

    for _ in range(30):
        await asyncio.gather(*(harm() for _ in range(50)))


async def everything(stage: Stage, load: Load, chance: random.Random) -> None:
    """Ten of the short faults in a seeded order, hostile traffic beside them all the while."""
    hostile = asyncio.create_task(hostile_bodies(stage, load, chance))
    for fault in chance.sample((broker_stopped, broker_killed, wire_cut, wire_reset, producer_poisoned), 5):
        await fault(stage, load, chance)
        stage.kill_ingress()
        await stage.mended()
        await asyncio.sleep(1)
    await hostile


async def a_short_mix(stage: Stage, load: Load, chance: random.Random) -> None:
    """Half a minute of the above: the broker killed, the ingress killed, the disk full, the wire cut and broken."""
    await stage.node.kill()
    await asyncio.sleep(chance.uniform(1.6, 2))
    stage.kill_ingress()
    await stage.until(lambda: stage.alive)
    accepted = load.count
    await stage.until(lambda: load.count > accepted + 100)
    stage.limit_files(1)
    await asyncio.sleep(chance.uniform(0.5, 1))
    stage.limit_files(2**40)
    await stage.cluster.restart(stage.node)
    stage.kill_ingress(signal.SIGTERM)
    await asyncio.sleep(chance.uniform(2, 4))
    stage.wire.cut()
    await asyncio.sleep(chance.uniform(2, 3))
    stage.wire.reset()
    # However slow the machine is: the judgement is of so many.
    await stage.until(lambda: load.count > 500)


def limit_raw(stage: Stage, bytes_max: int) -> None:
    """The topic's own limit, for batches as for records."""
    limit_topic(f"127.0.0.1:{stage.node.plan.port}", f"{stage.settings.kafka.topic_prefix}raw", bytes_max)


ALL: tuple[Fault, ...] = (
    broker_stopped, broker_killed, broker_frozen, broker_long_away, wire_cut, wire_reset, disk_full, disk_hangs,
    disk_slow, page_damaged, ingress_killed, ingress_stopped, ingress_dies_at_each_step, clock_jumps, producer_poisoned,
    slow_connections, hostile_bodies, strangers_flood, idle_flood, big_bodies_one_endpoint, scrape_storm, everything,
    acks_slow, latency, kafka_stalls, one_leader_gone, one_copy_gone,
)  # fmt: skip
# What Kafka only acknowledges late must not be sent again and again.
LATE: tuple[Fault, ...] = (acks_slow, latency)
# These are played on a cluster of three nodes, each with partitions of its own.
THREE_NODES: tuple[Fault, ...] = (one_leader_gone, one_copy_gone)
# Here each partition has two copies, else one.
TWO_COPIES: tuple[Fault, ...] = (one_copy_gone,)
# Here the ingress has so many endpoints, else as many as there are senders for.
MANY_ENDPOINTS: dict[Fault, int] = {scrape_storm: 10_000}
