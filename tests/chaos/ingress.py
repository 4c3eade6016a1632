"""The ingress under faults, at length: each fault alone under load on a real Kafka, every 200 an obligation.

Prints one line a fault: how many deliveries, how they were answered, what of those with a 200 is lost or disordered in
`raw`, how many records a delivery has at most and on average, the most memory that the ingress took, which
share of the healthy partitions' deliveries went to Kafka at once, the longest wait for a 200, and how long after the
fault's end the spool was empty. `.dropstream/chaos/ingress.md` has the same. Ends with 1 if anything was lost or out of
order, a bound was passed, a fault could not be played, or the ingress wrote a traceback. Bounded in time, and seeded.
"""

import argparse
import asyncio
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.local.broker.cluster import BrokerCluster
from ops.local.broker.local import local_broker
from tests.chaos import faults
from tests.chaos.obligations import ENDPOINTS, Load, judge
from tests.chaos.stage import Stage, staged
from tests.chaos.table import Played, Table
from tests.chaos.wire import Wire
from tests.support.ports import free_ports

SEED = 20_261_121
_RECOVERY_S = 120.0
# With all faults more than 300,000 in sum.
_LEAST = 12_000
# Records of one delivery, at most and on average, where Kafka is late; the share that must not wait for a dead node.
_MOST = 2
_EACH = 1.2
_HEALTHY_SERVED = 0.99
# What strangers may make an ingress hold; an ingress of many endpoints has more to remember.
_MEMORY_KIB_MAX = 192 * 1_024
_TABLE = Path(".dropstream/chaos/ingress.md")


async def play(fault: faults.Fault, stage: Stage, *, seed: int, least: int = 0) -> Played:
    """The fault under load, until all that was answered 200 ought to be in `raw`.

    It is played again and again until at least `least` deliveries were answered 200.
    """
    chance = random.Random(seed)  # noqa: S311 a seeded schedule
    load = Load(stage.url, chance)
    recovery_s = 0.0
    async with asyncio.TaskGroup() as together:
        running = together.create_task(load.run())
        await stage.until(lambda: load.count >= 200)
        while not recovery_s or load.count < least:
            await fault(stage, load, chance)
            ended_at = time.perf_counter()
            await stage.mended()
            await stage.drained(within_s=_RECOVERY_S)
            recovery_s = max(recovery_s, time.perf_counter() - ended_at)
        load.ending.set()
        await running
    fresh = await stage.fresh_delivery_passes()
    # What the last deliveries found on a disk that had just come back went to the spool behind it.
    await stage.drained(within_s=_RECOVERY_S)
    tidy = await stage.stopped()
    verdict = await judge(stage.settings, load)
    said = {
        "a fresh delivery did not pass": not fresh,
        "what Kafka acknowledged late was sent too often": fault in faults.LATE
        and (verdict.most > _MOST or verdict.each >= _EACH),
        "deliveries of healthy partitions waited": (load.healthy_served or 1.0) < _HEALTHY_SERVED,
        "the ingress took too much memory": fault not in faults.MANY_ENDPOINTS and stage.peak_kib >= _MEMORY_KIB_MAX,
    }
    untidy = (*tidy, *(what for what, is_so in said.items() if is_so))
    return Played(load, verdict, stage.peak_kib, recovery_s, untidy)


@asynccontextmanager
async def wired(cluster: BrokerCluster) -> AsyncIterator[Wire]:
    """The one node of the cluster, started again so that it sends its clients through a wire."""
    node = cluster.nodes[0]
    port = free_ports(1)
    node.plan = replace(node.plan, advertised_port=port)
    async with Wire(port, node.plan.port) as wire:
        await node.stop()
        await cluster.restart(node)
        yield wire


@asynccontextmanager
async def beside(cluster: BrokerCluster) -> AsyncIterator[Wire]:
    """A wire to the last node, for a client's first question; all else goes to the nodes themselves."""
    async with Wire(free_ports(1), cluster.nodes[-1].plan.port) as wire:
        yield wire


async def main(names: Sequence[str], *, away_s: float, seed: int, least: int) -> int:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # The broker goes away; that is the point.
    chosen = [fault for fault in faults.ALL if not names or fault.__name__ in names]
    table = Table(_TABLE, len(chosen))
    with TemporaryDirectory() as name:
        for nodes in (1, 3):
            mine = [fault for fault in chosen if (fault in faults.THREE_NODES) == (nodes == 3)]
            if mine:
                await _play_on(nodes, mine, Path(name), table, away_s=away_s, seed=seed, least=least)
    table.ends()
    return 0 if table.good else 1


async def _play_on(
    nodes: int, chosen: Sequence[faults.Fault], folder: Path, table: Table, *, away_s: float, seed: int, least: int
) -> None:
    """Plays faults one after the other on a cluster of so many nodes."""
    port = free_ports(2 * nodes)
    async with (
        local_broker(folder / f"kafka-{nodes}", environ={}, progress=print, nodes=nodes, port=port) as cluster,
        wired(cluster) if nodes == 1 else beside(cluster) as wire,
    ):
        table.head()
        for fault in chosen:
            name = fault.__name__
            table.begins(name)
            place = folder / name
            place.mkdir()
            copies = 2 if fault in faults.TWO_COPIES else 1
            endpoints = faults.MANY_ENDPOINTS.get(fault, ENDPOINTS)
            try:
                async with (
                    staged(
                        name, place, cluster=cluster, wire=wire, away_s=away_s, copies=copies, endpoints=endpoints
                    ) as stage,
                    mended(stage),
                ):
                    table.played(name, await play(fault, stage, seed=seed, least=least))
            except Exception as error:  # noqa: BLE001 however a fault fails, the others are played
                table.failed(name, error)


@asynccontextmanager
async def mended(stage: Stage) -> AsyncIterator[None]:
    """What happens inside, the broker is well afterwards, for the next fault."""
    try:
        yield
    finally:
        await stage.mended()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.ingress")
    parser.add_argument("faults", nargs="*", choices=[[], *(fault.__name__ for fault in faults.ALL)], metavar="FAULT")
    parser.add_argument("--away", type=float, default=600.0, metavar="SECONDS", help="how long Kafka is long away")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--each", type=int, default=_LEAST, metavar="N", help="a fault is played again until N deliveries were answered"
    )
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.faults, away_s=given.away, seed=given.seed, least=given.each)))
