"""The engine of the consumer groups: many partitions, few deliveries, large bodies, and a backlog beside small ones.

Deliveries are put into `raw` at a steady rate, spread evenly over the partitions; an outsider reads the events. With
BEFORE=/path/to/a/checkout its processors are measured in turn with those of today, at their own defaults; but not over
many partitions, for each of which the engine before has a producer that must be started.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaProducer

from ops.kafka.clients import admin
from schemas.delivery import raw_key, record_headers
from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from schemas.times import timestamp_ms
from tests.bench.gauge import cpu_us, forget_peak, peak_rss_kib, rss_kib
from tests.bench.latency import Reader
from tests.bench.place import Place, Program, running
from tests.bench.report.figures import figure, percentile
from tests.bench.report.report import Bar, Part, Progress, Section
from tests.support.checkout import ROOT
from tests.support.processing import is_processed, signed_orders

_PATIENCE_S = 120.0
_WARM_UP_S = 4.0
# Partitions and deliveries a second of each load.
_LOADS = ((12, 50), (12, 200), (12, 500), (200, 200))
_LARGE_BYTES = 950_000
_LARGE = 120
_LARGE_PARTITIONS = (12, 48)
_TODAY, _BEFORE = "today", "before"
_BEFORE_PARTITIONS_MAX = 12


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long."""

    rounds: int
    measure_s: float


QUICK = Effort(rounds=1, measure_s=5.0)
# The 99th percentile of one round at a low rate is one slow transaction; the median of these is not.
FULL = Effort(rounds=5, measure_s=8.0)


@dataclass(frozen=True, slots=True)
class _Round:
    """One load, once: milliseconds from the record in `raw` to the event, sorted; CPU of the processor a delivery."""

    times_ms: list[float]
    cpu_us_each: float


def checkouts() -> Mapping[str, Path]:
    """Whose processors are measured: today's, and those of the checkout that BEFORE names."""
    before = os.environ.get("BEFORE")
    return {_TODAY: ROOT, **({_BEFORE: Path(before)} if before else {})}


async def measure(place: Place, effort: Effort, progress: Progress) -> Part:
    """Every load in turn, by each checkout."""
    rows: dict[tuple[str, int, int], list[_Round]] = {}
    for number in range(effort.rounds):
        for partitions, rate in _LOADS:
            for name, checkout in checkouts().items():
                if name == _BEFORE and partitions > _BEFORE_PARTITIONS_MAX:
                    continue
                found = await _load(place, checkout, f"{name}-{number}", (partitions, rate), effort.measure_s)
                rows.setdefault((name, partitions, rate), []).append(found)
                progress(
                    f"engine, round {number + 1} of {effort.rounds}: {name}, {rate}/s on {partitions}: p50 "
                    f"{percentile(found.times_ms, 0.5):.0f}, p99 {percentile(found.times_ms, 0.99):.0f} ms, "
                    f"{found.cpu_us_each:.0f} us each"
                )
    memory = {one: await _large_bodies(place, one) for one in _LARGE_PARTITIONS}
    progress(f"engine: large bodies: {memory}")
    return _part(rows, memory)


@asynccontextmanager
async def processor(place: Place, checkout: Path, name: str, partitions: int) -> AsyncIterator[Program]:
    """Group `deliver` of a checkout, with every partition open, at its own defaults."""
    config = place.config(name, commit_interval_ms=None, partitions=partitions)
    if checkout != ROOT:
        # A setting that it does not know yet.
        known = [one for one in config.read_text().splitlines(keepends=True) if not one.startswith("state_dir")]
        config.write_text("".join(known))
    arguments = ("ops", "process", "deliver", "--config", str(config))
    async with running(place, config, *arguments, checkout=checkout) as program:
        await program.said("partition_opened", times=partitions)
        yield program
    # A broker that carries all topics of all rounds ends up measured instead of the engine.
    prefix = program.settings.kafka.topic_prefix
    async with admin(program.settings) as client:
        await client.delete_topics([one for one in await client.list_topics() if one.startswith(prefix)])


async def _load(place: Place, checkout: Path, name: str, load: tuple[int, int], measure_s: float) -> _Round:
    partitions, rate = load
    async with processor(place, checkout, f"{name}-{partitions}-{rate}", partitions) as program:
        reader = await asyncio.to_thread(Reader, program.settings)
        try:
            await send_at(program.settings, rate, _WARM_UP_S)
            before_us = cpu_us(program.pids)
            stored_at = await send_at(program.settings, rate, measure_s)
            async with asyncio.timeout(_PATIENCE_S):
                while not stored_at.keys() <= reader.readable_at().keys():  # noqa: ASYNC110 a thread reads it
                    await asyncio.sleep(0.1)
            spent_us = cpu_us(program.pids) - before_us
        finally:
            await asyncio.to_thread(reader.stop)
    readable = reader.readable_at()
    return _Round(sorted((readable[one] - at) / 1e6 for one, at in stored_at.items()), spent_us / len(stored_at))


