"""Processors under faults, at length: each fault alone under load on three real Kafka nodes, judged by the audit.

Prints one line a fault: deliveries, what the audit found, and how long after the fault's end all of it was processed.
Ends with 1 if anything was lost, doubled, altered or disordered. Bounded: 12,500 deliveries and a few minutes a fault.
"""

import asyncio
import logging
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka import AIOKafkaProducer

from ops.audit.verdict import FindingKind
from ops.local.broker.cluster import BrokerCluster
from ops.local.broker.local import local_broker
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from tests.support.ports import free_ports
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    Processor,
    audited,
    deliveries,
    prepared,
    processors,
    send,
)

DELIVERIES = 12_500
CHUNK = 250
SEED = 20_261_121

Start = Callable[[str], Awaitable[Processor]]
Fault = Callable[[Start, BrokerCluster, random.Random], Coroutine[None, None, None]]


async def kills(start: Start, _cluster: BrokerCluster, chance: random.Random) -> None:
    """kill -9 at ten random moments; the next one is started at once."""
    for turn in range(10):
        victim = await start(f"victim-{turn}")
        await asyncio.sleep(chance.uniform(1.5, 4))
        victim.signal(signal.SIGKILL)


async def comings_and_goings(start: Start, _cluster: BrokerCluster, chance: random.Random) -> None:
    """A second processor joins and leaves ten times."""
    for turn in range(10):
        guest = await start(f"guest-{turn}")
        await guest.says("partition_opened")
        await asyncio.sleep(chance.uniform(0, 1))
        guest.signal(signal.SIGTERM)
        await guest.ended()


async def freezes(start: Start, _cluster: BrokerCluster, chance: random.Random) -> None:
    """Frozen past its session under load, then woken, three times."""
    for turn in range(3):
        frozen = await start(f"frozen-{turn}")
        await frozen.says("partition_opened")
        await asyncio.sleep(chance.uniform(0, 1))
        frozen.signal(signal.SIGSTOP)
        await asyncio.sleep(9)
        frozen.signal(signal.SIGCONT)
        await asyncio.sleep(2)
        frozen.signal(signal.SIGTERM)


async def leaders_lost(_start: Start, cluster: BrokerCluster, chance: random.Random) -> None:
    """Each of the three nodes is killed with -9 in turn, and comes back."""
    for node in cluster.nodes:
        await asyncio.sleep(chance.uniform(0, 2))
        await node.kill()
        await asyncio.sleep(3)
        await cluster.restart(node)


async def restarts(_start: Start, cluster: BrokerCluster, chance: random.Random) -> None:
    """Each node is stopped in order, and started again."""
    for node in cluster.nodes:
        await asyncio.sleep(chance.uniform(0, 2))
        await node.stop()
        await cluster.restart(node)


async def broker_frozen(_start: Start, cluster: BrokerCluster, chance: random.Random) -> None:
    """One node hangs for twelve seconds, longer than a transaction may take."""
    await asyncio.sleep(chance.uniform(0, 2))
    cluster.nodes[0].freeze()
    await asyncio.sleep(12)
    cluster.nodes[0].thaw()


async def all_away(_start: Start, cluster: BrokerCluster, chance: random.Random) -> None:
    """All nodes are killed at once and started again."""
    await asyncio.sleep(chance.uniform(2, 4))  # A load that has not begun could not begin.
    await cluster.kill()
    for node in cluster.nodes:
        node.launch()
    await cluster.ready()


async def everything(start: Start, cluster: BrokerCluster, chance: random.Random) -> None:
    """Kills, guests and lost leaders at the same time."""
    await asyncio.gather(kills(start, cluster, chance), leaders_lost(start, cluster, chance))


FAULTS: tuple[Fault, ...] = (
    kills, comings_and_goings, freezes, leaders_lost, restarts, broker_frozen, all_away, everything,
)  # fmt: skip


def settings_of(cluster: BrokerCluster, prefix: str) -> Settings:
    text = (
        f'[kafka]\nbootstrap_servers = "{cluster.bootstrap_servers}"\ntopic_prefix = "{prefix}"\n'
        f"replication_factor = 3\npartitions = 6\n{MORTAL}\n{ENDPOINTS}"
    )
    return read_configuration(text, source="chaos", context=Context(ENVIRON, discover()))


async def load(settings: Settings) -> None:
    """Puts all deliveries in, over about half a minute; one producer, which waits while the cluster is away."""
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for first in range(1, DELIVERIES + 1, CHUNK):
            await send(producer, settings, deliveries(CHUNK, first=first))
            await asyncio.sleep(0.3)


async def cause(fault: Fault, cluster: BrokerCluster, folder: Path) -> bool:
    """Whether the audit was clean after the fault; prints its line."""
    settings = await prepared(settings_of(cluster, f"{fault.__name__.replace('_', '-')}."))
    async with processors(settings, folder) as start:
        await start("resident")
        async with asyncio.TaskGroup() as together:
            together.create_task(load(settings))
            together.create_task(fault(start, cluster, random.Random(SEED)))  # noqa: S311 a seeded schedule
        # Whoever ended itself, as one that lost its partitions must, is started again, as a supervisor would.
        await start("successor")
        ended_at = time.perf_counter()
        verdict = await audited(settings, DELIVERIES)
    good = verdict.clean and not verdict.pending and verdict.deliveries == DELIVERIES
    counts = [verdict.found.get(kind, 0) for kind in FindingKind]
    # How many gaps time alone makes is another number at each run.
    events = sum(count for topic, count in verdict.outputs.items() if topic != "gaps")
    seconds = time.perf_counter() - ended_at
    row = [f"{fault.__name__:<20}", f"{verdict.deliveries:>10,}", f"{events:>8,}", f"{verdict.pending:>8}"]
    row += [f"{count:>{len(kind) + 2}}" for kind, count in zip(FindingKind, counts, strict=True)]
    print("".join([*row, f"{seconds:>8.0f} s"]), flush=True)  # noqa: T201
    return good


async def main(names: list[str]) -> int:
    head = ("deliveries", "outputs", "pending", *FindingKind, "recovery")
    widths = (10, 8, 8, *(len(kind) + 2 for kind in FindingKind), 10)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # The brokers go away; that is the point.
    with TemporaryDirectory() as name:
        folder = Path(name)
        port = free_ports(6)
        async with local_broker(folder / "kafka", environ={}, progress=print, nodes=3, port=port) as cluster:
            columns = "".join(f"{text:>{width}}" for text, width in zip(head, widths, strict=True))
            print(f"{'fault':<20}{columns}", flush=True)  # noqa: T201
            chosen = [fault for fault in FAULTS if not names or fault.__name__ in names]
            results = []
            for fault in chosen:
                place = folder / fault.__name__
                place.mkdir()
                results.append(await cause(fault, cluster, place))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
