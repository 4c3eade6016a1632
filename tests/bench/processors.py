"""The processors against the obvious loop and two frameworks: a burst to catch up with, and what that cost.

All of them run at once, idle but for the one at work. A burst is written while its consumer is stopped; the time runs
from when it goes on until the offsets of all are committed. What it wrote is counted at the end.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from ops.kafka.clients import admin
from schemas.delivery import Delivery, raw_key, record_headers
from schemas.records import Position, RawRecord
from schemas.settings import Settings
from tests.bench.environment import NotRun, frameworks_python
from tests.bench.gauge import cpu_us, forget_peak, peak_rss_kib
from tests.bench.outputs import count_outputs
from tests.bench.place import Place, Program, running
from tests.bench.report.figures import Figure, figure, ratio
from tests.bench.report.report import Bar, Part, Progress, Section
from tests.bench.systems.step import Step
from tests.support.processing import deliveries, put

OURS = "dropstream"
OBVIOUS = "obvious loop"
QUIX = "Quix Streams"
FAST_STREAM = "FastStream"
STEP = "the pure step alone"
_MODULES: Mapping[str, str] = {
    OURS: "ops",
    OBVIOUS: "tests.bench.systems.obvious_loop",
    QUIX: "tests.bench.systems.quix",
    FAST_STREAM: "tests.bench.systems.fast_stream",
}
_POLL_S = 0.02
_PATIENCE_S = 120.0
_WARM_UP = 1_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How often, and how many deliveries each time."""

    rounds: int
    deliveries: int


QUICK = Effort(rounds=2, deliveries=4_000)
FULL = Effort(rounds=5, deliveries=8_000)


@dataclass(slots=True)
class Measured:
    """What the rounds gave for one system; or why there are none."""

    per_second: list[float] = field(default_factory=list)
    cpu_us_each: list[float] = field(default_factory=list)
    peak_kib: list[int] = field(default_factory=list)
    outputs: int = 0
    not_run: str = ""


@dataclass(slots=True)
class _Consumer:
    """A running system, and up to where its group has come."""

    program: Program
    client: AIOKafkaAdminClient
    written: int = 0

    @property
    def settings(self) -> Settings:
        return self.program.settings

    async def committed(self) -> int:
        """How many deliveries lie before the committed offsets."""
        try:
            offsets = await self.client.list_consumer_group_offsets(f"{self.settings.kafka.topic_prefix}deliver")
        except GroupCoordinatorNotAvailableError:  # The cluster is new, and still makes its topic of offsets.
            return 0
        return sum(max(0, one.offset) for source, one in offsets.items() if source.topic.endswith(".raw"))

    async def caught_up(self) -> None:
        """Returns once all that was written is committed."""
        async with asyncio.timeout(_PATIENCE_S):
            while await self.committed() < self.written:
                if self.program.process.returncode is not None:
                    raise RuntimeError(f"it has ended: {self.program.log.read_text(errors='replace')[-300:]}")
                await asyncio.sleep(_POLL_S)

    async def burst(self, batch: list[Delivery], into: Measured) -> None:
        """Writes a burst while the consumer is stopped, and measures how it catches up."""
        pid = self.program.process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await put(self.settings, batch)
            self.written += len(batch)
            forget_peak([pid])
            began_s, began_us = time.monotonic(), cpu_us([pid])
        finally:
            os.kill(pid, signal.SIGCONT)
        await self.caught_up()
        into.per_second.append(len(batch) / (time.monotonic() - began_s))
        into.cpu_us_each.append((cpu_us([pid]) - began_us) / len(batch))
        into.peak_kib.append(peak_rss_kib([pid]))


