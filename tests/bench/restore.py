"""What it costs to remember a million deliveries: memory per key, and the time to read them back from the changelog.

Two shapes on real Kafka: changelog records of 500 keys, as a busy partition writes them, and of one key, as a quiet one
does. Each is measured in a process of its own.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping

from aiokafka import AIOKafkaProducer, TopicPartition

from ops.kafka.topics import apply
from processors.deliver.dedupe import DedupeStore
from processors.runtime.changelog import restore_store
from schemas.configuration import Context, read_configuration
from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from tests.bench.gauge import forget_peak, peak_rss_kib, rss_kib
from tests.bench.place import Place
from tests.bench.report.figures import Figure, figure
from tests.bench.report.report import Part, Progress, Section

QUICK_KEYS = 50_000
FULL_KEYS = 1_000_000
_SHAPES = (500, 1)


def settings_of(servers: str, prefix: str) -> Settings:
    text = (
        f'[kafka]\nbootstrap_servers = "{servers}"\ntopic_prefix = "{prefix}"\nreplication_factor = 1\npartitions = 1\n'
        "[endpoints]\n"
    )
    return read_configuration(text, source="bench", context=Context({}, ()))


def empty() -> DedupeStore:
    return DedupeStore(window_s=432_000)


async def fill(settings: Settings, keys: int, keys_per_record: int) -> None:
    """Writes the changelog as `DedupeStore` itself makes it."""
    await apply(settings)
    seen = empty()
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for first in range(0, keys, keys_per_record):
            for offset in range(first, first + keys_per_record):
                sighting = seen.judge(
                    endpoint="shop", natural_key=str(uuid.UUID(int=offset)), body=b"", offset=offset, received_s=1
                )
                seen.remember(sighting)
            for key, value in seen.changes():
                await producer.send(f"{settings.kafka.topic_prefix}deliver-state", value, key=key, partition=0)
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
    return Part([Section("restore", "Remembered keys, read back after a restart", rows)])


if __name__ == "__main__":
    told = asyncio.run(restore(settings_of(*sys.argv[1:3]), int(sys.argv[3])))
    sys.stdout.write(json.dumps(told))
