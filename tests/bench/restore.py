"""What it costs to remember a million deliveries: memory per key, and the time to read them back from the changelog.

Two shapes on real Kafka: changelog records of 500 keys, as a busy partition writes them, and of one key, as a quiet one
does. Each is measured in a process of its own.
"""

import asyncio
import resource
import subprocess
import sys
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka import AIOKafkaProducer, TopicPartition

from ops.broker.local import local_broker
from ops.broker.probe import find_free_ports
from ops.topics import apply
from processors.dedupe import Seen
from processors.state import Kept, catch_up
from schemas.configuration import Context, read_configuration
from schemas.kafka import producer_arguments
from schemas.settings import Settings

KEYS = 1_000_000
SHAPES = (500, 1)


def settings_of(servers: str, prefix: str) -> Settings:
    text = (
        f'[kafka]\nbootstrap_servers = "{servers}"\ntopic_prefix = "{prefix}"\nreplication_factor = 1\npartitions = 1\n'
        "[endpoints]\n"
    )
    return read_configuration(text, source="bench", context=Context({}, ()))


def empty() -> Seen:
    return Seen(window_s=432_000, keys_max=2 * KEYS)


async def fill(settings: Settings, keys_per_record: int) -> None:
    """Writes the changelog as `Seen` itself makes it."""
    await apply(settings)
    seen = empty()
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for first in range(0, KEYS, keys_per_record):
            for offset in range(first, first + keys_per_record):
                sighting = seen.judge(
                    endpoint="shop", natural_key=str(uuid.UUID(int=offset)), body=b"", offset=offset, received_s=1
                )
                seen.remember(sighting)
            for key, value in seen.changes():
                await producer.send(f"{settings.kafka.topic_prefix}deliver-state", value, key=key, partition=0)
            seen.roll_back()
        await producer.flush()


async def restore(settings: Settings) -> None:
    """Reads it back, and prints seconds and MiB."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = Kept(empty())
    began = time.perf_counter()
    await catch_up(kept, TopicPartition(f"{settings.kafka.topic_prefix}deliver-state", 0), settings)
    seconds = time.perf_counter() - began
    mebibytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    assert kept.state.entries == KEYS
    print(f"{seconds:6.1f} s  {mebibytes:6.0f} MiB at the peak  {mebibytes * 1_048_576 / KEYS:4.0f} bytes a key")  # noqa: T201


async def main() -> None:
    with TemporaryDirectory() as folder:
        port = find_free_ports(2, after=26_000)
        async with local_broker(Path(folder), environ={}, progress=print, port=port) as broker:
            for shape in SHAPES:
                prefix = f"bench-{shape}."
                await fill(settings_of(broker.bootstrap_servers, prefix), shape)
                print(f"{KEYS:,} keys, {shape} a changelog record:", flush=True)  # noqa: T201
                command = [sys.executable, "-m", "tests.bench.restore", broker.bootstrap_servers, prefix]
                await asyncio.to_thread(subprocess.run, command, check=True)


if __name__ == "__main__":
    asyncio.run(restore(settings_of(*sys.argv[1:])) if len(sys.argv) > 1 else main())
