"""`python -m tests.bench.warm_up`: how long a replay takes to make its memory of retries, by `raw` or its changelog.

A history is written as processors would write it: deliveries of every provider, one in fifty a retry, and the changelog
in transactions of 12 partitions. The way over `raw` is measured while nobody has noted the rules: what the second half
of the deliveries adds. Then a changelog with so many keys more is passed over, as a migration would have written them:
3 of a partition in a transaction, as at 1,000 deliveries a second, and 100, as in a backlog. What these add counts.
Times are of this program's CPU, so that other programs on the machine count little.
"""

import argparse
import asyncio
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from statistics import median

from aiokafka import AIOKafkaProducer

from ops.kafka.topics import apply
from ops.replay.history import open_state, read_basis
from ops.replay.store import new_id
from ops.replay.warm_up import WarmUp
from processors.deliver.dedupe import DedupeStore
from processors.deliver.keys.buckets import HASH_BYTES, bucket_key, bucket_value, inherited, tag_of
from processors.deliver.step import recall
from processors.groups import deliver_rules, new_dedupe_store
from processors.providers import discover
from processors.replay import Task
from processors.rules_version import rules_version
from processors.runtime.changelog import input_offset_change
from schemas.delivery import raw_key, record_headers
from schemas.kafka.arguments import producer_arguments, transactional_producer_arguments
from schemas.kafka.partitions import partition_of
from schemas.notes.replays import Choice, Range, ReplayPlan, ReplayProgress
from schemas.notes.rules import rules_records
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from schemas.times import timestamp_ms
from tests.bench.audit import history
from tests.bench.place import Place, place, read_settings

_SHAPES = (3, 100)
# Of each partition, so many deliveries are the range that is replayed.
_RANGE = 50
_LANES = 16
# 120 hours at 1,000 deliveries a second, in millions.
_WINDOW_MILLIONS = 432
_BAR_S = 60


@dataclass(slots=True)
class Written:
    """What is in the topics: of each partition how many deliveries, and what is remembered of them."""

    counts: dict[int, int] = field(default_factory=dict)
    memories: dict[int, DedupeStore] = field(default_factory=dict)


def records(settings: Settings, count: int, written: Written) -> Iterator[RawRecord]:
    for one in history(count):
        key = raw_key(one.endpoint, _LANES, one.body)
        partition = partition_of(key, settings.kafka.partitions)
        offset = written.counts.get(partition, 0)
        written.counts[partition] = offset + 1
        place = Position(f"{settings.kafka.topic_prefix}raw", partition, offset)
        yield RawRecord(place, key, one.body, record_headers(one), timestamp_ms(one.received_at))


async def write(settings: Settings, count: int, keys_a_transaction: int) -> Written:
    """Writes the deliveries, and what group `deliver` remembers of them."""
    rules, written = deliver_rules(settings.endpoints, settings, discover()), Written()
    prefix = settings.kafka.topic_prefix
    name = f"{prefix}warm-up"
    async with (
        AIOKafkaProducer(**producer_arguments(settings)) as raw,
        AIOKafkaProducer(**transactional_producer_arguments(settings, transactional_id=name)) as changelog,
    ):
        coming = records(settings, count, written)
        while batch := list(islice(coming, keys_a_transaction * settings.kafka.partitions)):
            for one in batch:
                memory = written.memories.setdefault(one.position.partition, new_dedupe_store(settings))
                recall(one, rules, memory)
                await raw.send(
                    one.position.topic,
                    one.value,
                    key=one.key,
                    partition=one.position.partition,
                    headers=list(one.headers),
                    timestamp_ms=one.timestamp_ms,
                )
            async with changelog.transaction():
                for partition, memory in written.memories.items():
                    for key, value in (*memory.changes(), input_offset_change(written.counts[partition])):
                        await changelog.send(f"{prefix}deliver-state", value, key=key, partition=partition)
                    memory.commit()
    return written


async def note_rules(settings: Settings) -> None:
    rules = rules_version(settings, settings.endpoints, discover())
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for partition in range(settings.kafka.partitions):
            for one in rules_records(rules, "raw", partition, 0):
                await producer.send(f"{settings.kafka.topic_prefix}rules", one.value, key=one.key)


@dataclass(frozen=True, slots=True)
class Warmed:
    """Seconds of CPU and of the clock until every range had its memory; and what a person was told."""

    cpu_s: float
    wall_s: float
    said: Sequence[str]


