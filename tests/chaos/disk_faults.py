"""What a disk does to the spool: it is full, it hangs, it is slow, it damages a page."""

import asyncio
import contextlib
import random
import signal
import sqlite3
from pathlib import Path

from tests.chaos.obligations import Load
from tests.chaos.stage import Stage
from tests.chaos.strange_ingress import DISK_HANGS, DISK_SLOW
from tests.support.waiting import PATIENCE_S

_SHORT_S = 6.0


async def disk_full(stage: Stage, load: Load, _chance: random.Random) -> None:
    """Kafka is away and the disk takes nothing: 503; then the disk has room again, and it is 200."""
    await stage.node.kill()
    await asyncio.sleep(2)
    stage.limit_files(1)
    refused = load.answers["503"]
    await stage.until(lambda: load.answers["503"] > refused + 20)
    stage.limit_files(2**40)
    accepted = load.count
    await stage.until(lambda: load.count > accepted + 200)


async def on_bad_disk(stage: Stage) -> None:
    """The ingress is started again, on a disk that hangs or is slow when it is told to."""
    stage.troubles.append("bad_disk")
    stage.kill_ingress()
    # What was answered 200 from the spool holds its endpoint, for the sake of order: so the spool is empty before.
    await stage.drained(within_s=PATIENCE_S)


async def connected(stage: Stage) -> None:
    """Returns when a running ingress takes deliveries into Kafka."""
    async with asyncio.timeout(PATIENCE_S):
        while not (await stage.facts()).get("kafka_connected"):  # noqa: ASYNC110 another process
            await asyncio.sleep(0.1)


async def disk_hangs(stage: Stage, load: Load, _chance: random.Random) -> None:
    """The disk hangs: 200 from Kafka, 503 while Kafka is away, and 200 again as soon as it is back, the disk or not."""
    await on_bad_disk(stage)
    hangs = stage.config.with_name(DISK_HANGS)
    hangs.touch()
    await stage.node.kill()
    refused = load.answers["503"]
    await stage.until(lambda: load.answers["503"] > refused + 20)
    await stage.cluster.restart(stage.node)
    await connected(stage)
    accepted = load.count
    await stage.until(lambda: load.count > accepted + 200)
    hangs.unlink()


async def disk_slow(stage: Stage, load: Load, _chance: random.Random) -> None:
    """Each write takes longer than a delivery waits, with Kafka there and away."""
    await on_bad_disk(stage)
    slow = stage.config.with_name(DISK_SLOW)
    slow.touch()
    await asyncio.sleep(_SHORT_S)
    await stage.node.kill()
    refused = load.answers["503"]
    await stage.until(lambda: load.answers["503"] > refused + 20)
    slow.unlink()
    accepted = load.count
    await stage.until(lambda: load.count > accepted + 200)


async def page_damaged(stage: Stage, load: Load, _chance: random.Random) -> None:
    """A page of a full spool is damaged, one without deliveries on it: none may be lost by it."""
    await stage.node.kill()
    await asyncio.sleep(2)
    accepted = load.count
    await stage.until(lambda: load.count > accepted + 1_000)
    deaths = stage.deaths
    stage.kill_ingress(signal.SIGTERM)
    await stage.died(deaths + 1)
    damage_index(largest_spool(Path(stage.settings.ingest.spool_dir)))
    await stage.until(lambda: load.count > accepted + 1_500)


def largest_spool(folder: Path) -> Path:
    """Where the deliveries lie: what was taken over from a damaged file is in one with another number."""
    return max(folder.glob("spool-*.sqlite"), key=lambda file: file.stat().st_size)


def damage_index(path: Path) -> None:
    """Overwrites the index of refused records, as a failing disk does."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'refused'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\xee" * 4_096)


async def a_bad_disk(stage: Stage, load: Load, chance: random.Random) -> None:
    """The disk hangs, and then a page is damaged."""
    await disk_hangs(stage, load, chance)
    await stage.drained(within_s=PATIENCE_S)
    await page_damaged(stage, load, chance)
