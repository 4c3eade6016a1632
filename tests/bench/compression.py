"""What compression costs and saves: processor time of ingress, processors and broker, and bytes on the broker's disk.

The defaults of `ingest.compression` and `process.compression` are chosen from this table. Either the programs compress
what they write, or the broker does, by `compression.type` of the topics. What a codec gains hangs on the size of the
batches, so there are two loads: a steady one, where a batch of the ingress holds a delivery or two, and a burst, where
it holds many.
"""

import base64
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ops.kafka.clients import admin
from processors.deliver.provider import Sample
from processors.providers import discover
from schemas.settings import Settings
from schemas.topics import plan as topics_plan
from tests.bench.gauge import cpu_us
from tests.bench.latency import measured_load, pair
from tests.bench.load.plan import Plan
from tests.bench.load.requests import request, write_requests
from tests.bench.place import SECRET, Place, Program
from tests.bench.report.figures import Figure, figure, ratio
from tests.bench.report.report import Part, Progress, Section
from tests.support.processing import STARTED_AT

_PLAIN = "none"
_BY_PROGRAMS = ("gzip", "snappy", "lz4", "zstd")
_BY_BROKER = "zstd, by the broker"
_RATE = 500.0
_BURST = 8_000
# What customers write and ids are made of; no codec shortens it. It is a fifth to a third of a sample's body.
_RANDOM_BYTES = 90


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long."""

    rounds: int
    measure_s: float


QUICK = Effort(rounds=1, measure_s=3.0)
FULL = Effort(rounds=5, measure_s=5.0)


@dataclass(slots=True)
class _Costs:
    """Of each round: microseconds and bytes a delivery."""

    ingress_us: list[float] = field(default_factory=list)
    processors_us: list[float] = field(default_factory=list)
    broker_us: list[float] = field(default_factory=list)
    raw_bytes: list[float] = field(default_factory=list)
    other_bytes: list[float] = field(default_factory=list)


async def measure(place: Place, effort: Effort, progress: Progress) -> Part:
    """Every way of compressing in turn, under both loads.

    Raises:
        RuntimeError: the broker is not one that was started here, so its processor time and disk are unknown.
    """
    if place.broker is None:
        raise RuntimeError("KAFKA names a broker; its processor time and its disk are not to be had")
    loads: Mapping[str, dict[str, _Costs]] = {"steady": {}, "burst": {}}
    for number in range(effort.rounds):
        for way in (_PLAIN, *_BY_PROGRAMS, _BY_BROKER):
            into = {name: costs.setdefault(way, _Costs()) for name, costs in loads.items()}
            await _round(place, way, number, effort, into)
            progress(
                f"compression, round {number + 1} of {effort.rounds}: {way}: " + "; ".join(map(_told, into.items()))
            )
    return Part(
        [
            _section("compression-steady", f"Compression, {_RATE:.0f} deliveries a second", loads["steady"]),
            _section("compression-burst", f"Compression, a burst of {_BURST:,} deliveries", loads["burst"]),
        ]
    )


async def _round(place: Place, way: str, number: int, effort: Effort, into: Mapping[str, _Costs]) -> None:
    name = f"compression-{way[:4]}{'-broker' if way == _BY_BROKER else ''}-{number}"
    config = place.config(name, compression=way if way in _BY_PROGRAMS else _PLAIN)
    async with pair(place, config) as (front, back):
        if way == _BY_BROKER:
            await _compress_topics(front.settings, "zstd")
        requests = place.folder / f"{name}-requests"
        for load, costs in into.items():
            steady = load == "steady"
            count = int(_RATE * effort.measure_s) if steady else _BURST
            write_requests(requests, _requests(count, first=1 if steady else 1_000_000, seed=number))
            plan = Plan(
                port=front.settings.ingest.port,
                requests=str(requests),
                pids=front.pids,
                connections=64,
                warm_up_s=0.0,
                measure_s=effort.measure_s if steady else 600.0,
                rate=_RATE if steady else None,
                count=count,
                answers=str(place.folder / f"{name}-answers"),
            )
            await _measured(place, front, back, plan, costs)


async def _measured(place: Place, front: Program, back: Program, plan: Plan, costs: _Costs) -> None:
    """One load, until the last of its events is readable."""
    broker = [place.broker or 0]
    before = (cpu_us(front.pids), cpu_us(back.pids), cpu_us(broker), *_disk_bytes(place.data, front.settings))
    _, times = await measured_load(plan, front.settings)
    after = (cpu_us(front.pids), cpu_us(back.pids), cpu_us(broker), *_disk_bytes(place.data, front.settings))
    each = [(late - early) / len(times) for early, late in zip(before, after, strict=True)]
    columns = (costs.ingress_us, costs.processors_us, costs.broker_us, costs.raw_bytes, costs.other_bytes)
    for column, value in zip(columns, each, strict=True):
        column.append(value)


async def _compress_topics(settings: Settings, codec: str) -> None:
    """The broker compresses every topic with this codec."""
    async with admin(settings) as client:
        await client.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, one.name, {**one.config, "compression.type": codec})
                for one in topics_plan(settings)
            ]
        )


def _requests(count: int, *, first: int, seed: int) -> list[bytes]:
    """Signed deliveries on orders, each with its number and with random text."""
    samples = [
        (sample, provider.name)
        for provider in discover().values()
        for sample in provider.samples
        if any(".order." in one for one in sample.event_types)
    ]
    dice = random.Random(seed)  # noqa: S311 text that no codec shortens, the same in every way of compressing
    return [_request(*samples[number % len(samples)], number, dice) for number in range(first, first + count)]


def _request(sample: Sample, provider: str, number: int, dice: random.Random) -> bytes:
    content = orjson.loads(sample.body(number, STARTED_AT))
    content["note"] = base64.b64encode(dice.randbytes(_RANDOM_BYTES)).decode()
    body = orjson.dumps(content)
    headers = sample.sign(body, SECRET.encode(), STARTED_AT)
    return request(
        provider.replace("_", "-"),
        body,
        [(name, value) for name, value in headers.items() if name.lower() != "content-type"],
    )


def _disk_bytes(data: Path, settings: Settings) -> tuple[int, int]:
    """The bytes of the records in `raw`, and in all other topics, as the broker keeps them."""
    prefix = settings.kafka.topic_prefix
    sizes = {True: 0, False: 0}
    # The broker may just be deleting folders of other topics.
    for log in data.glob(f"*/logs/{prefix}*/*.log"):
        topic = log.parent.name.rpartition("-")[0]
        sizes[topic == f"{prefix}raw"] += log.stat().st_size
    return sizes[True], sizes[False]


def _section(key: str, title: str, found: Mapping[str, _Costs]) -> Section:
    plain = found[_PLAIN]
    notes = (
        "all are of one delivery: microseconds of processor time, bytes on the broker's disk (one replica)",
        "`times` is CPU of all three programs over that of none, round by round",
        f"bodies are samples on orders with {_RANDOM_BYTES * 4 // 3} random characters each; real ones repeat less",
    )
    rows = {
        way: {
            "ingress us": figure(costs.ingress_us),
            "processors us": figure(costs.processors_us),
            "broker us": figure(costs.broker_us),
            "times": ratio(_all_us(costs), _all_us(plain)),
            "raw bytes": figure(costs.raw_bytes),
            "other bytes": figure(costs.other_bytes),
        }
        for way, costs in found.items()
    }
    return Section(key, title, rows, notes)


def _all_us(costs: _Costs) -> Figure:
    return figure(map(sum, zip(costs.ingress_us, costs.processors_us, costs.broker_us, strict=True)))


def _told(one: tuple[str, _Costs]) -> str:
    load, costs = one
    used: Sequence[float] = (costs.ingress_us[-1], costs.processors_us[-1], costs.broker_us[-1])
    return f"{load} {' + '.join(f'{value:.0f}' for value in used)} us, {costs.raw_bytes[-1]:.0f} bytes of raw"