async def measure(place: Place, effort: Effort, progress: Progress) -> dict[str, Measured]:
    """All rounds of all systems that can be had."""
    found = {name: Measured() for name in (*_MODULES, STEP)}
    async with AsyncExitStack() as stack:
        consumers = await _started(place, stack, found, progress)
        first = _WARM_UP + 1
        for number in range(effort.rounds):
            batch = await asyncio.to_thread(deliveries, effort.deliveries, first)
            first += effort.deliveries
            for name, consumer in consumers.items():
                await consumer.burst(batch, found[name])
                one = found[name]
                progress(
                    f"processors, round {number + 1} of {effort.rounds}: {name}: "
                    f"{one.per_second[-1]:,.0f}/s, {one.cpu_us_each[-1]:.0f} us of CPU each"
                )
            _step_alone(consumers[OBVIOUS].settings, batch, found[STEP])
        for name, consumer in consumers.items():
            found[name].outputs = await asyncio.to_thread(count_outputs, consumer.settings)
    return found


def _step_alone(settings: Settings, batch: list[Delivery], into: Measured) -> None:
    """What everybody pays: the step, without a broker, in this process."""
    step = Step(settings)
    records = [
        RawRecord(
            Position("raw", 0, number),
            raw_key(one.endpoint, 1, one.body),
            one.body,
            record_headers(one),
            1_000 * number,
        )
        for number, one in enumerate(batch)
    ]
    began = time.process_time()
    for record in records:
        step(record)
    each_s = (time.process_time() - began) / len(batch)
    into.cpu_us_each.append(each_s * 1e6)
    into.per_second.append(1 / each_s)


async def _started(
    place: Place, stack: AsyncExitStack, found: Mapping[str, Measured], progress: Progress
) -> dict[str, _Consumer]:
    """The systems that work: each has taken some first deliveries."""
    python = await frameworks_python()
    consumers: dict[str, _Consumer] = {}
    warm_up = deliveries(_WARM_UP)
    for number, (name, module) in enumerate(_MODULES.items()):
        foreign = name in {QUIX, FAST_STREAM}
        if foreign and isinstance(python, NotRun):
            found[name].not_run = python.reason
            continue
        config = place.config(f"processors-{number}")
        arguments = ("process", "deliver", "--config", str(config)) if name == OURS else (str(config),)
        chosen = python if foreign and isinstance(python, str) else None
        program = await stack.enter_async_context(running(place, config, module, *arguments, python=chosen))
        client = await stack.enter_async_context(admin(program.settings))
        consumer = _Consumer(program, client, written=_WARM_UP)
        try:
            await put(program.settings, warm_up)
            await consumer.caught_up()
            consumers[name] = consumer
        except (RuntimeError, TimeoutError) as error:
            found[name].not_run = f"not run: {str(error) or 'it does not get on'}"
            progress(f"processors: {name}: {found[name].not_run}")
    return consumers


def part_of(found: Mapping[str, Measured], effort: Effort) -> Part:
    """The table and bars of these measurements."""
    rows = {
        name: {
            "per second per core": figure(measured.per_second),
            "CPU us each": figure(measured.cpu_us_each),
            "peak MB": figure(kib / 1024 for kib in measured.peak_kib) if measured.peak_kib else None,
            "records written": figure([float(measured.outputs)]) if measured.outputs else None,
        }
        for name, measured in found.items()
        if measured.per_second
    }
    notes = (
        f"bursts of {effort.deliveries:,} signed deliveries of all providers, over 12 partitions",
        "obvious loop: remembers retries in memory only, and doubles records under a rebalance",
        "FastStream: no transactions over outputs and offsets; at least once",
        *(f"{name}: {measured.not_run}" for name, measured in found.items() if measured.not_run),
    )
    section = Section("processors", "Processors catching up", rows, notes)
    return Part((section,), tuple(_bar(found, other, limit) for other, limit in ((OBVIOUS, 0.7), (QUIX, 0.5))))


def _bar(found: Mapping[str, Measured], other: str, limit: float) -> Bar:
    ours, theirs = found[OURS].cpu_us_each, found[other].cpu_us_each
    measured: Figure | None = ratio(figure(ours), figure(theirs)) if ours and theirs else None
    return Bar(f"processor CPU per delivery, ours / {other}", limit, measured, note=found[other].not_run)
