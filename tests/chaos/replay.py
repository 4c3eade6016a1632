"""A replay in place of 200,000 deliveries, killed with -9 three times and resumed; judged by the audit.

Prints one line: deliveries, events, what the audit found, and the rate of the replay, its restarts included. Ends with
1 if anything was lost, doubled, altered or disordered. Bounded: about ten minutes. A number as argument is how many
deliveries instead.
"""

import asyncio
import logging
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka import AIOKafkaProducer

from ops.audit.run import audit
from ops.audit.verdict import FindingKind
from ops.local.broker.cluster import BrokerCluster
from ops.local.broker.local import local_broker
from ops.replay.store import ReplayStore, read_store
from processors.providers import discover
from schemas.configuration import Context, read_configuration
from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from tests.support.ports import free_ports
from tests.support.processing import (
    ENDPOINTS,
    ENVIRON,
    MORTAL,
    audited,
    deliveries,
    prepared,
    processors,
    send,
)
from tests.support.replaying import Program, ended, kill, says

DELIVERIES = 200_000
CHUNK = 2_000
KILLS = 3
SEED = 20_261_121
# Processing and replaying each take less than this many seconds a thousand deliveries.
PATIENCE_S_PER_THOUSAND = 5


def settings_of(cluster: BrokerCluster) -> Settings:
    text = (
        f'[kafka]\nbootstrap_servers = "{cluster.bootstrap_servers}"\ntopic_prefix = "replay."\n'
        f"replication_factor = 1\npartitions = 6\n{MORTAL}\n{ENDPOINTS}"
    )
    return read_configuration(text, source="chaos", context=Context(ENVIRON, discover()))


async def process(settings: Settings, folder: Path, count: int) -> None:
    """Puts the deliveries in and processes them."""
    async with processors(settings, folder) as start:
        await start("resident")
        async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
            for first in range(1, count + 1, CHUNK):
                await send(producer, settings, deliveries(min(CHUNK, count - first + 1), first=first))
        verdict = await audited(settings, count, patience_s=count / 1000 * PATIENCE_S_PER_THOUSAND + 60)
    if verdict.pending or not verdict.clean:
        raise RuntimeError("the first processing is not clean; the replay would prove nothing")


async def replay(program: Program, count: int, chance: random.Random) -> str:
    """Replays everything in place, killed after a share of the deliveries each time; the replay's id."""
    running = await program.start("replay", "--in-place", "--yes")
    name = (await says(running, "id\t")).split("\t")[1].strip()
    for turn in range(KILLS):
        await progressed(program.settings, name, int(count * (turn + chance.uniform(0.2, 0.9)) / (KILLS + 1)))
        await kill(running)
        running = await program.start("replay", "--resume", name)
    done = await ended(running, patience_s=count / 1000 * PATIENCE_S_PER_THOUSAND + 60)
    if done.code:
        raise RuntimeError(f"the last run failed: {done.err}")
    return name


async def progressed(settings: Settings, name: str, least: int) -> None:
    """Returns once the replay has done so many records."""
    async with asyncio.timeout(least / 1000 * PATIENCE_S_PER_THOUSAND + 60):
        while done(await read_store(settings), name) < least:  # noqa: ASYNC110 the log is elsewhere
            await asyncio.sleep(0.2)


def done(store: ReplayStore, name: str) -> int:
    plan = store.plans.get(name)
    return store.total_progress(plan).records if plan else 0


async def main(count: int) -> int:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        port = free_ports(2)
        async with local_broker(folder / "kafka", environ={}, progress=print, nodes=1, port=port) as cluster:
            settings = await prepared(settings_of(cluster))
            await process(settings, folder, count)
            began_at = time.perf_counter()
            name = await replay(Program(settings, folder, ENVIRON), count, random.Random(SEED))  # noqa: S311 a seeded schedule
            seconds = time.perf_counter() - began_at
            verdict = await audit(settings)
    found = [verdict.found.get(kind, 0) for kind in FindingKind]
    events = verdict.replays.get(name, 0)
    good = (
        verdict.clean
        and verdict.deliveries == count
        and events
        == sum(verdict.outputs.get(topic, 0) for topic in ("orders", "inventory", "catalog", "incidents", "other"))
    )
    head = ("deliveries", "events", "kills", *FindingKind, "seconds", "rate")
    row = (
        f"{verdict.deliveries:,}",
        f"{events:,}",
        KILLS,
        *found,
        f"{seconds:.0f}",
        f"{count / seconds:,.0f}/s",
    )
    for line in (head, row):
        print("".join(f"{text:>17}" for text in line), flush=True)  # noqa: T201
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else DELIVERIES)))