async def warm_up(settings: Settings, ranges: Sequence[Range]) -> Warmed:
    rules = deliver_rules(settings.endpoints, settings, discover())
    plan = ReplayPlan(id=new_id("replay", datetime.now(UTC)), source="raw", choice=Choice(), ranges=tuple(ranges))
    said: list[str] = []
    began, cpu = time.perf_counter(), time.process_time()
    basis = await read_basis(settings, plan, rules, ranges, WarmUp(tell=said.append))
    for one in ranges:
        await open_state(settings, Task(plan, rules, basis.known), basis, one, ReplayProgress(next=one.first))
    return Warmed(time.process_time() - cpu, time.perf_counter() - began, said)


async def put_keys(settings: Settings, count: int, keys_a_transaction: int) -> None:
    """Writes changelogs of so many keys in all, before anything else is in them."""
    name, partitions = f"{settings.kafka.topic_prefix}keys", range(settings.kafka.partitions)
    topic, tag = f"{settings.kafka.topic_prefix}deliver-state", tag_of("shop")
    received_s = int(time.time()).to_bytes(4)
    async with AIOKafkaProducer(**transactional_producer_arguments(settings, transactional_id=name)) as producer:
        for first in range(0, count // len(partitions), keys_a_transaction):
            offsets = range(first, first + keys_a_transaction)
            async with producer.transaction():
                for partition in partitions:
                    entries = [os.urandom(HASH_BYTES + 8) + one.to_bytes(8) + received_s for one in offsets]
                    change = inherited(bucket_key(first), bucket_value({tag: entries}), partition)
                    for key, value in (*([change] if change else []), input_offset_change(first)):
                        await producer.send(topic, value, key=key, partition=partition)


async def measure_raw(settings: Settings, count: int, rounds: int) -> None:
    await apply(settings)
    written = await write(settings, count, _SHAPES[-1])
    half, whole = (ranges_of(written, share) for share in (0.5, 1.0))
    millions = sum(more.first - less.first for less, more in zip(half, whole, strict=True)) / 1_000_000
    found = [(await warm_up(settings, half), await warm_up(settings, whole)) for _ in range(rounds)]
    if not all(one.said for pair in found for one in pair):
        raise RuntimeError("the way over raw was not taken")
    tell("raw", found, millions)


async def measure_changelog(place: Place, count: int, keys: int, shape: int, rounds: int) -> None:
    """The same few deliveries twice: with their changelog alone, and with so many keys more in it."""
    few, many = (read_settings(place.config(f"warm-up-{shape}-{more}")) for more in ("few", "many"))
    for settings in (few, many):
        await apply(settings)
        if settings is many:
            await put_keys(settings, keys, shape)
        ranges = ranges_of(await write(settings, count, _SHAPES[-1]), 1.0)
        await note_rules(settings)
    found = [(await warm_up(few, ranges), await warm_up(many, ranges)) for _ in range(rounds)]
    if said := [one.said for pair in found for one in pair if one.said]:
        raise RuntimeError(f"the changelog was not taken: {said}")
    tell(f"changelog, {shape} keys of a partition in a transaction", found, keys / 1_000_000)


def ranges_of(written: Written, share: float) -> list[Range]:
    """The last deliveries of this share of each partition."""
    ends = {one: int(end * share) for one, end in sorted(written.counts.items())}
    return [Range(one, end - _RANGE, end) for one, end in ends.items()]


def tell(name: str, found: Sequence[tuple[Warmed, Warmed]], millions: float) -> None:
    cpu_s = median(more.cpu_s - less.cpu_s for less, more in found) / millions
    wall_s = median(more.wall_s - less.wall_s for less, more in found) / millions
    print(  # noqa: T201
        f"{name}: {cpu_s:.2f} s of CPU, {wall_s:.2f} s of the clock a 1,000,000 deliveries; "
        f"120 h at 1,000 a second: {cpu_s * _WINDOW_MILLIONS:,.0f} s of CPU (bar {_BAR_S})",
        flush=True,
    )


async def run(count: int, keys: int, rounds: int) -> None:
    async with place() as found:
        await measure_raw(read_settings(found.config("warm-up-raw")), count, rounds)
        for shape in _SHAPES:
            await measure_changelog(found, count // 4, keys, shape, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.warm_up")
    parser.add_argument("--deliveries", type=int, default=40_000, help="of the way over raw")
    parser.add_argument("--keys", type=int, default=1_000_000, help="in the changelogs")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(run(given.deliveries, given.keys, given.rounds))


if __name__ == "__main__":
    main()
