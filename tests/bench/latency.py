"""From the 200 to the event: how long until an outsider reads it in `orders`, committed records only.

Ingress and processor are on one processor here, so half load is half of what both together take of it.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from processors.providers import discover
from schemas.settings import Settings
from tests.bench.gauge import cpu_us
from tests.bench.ingress import ingress
from tests.bench.load.plan import Plan, Result, generate
from tests.bench.load.requests import request, write_requests
from tests.bench.outputs import open_reader
from tests.bench.place import Place, Program, running
from tests.bench.report.figures import figure, percentile
from tests.bench.report.report import Bar, Part, Progress, Section
from tests.support.processing import signed

_LOW_RATE = 50.0
_PATIENCE_S = 60.0
_CALIBRATION_S = 1.5
_LONGEST_RATE = 5_000.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long."""

    rounds: int
    measure_s: float


QUICK = Effort(rounds=1, measure_s=3.0)
FULL = Effort(rounds=3, measure_s=8.0)


class Reader:
    """Reads `orders` in a thread of its own, and notes when each event of a delivery was first readable."""

    def __init__(self, settings: Settings) -> None:
        self.seen: list[tuple[int, bytes]] = []
        self._consumer = open_reader(settings, ("orders",), from_end=True)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name="orders")
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._ending.set()
        self._thread.join()
        self._consumer.close()

    def readable_at(self) -> dict[str, int]:
        """When the first event of each delivery was readable, in nanoseconds of the monotonic clock."""
        found: dict[str, int] = {}
        for at, value in self.seen:
            found.setdefault(orjson.loads(value)["delivery"], at)
        return found

    def _read(self) -> None:
        while not self._ending.is_set():
            message = self._consumer.poll(0.05)
            if message is not None and message.error() is None:
                self.seen.append((time.monotonic_ns(), message.value() or b""))


async def measure(place: Place, effort: Effort, progress: Progress) -> Part:
    """Low and half load in turn."""
    rows: dict[str, list[tuple[Result, list[float]]]] = {"low load": [], "half load": []}
    async with pair(place, place.config("latency", commit_interval_ms=100)) as (front, back):
        orders = Orders(place.folder / "orders")
        half = await _half_load(front, back, orders)
        progress(f"latency: half load is {half:,.0f}/s")
        for number in range(effort.rounds):
            for name, rate in (("low load", _LOW_RATE), ("half load", half)):
                plan = Plan(
                    port=front.settings.ingest.port,
                    # More than it needs, so that none is sent twice.
                    requests=orders.write(int(rate * (effort.measure_s + 1) * 1.2) + 200),
                    pids=(*front.pids, *back.pids),
                    connections=256,
                    warm_up_s=1.0,
                    measure_s=effort.measure_s,
                    rate=rate,
                    answers=str(place.folder / "answers"),
                    seed=number + 1,
                )
                rows[name].append(await measured_load(plan, front.settings))
                p99 = percentile(rows[name][-1][1], 0.99)
                progress(f"latency, round {number + 1} of {effort.rounds}: {name}: p99 {p99:.0f} ms")
    return _part(rows)


@asynccontextmanager
async def pair(place: Place, config: Path) -> AsyncIterator[tuple[Program, Program]]:
    """An ingress, and the group `deliver` behind it with every partition open."""
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(ingress(place, config))
        back = await stack.enter_async_context(
            running(place, config, "ops", "process", "deliver", "--config", str(config), topics=False)
        )
        await back.said("partition_opened", times=front.settings.kafka.partitions)
        yield front, back


@dataclass(slots=True)
class Orders:
    """Signed deliveries on orders, each another one."""

    path: Path
    made: int = 0

    def write(self, count: int) -> str:
        """A file of so many new ones."""
        samples = [
            (sample, provider.name)
            for provider in discover().values()
            for sample in provider.samples
            if any(".order." in one for one in sample.event_types)
        ]
        requests = []
        for number in range(self.made + 1, self.made + count + 1):
            sample, provider = samples[number % len(samples)]
            delivery = signed(sample, provider, provider.replace("_", "-"), number)
            headers = [(name, value.decode()) for name, value in delivery.headers if name != "content-type"]
            requests.append(request(delivery.endpoint, delivery.body, headers))
        self.made += count
        write_requests(self.path, requests)
        return str(self.path)


async def _half_load(front: Program, back: Program, orders: Orders) -> float:
    """Half of what one processor takes, by what both programs work for each delivery of a short burst."""
    before_us = cpu_us((*front.pids, *back.pids))
    reader = await asyncio.to_thread(Reader, front.settings)
    plan = Plan(
        port=front.settings.ingest.port,
        requests=orders.write(12_000),
        pids=front.pids,
        warm_up_s=0.0,
        measure_s=_CALIBRATION_S,
        count=12_000,
        answers=str(orders.path.with_name("answers")),
    )
    await asyncio.to_thread(generate, plan)
    answered = await _all_readable(Path(plan.answers), reader)
    await asyncio.to_thread(reader.stop)
    return min(_LONGEST_RATE, answered * 1e6 / (cpu_us((*front.pids, *back.pids)) - before_us) / 2)


async def measured_load(plan: Plan, settings: Settings) -> tuple[Result, list[float]]:
    """The load's result, and the milliseconds from answer to event, in order of size; the warm-up left out."""
    reader = await asyncio.to_thread(Reader, settings)
    try:
        result = await asyncio.to_thread(generate, plan)
        await _all_readable(Path(plan.answers), reader)
    finally:
        await asyncio.to_thread(reader.stop)
    answered = _answers(Path(plan.answers))
    measured_from = min(answered.values()) + int(plan.warm_up_s * 1e9)
    readable = reader.readable_at()
    return result, sorted((readable[one] - at) / 1e6 for one, at in answered.items() if at >= measured_from)


async def _all_readable(answers: Path, reader: Reader) -> int:
    """How many were answered, once the events of all are readable."""
    count = len(_answers(answers))
    async with asyncio.timeout(_PATIENCE_S):
        while len(reader.readable_at()) < count:  # noqa: ASYNC110 a thread reads it
            await asyncio.sleep(0.1)
    return count


def _answers(path: Path) -> dict[str, int]:
    return {one: int(at) for one, at in (line.split() for line in path.read_text().splitlines())}


def _part(rows: dict[str, list[tuple[Result, list[float]]]]) -> Part:
    table = {
        name: {
            "per second": figure(result.per_second for result, _ in rounds),
            "p50 ms": figure(percentile(times, 0.5) for _, times in rounds),
            "p99 ms": figure(percentile(times, 0.99) for _, times in rounds),
            "p99.9 ms": figure(percentile(times, 0.999) for _, times in rounds),
            "CPU us each": figure(result.cpu_us_each for result, _ in rounds),
            "answer p99 ms": figure(result.p99_ms for result, _ in rounds),
        }
        for name, rounds in rows.items()
    }
    notes = (
        "from the answer 200 to the event readable in `orders` with read_committed; commit interval 100 ms",
        "ingress and processor share one processor; CPU is of both",
    )
    return Part(
        [Section("latency", "From answer to event", table, notes)],
        [Bar("end to end p99 at half load, ms", 300.0, table["half load"]["p99 ms"])],
    )
