"""What it costs to remember a million deliveries: memory per key, and the time to read them back from the changelog.

Two shapes on real Kafka: changelog records of 500 keys, as a busy partition writes them, and of one key, as a quiet one
does. Each is measured in a process of its own.

Then a whole process starts with twelve such partitions, at first without its stores on disk, then with them: when the
first partition is at work, when all are, how long `/livez` takes at most, and how much memory it takes.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from ops.kafka.topics import apply
from processors.deliver.dedupe import DedupeStore
from processors.runtime.changelog import restore_store
from schemas.configuration import Context, read_configuration
from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from tests.bench.gauge import forget_peak, peak_rss_kib, rss_kib
from tests.bench.place import PARTITIONS, Place, Program, read_settings, running
from tests.bench.report.figures import Figure, figure
from tests.bench.report.report import Bar, Part, Progress, Section

QUICK_KEYS = 50_000
FULL_KEYS = 1_000_000
_SHAPES = (500, 1)
_PROBE = aiohttp.ClientTimeout(total=30.0)


def settings_of(servers: str, prefix: str) -> Settings:
    text = (
        f'[kafka]\nbootstrap_servers = "{servers}"\ntopic_prefix = "{prefix}"\nreplication_factor = 1\npartitions = 1\n'
        "[endpoints]\n"
    )
    return read_configuration(text, source="bench", context=Context({}, ()))


def empty() -> DedupeStore:
    return DedupeStore(window_s=432_000)


async def fill(settings: Settings, keys: int, keys_per_record: int) -> None:
    """Writes the changelog of each partition as `DedupeStore` itself makes it."""
    await apply(settings)
    await asyncio.gather(
        *(fill_partition(settings, one, keys, keys_per_record) for one in range(settings.kafka.partitions))
    )


async def fill_partition(settings: Settings, partition: int, keys: int, keys_per_record: int) -> None:
    seen = empty()
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for first in range(0, keys, keys_per_record):
            for offset in range(first, first + keys_per_record):
                sighting = seen.judge(
                    endpoint="shop", natural_key=str(uuid.UUID(int=offset)), body=b"", offset=offset, received_s=1
                )
                seen.remember(sighting)
            for key, value in seen.changes():
                await producer.send(f"{settings.kafka.topic_prefix}deliver-state", value, key=key, partition=partition)
            seen.roll_back()
        await producer.flush()


async def restore(settings: Settings, keys: int) -> Mapping[str, float]:
    """Reads it back: how long, and how much memory."""
    own = [os.getpid()]
    forget_peak(own)
    before_kib = rss_kib(own)
    store = empty()
    began = time.perf_counter()
    await restore_store(store, TopicPartition(f"{settings.kafka.topic_prefix}deliver-state", 0), settings)
    seconds = time.perf_counter() - began
    mebibytes = (peak_rss_kib(own) - before_kib) / 1024
    assert store.entries == keys
    return {"seconds": seconds, "MiB at the peak": mebibytes, "bytes a key": mebibytes * 1_048_576 / keys}


async def measure(place: Place, keys: int, progress: Progress) -> Part:
    """Both shapes, once each."""
    rows: dict[str, dict[str, Figure | None]] = {}
    for shape in _SHAPES:
        name = f"{keys:,} keys, {shape} a changelog record"
        progress(f"restore: writing {name}")
        prefix = f"{place.prefix}restore-{shape}."
        await fill(settings_of(place.bootstrap_servers, prefix), keys, shape)
        command = [sys.executable, "-m", "tests.bench.restore", place.bootstrap_servers, prefix, str(keys)]
        done = await asyncio.to_thread(subprocess.run, command, check=True, stdout=subprocess.PIPE)
        rows[name] = {column: figure([value]) for column, value in json.loads(done.stdout).items()}
    starts, bars = await _measure_starts(place, keys, progress)
    return Part([Section("restore", "Remembered keys, read back after a restart", rows), starts], bars)


async def _measure_starts(place: Place, keys: int, progress: Progress) -> tuple[Section, list[Bar]]:
    config = place.config("start")
    progress(f"restore: writing {PARTITIONS} x {keys:,} keys")
    await fill(read_settings(config), keys, _SHAPES[0])
    rows: dict[str, dict[str, Figure | None]] = {}
    for name in ("without its stores", "with its stores on disk"):
        progress(f"restore: a process starts {name}")
        rows[name] = {column: figure([value]) for column, value in (await _start(place, config)).items()}
    title = f"A process that starts with {PARTITIONS} partitions of {keys:,} keys"
    cold, warm = rows.values()
    bars = [
        Bar("first partition at work, without its store, s", 5.0, cold["first at work, s"]),
        Bar("all partitions at work, with their stores, s", 2.0, warm["all at work, s"]),
        Bar("the slowest /livez meanwhile, s", 1.0, cold["slowest /livez, s"]),
    ]
    return Section("start", title, rows), bars


async def _start(place: Place, config: Path) -> Mapping[str, float]:
    """One start, until every partition is at work; the times count from when the process listens.

    Starting Python and importing takes the same time whatever is remembered; it is told beside.
    """
    config.with_suffix(".log").unlink(missing_ok=True)
    async with running(place, config, "ops", "process", "deliver", "--config", str(config), topics=False) as program:
        began, first, answers = time.perf_counter(), 0.0, [0.0]
        await program.listening(program.settings.process.admin_port)
        listening, began = time.perf_counter() - began, time.perf_counter()
        while (opened := program.log.read_text(errors="replace").count('"partition_opened"')) < PARTITIONS:
            if opened and not first:
                first = time.perf_counter() - began
            answers.append(await _livez(program))
            await asyncio.sleep(0.05)
        every = time.perf_counter() - began
        return {
            "listening, s": listening,
            "first at work, s": first or every,
            "all at work, s": every,
            "slowest /livez, s": max(answers),
            "MiB at the peak": peak_rss_kib(program.pids) / 1024,
        }


async def _livez(program: Program) -> float:
    """How long the answer took.

    Raises:
        RuntimeError: it is not 200: a probe would have the process killed.
    """
    began = time.perf_counter()
    url = f"http://127.0.0.1:{program.settings.process.admin_port}/livez"
    async with aiohttp.ClientSession(timeout=_PROBE) as client, client.get(url) as response:
        if response.status != 200:
            raise RuntimeError(f"/livez says {response.status}: {await response.text()}")
    return time.perf_counter() - began


if __name__ == "__main__":
    # What a long restore says of itself is no part of the answer.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    told = asyncio.run(restore(settings_of(*sys.argv[1:3]), int(sys.argv[3])))
    sys.stdout.write(json.dumps(told))