async def send_at(settings: Settings, rate: float, seconds: float) -> dict[str, int]:
    """Puts orders into `raw`, evenly over time and partitions; when each was there, by the id of the delivery."""
    topic, stored_at = f"{settings.kafka.topic_prefix}raw", {}
    batch = signed_orders(int(rate * seconds))

    def stored(delivery: str, _written: object) -> None:
        stored_at[delivery] = time.monotonic_ns()

    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        began = time.monotonic()
        for number, delivery in enumerate(batch):
            await asyncio.sleep(began + number / rate - time.monotonic())
            written = await producer.send(
                topic,
                value=delivery.body,
                key=raw_key(delivery.endpoint, 1, delivery.body),
                headers=list(record_headers(delivery)),
                timestamp_ms=timestamp_ms(delivery.received_at),
                partition=number % settings.kafka.partitions,
            )
            written.add_done_callback(partial(stored, delivery.id))
        await producer.flush()
    return stored_at


async def _large_bodies(place: Place, partitions: int) -> float:
    """The megabytes over its idle size that a processor takes for a backlog of large bodies."""
    async with processor(place, ROOT, f"large-{partitions}", partitions) as program:
        await send_at(program.settings, 200, 1.0)
        idle_kib = rss_kib(program.pids)
        forget_peak(program.pids)
        await send_large(program.settings)
        async with asyncio.timeout(_PATIENCE_S):
            while not await is_processed(program.settings, 200 + _LARGE):  # noqa: ASYNC110 another process commits
                await asyncio.sleep(0.2)
        return (peak_rss_kib(program.pids) - idle_kib) / 1_024


async def send_large(settings: Settings) -> None:
    """Puts bodies of 0.95 MB into `raw`, as fast as it takes them."""
    batch = signed_orders(_LARGE, note_bytes=_LARGE_BYTES)
    async with AIOKafkaProducer(**producer_arguments(settings)) as producer:
        for number, delivery in enumerate(batch):
            await producer.send(
                f"{settings.kafka.topic_prefix}raw",
                value=delivery.body,
                key=raw_key(delivery.endpoint, 1, delivery.body),
                headers=list(record_headers(delivery)),
                timestamp_ms=timestamp_ms(delivery.received_at),
                partition=number % settings.kafka.partitions,
            )
        await producer.flush()


def _part(rows: Mapping[tuple[str, int, int], list[_Round]], memory: Mapping[int, float]) -> Part:
    table = {
        f"{name}: {rate}/s on {partitions}": {
            "p50 ms": figure(percentile(one.times_ms, 0.5) for one in found),
            "p99 ms": figure(percentile(one.times_ms, 0.99) for one in found),
            "CPU us each": figure(one.cpu_us_each for one in found),
        }
        for (name, partitions, rate), found in rows.items()
    }

    def of(name: str, partitions: int, rate: int, what: str) -> list[float]:
        found = rows.get((name, partitions, rate), [])
        quantile = {"p50": 0.5, "p99": 0.99}
        return [one.cpu_us_each if what == "cpu" else percentile(one.times_ms, quantile[what]) for one in found]

    flat = [wide / narrow for wide, narrow in zip(of(_TODAY, 200, 200, "cpu"), of(_TODAY, 12, 200, "cpu"), strict=True)]
    bars = [
        Bar("CPU a delivery on 200 partitions, of that on 12, at 200/s", 1.5, figure(flat)),
        Bar("p99 at 200/s on 200 partitions, ms", 150.0, figure(of(_TODAY, 200, 200, "p99"))),
        *(
            Bar(f"p50 at {rate}/s on 12 partitions, ms", 40.0, figure(of(_TODAY, 12, rate, "p50")))
            for rate in (50, 500)
        ),
        *(
            Bar(f"p99 at {rate}/s on 12 partitions, ms", 120.0, figure(of(_TODAY, 12, rate, "p99")))
            for rate in (50, 500)
        ),
        *(
            Bar(f"memory over idle for large bodies on {one} partitions, MB", 256.0, figure([mb]))
            for one, mb in memory.items()
        ),
    ]
    for rate in (50, 500):
        pairs = zip(of(_TODAY, 12, rate, "cpu"), of(_BEFORE, 12, rate, "cpu"), strict=False)
        ratios = [now / before for now, before in pairs]
        note = "" if ratios else "BEFORE names no checkout"
        name = f"CPU at {rate}/s on 12 partitions, of that before"
        bars.append(Bar(name, 0.6, figure(ratios) if ratios else None, note=note))
    notes = (
        "from the record in `raw` on all in-sync replicas to the event readable in `orders`; group `deliver` alone",
        f"before: not over more than {_BEFORE_PARTITIONS_MAX} partitions, each of which has a producer to be started",
    )
    return Part([Section("engine", "The engine of the groups", table, notes)], bars)
