"""The ingress under faults, at length: each fault alone under load on a real Kafka, every 200 an obligation.

Prints one line a fault: how many deliveries, how they were answered, what `raw` holds of those that were answered 200,
how many records a delivery has at most and on average, which share of the healthy partitions' deliveries went to Kafka
at once, the longest wait for a 200, and how long after the fault's end the spool was empty. Ends with 1 if anything was
lost or out of order, a bound was passed, or the ingress wrote a traceback. Bounded in time, and seeded.
"""

import argparse
import asyncio
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.local.broker.cluster import BrokerCluster
from ops.local.broker.local import local_broker
from tests.chaos import faults
from tests.chaos.obligations import Load, Verdict, judge
from tests.chaos.stage import Stage, staged
from tests.chaos.wire import Wire
from tests.support.ports import free_ports

SEED = 20_261_121
_RECOVERY_S = 120.0
# Records of one delivery, at most and on average, where Kafka is late; the share that must not wait for a dead node.
_MOST = 2
_EACH = 1.2
_HEALTHY_SERVED = 0.99
_HEAD = (
    ("deliveries", 11),
    ("200", 9),
    ("503", 7),
    ("none", 8),
    ("found", 9),
    ("lost", 5),
    ("copies", 7),
    ("most", 5),
    ("each", 6),
    ("disordered", 11),
    ("healthy", 9),
    ("longest", 9),
    ("recovery", 9),
)


@dataclass(frozen=True, slots=True)
class Played:
    """How a fault went; `untidy` says in words what else was not as it should be."""

    load: Load
    verdict: Verdict
    recovery_s: float
    untidy: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether every obligation was met, in order, and nothing else was wrong."""
        verdict = self.verdict
        return verdict.obligations > 0 and not (verdict.lost or verdict.disordered or self.untidy)


async def play(fault: faults.Fault, stage: Stage, *, seed: int) -> Played:
    """The fault under load, until all that was answered 200 ought to be in `raw`."""
    chance = random.Random(seed)  # noqa: S311 a seeded schedule
    load = Load(stage.url, chance)
    async with asyncio.TaskGroup() as together:
        running = together.create_task(load.run())
        await stage.until(lambda: load.count >= 200)
        await fault(stage, load, chance)
        ended_at = time.perf_counter()
        await stage.mended()
        await stage.drained(within_s=_RECOVERY_S)
        recovery_s = time.perf_counter() - ended_at
        load.ending.set()
        await running
    fresh = await stage.fresh_delivery_passes()
    tidy = await stage.stopped()
    verdict = await judge(stage.settings, load)
    said = {
        "a fresh delivery did not pass": not fresh,
        "what Kafka acknowledged late was sent too often": fault in faults.LATE
        and (verdict.most > _MOST or verdict.each >= _EACH),
        "deliveries of healthy partitions waited": (load.healthy_served or 1.0) < _HEALTHY_SERVED,
    }
    return Played(load, verdict, recovery_s, (*tidy, *(what for what, is_so in said.items() if is_so)))


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


def _row(name: str, played: Played) -> str:
    load, verdict = played.load, played.verdict
    cells = (
        f"{load.answers.total():,}",
        f"{load.count:,}",
        f"{load.answers['503']:,}",
        f"{load.answers['none'] + load.answers['too late']:,}",
        f"{verdict.found:,}",
        f"{verdict.lost}",
        f"{verdict.copies:,}",
        f"{verdict.most}",
        f"{verdict.each:.2f}",
        f"{verdict.disordered}",
        "-" if load.healthy_served is None else f"{load.healthy_served:.1%}",
        f"{load.longest_s:.2f} s",
        f"{played.recovery_s:.1f} s",
    )
    return f"{name:<24}" + "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _HEAD, strict=True))


async def main(names: Sequence[str], *, away_s: float, seed: int) -> int:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # The broker goes away; that is the point.
    chosen = [fault for fault in faults.ALL if not names or fault.__name__ in names]
    results: list[bool] = []
    with TemporaryDirectory() as name:
        for nodes in (1, 3):
            mine = [fault for fault in chosen if (fault in faults.THREE_NODES) == (nodes == 3)]
            if mine:
                results += await _play_on(nodes, mine, Path(name), away_s=away_s, seed=seed)
    return 0 if results and all(results) else 1


async def _play_on(nodes: int, chosen: Sequence[faults.Fault], folder: Path, *, away_s: float, seed: int) -> list[bool]:
    """Plays faults one after the other on a cluster of so many nodes; whether each went well."""
    results = []
    port = free_ports(2 * nodes)
    async with (
        local_broker(folder / f"kafka-{nodes}", environ={}, progress=print, nodes=nodes, port=port) as cluster,
        wired(cluster) if nodes == 1 else beside(cluster) as wire,
    ):
        print(f"{'fault':<24}" + "".join(f"{text:>{width}}" for text, width in _HEAD), flush=True)  # noqa: T201
        for fault in chosen:
            place = folder / fault.__name__
            place.mkdir()
            copies = 2 if fault in faults.TWO_COPIES else 1
            async with staged(fault.__name__, place, cluster=cluster, wire=wire, away_s=away_s, copies=copies) as stage:
                played = await play(fault, stage, seed=seed)
            print("\n    ".join((_row(fault.__name__, played), *played.untidy)), flush=True)  # noqa: T201
            results.append(played.good)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.ingress")
    parser.add_argument("faults", nargs="*", choices=[[], *(fault.__name__ for fault in faults.ALL)], metavar="FAULT")
    parser.add_argument("--away", type=float, default=600.0, metavar="SECONDS", help="how long Kafka is long away")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.faults, away_s=given.away, seed=given.seed)))
