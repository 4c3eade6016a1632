"""`python -m tests.bench.audit`: deliveries a second and memory of `dropstream audit` over a long clean history.

The history is written as processors would write it, by the pure step and in the order of its deliveries: samples of
every provider, one in fifty a retry. The audit runs as a program, `--workers` 1 and 2 in turns. It must find nothing.
"""

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from uuid_utils import uuid7

from ops.kafka.topics import apply
from processors.deliver.dedupe import DedupeStore
from processors.deliver.step import deliver
from processors.groups import deliver_rules, new_dedupe_store
from processors.providers import discover
from schemas.delivery import Delivery, raw_key, record_headers
from schemas.kafka.arguments import producer_arguments
from schemas.kafka.partitions import partition_of
from schemas.records import Position, RawRecord, Record
from schemas.settings import Settings
from schemas.times import timestamp_ms
from tests.bench.place import SECRET, Place, place, read_settings
from tests.support.checkout import ROOT
from tests.support.processing import deliveries

_CHUNK = 1_000
_RETRY_EVERY = 50


@dataclass(slots=True)
class _Writer:
    """Fills batches of the producer's, one a partition at a time."""

    producer: AIOKafkaProducer
    settings: Settings
    _open: dict[TopicPartition, Any] = field(default_factory=dict)
    _offsets: dict[int, int] = field(default_factory=dict)

    async def put(self, record: Record, partition: int, at: int | None = None) -> None:
        lane = TopicPartition(self.settings.kafka.topic_prefix + record.topic, partition)
        fields = {"key": record.key, "value": record.value, "headers": list(record.headers), "timestamp": at}
        batch = self._open.get(lane)
        if batch is None or batch.append(**fields) is None:
            if batch is not None:
                await self.producer.send_batch(batch, lane.topic, partition=lane.partition)
            batch = self._open[lane] = self.producer.create_batch()
            batch.append(**fields)

    async def flush(self) -> None:
        for lane, batch in self._open.items():
            await self.producer.send_batch(batch, lane.topic, partition=lane.partition)
        await self.producer.flush()

    def next_offset(self, partition: int) -> int:
        offset = self._offsets.get(partition, 0)
        self._offsets[partition] = offset + 1
        return offset


def history(count: int) -> Iterator[Delivery]:
    """So many deliveries; every fiftieth is the one before once more."""
    before: Delivery | None = None
    for first in range(1, count + 1, _CHUNK):
        for number, one in enumerate(deliveries(min(_CHUNK, count + 1 - first), first=first), start=first):
            if number % _RETRY_EVERY == 0 and before is not None:
                yield replace(before, id=str(uuid7()))
            else:
                yield one
            before = one


async def write(
    settings: Settings, count: int, *, made: Iterable[Delivery] | None = None, written_after_ms: int | None = None
) -> None:
    """Writes the history, or the deliveries that are `made`, and commits what the group would have committed.

    What a delivery leads to has the time of now, or lies `written_after_ms` after its receipt.
    """
    rules = deliver_rules(settings.endpoints, settings, discover())
    partitions, prefix = settings.kafka.partitions, settings.kafka.topic_prefix
    memories: dict[int, DedupeStore] = {}
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        writer = _Writer(producer, settings)
        for done, one in enumerate(history(count) if made is None else made):
            key = raw_key(one.endpoint, 4, one.body)
            partition, headers, at = partition_of(key, partitions), record_headers(one), timestamp_ms(one.received_at)
            position = Position(f"{prefix}raw", partition, writer.next_offset(partition))
            await writer.put(Record("raw", key, one.body, headers), partition, at)
            seen = memories.setdefault(partition, new_dedupe_store(settings))
            for record in deliver(RawRecord(position, key, one.body, headers, at), rules, seen):
                written_at = None if written_after_ms is None else at + written_after_ms
                await writer.put(record, partition_of(record.key, partitions), written_at)
            if done % _CHUNK == 0:
                for memory in memories.values():
                    memory.commit()
        await writer.flush()
    async with AIOKafkaConsumer(**{**_group(settings), "group_id": f"{prefix}deliver"}) as consumer:
        sources = [TopicPartition(f"{prefix}raw", one) for one in range(partitions)]
        consumer.assign(sources)
        await consumer.commit(await consumer.end_offsets(sources))


def _group(settings: Settings) -> dict[str, object]:
    return {"bootstrap_servers": settings.kafka.bootstrap_servers, "enable_auto_commit": False}


def audit(config: str, workers: int) -> tuple[float, float, float]:
    """Seconds, CPU seconds and megabytes of the largest process, of one audit; it must be clean."""
    command = [sys.executable, "-m", "ops", "audit", "--config", config, "--workers", str(workers)]
    began = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "SECRET": SECRET}, stdout=subprocess.PIPE) as program:
        output = program.stdout.read() if program.stdout else b""
        # Of this program and the workers that it waited for, not of other children such as the broker's tools.
        _, status, used = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    if program.returncode != 0:
        raise RuntimeError(output.decode()[-2_000:])
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1_024


async def measure(found: Place, count: int, rounds: int) -> None:
    """Writes the history once, then audits it in turns."""
    config = found.config("audit")
    settings = read_settings(config)
    await apply(settings)
    began = time.monotonic()
    await write(settings, count)
    print(f"written in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    # The audit and its broker have all of the machine.
    os.sched_setaffinity(0, found.cores.server | found.cores.rest)
    for _ in range(rounds):
        for workers in (1, 2):
            seconds, cpu, megabytes = await asyncio.to_thread(audit, str(config), workers)
            told = f"{count / seconds:>9,.0f}/s {cpu / count * 1e6:>7.0f} us CPU each {megabytes:>6.0f} MB"
            print(f"{workers} workers: {told}", flush=True)  # noqa: T201


async def run(count: int, rounds: int) -> None:
    async with place() as found:
        await measure(found, count, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.audit")
    parser.add_argument("--deliveries", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(run(given.deliveries, given.rounds))


if __name__ == "__main__":
    main()
