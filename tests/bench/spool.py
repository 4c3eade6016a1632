"""The spool: how fast an ingress without Kafka writes it, and how fast the next one empties it into Kafka."""

import asyncio
import time
from dataclasses import dataclass, field

from tests.bench.gauge import cpu_us
from tests.bench.ingress import BODY_BYTES, ingress, requests_of
from tests.bench.load.plan import Plan, Result, generate
from tests.bench.load.requests import write_requests
from tests.bench.place import Place, Program, running
from tests.bench.report.figures import Figure, figure
from tests.bench.report.report import Part, Progress, Section
from tests.support.ports import free_ports

_DRAIN_S = 120.0
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long it is written."""

    rounds: int
    measure_s: float


QUICK = Effort(rounds=1, measure_s=2.0)
FULL = Effort(rounds=3, measure_s=3.0)


@dataclass(slots=True)
class _Measured:
    written: list[Result] = field(default_factory=list)
    drained_per_second: list[float] = field(default_factory=list)
    drain_cpu_us_each: list[float] = field(default_factory=list)


async def measure(place: Place, effort: Effort, progress: Progress) -> Part:
    """All rounds; each fills a spool of its own, then empties it."""
    path = place.folder / "spool-requests"
    write_requests(path, requests_of(4, BODY_BYTES))
    found = _Measured()
    for number in range(effort.rounds):
        name = f"spooled-{number}"
        spool = place.folder / f"{name}-files"
        nowhere = f"127.0.0.1:{free_ports(1)}"
        config = place.config(name, spool=spool, bootstrap_servers=nowhere)
        async with running(place, config, "ops", "ingest", "--config", str(config), topics=False) as program:
            port = program.settings.ingest.port
            await program.listening(port)
            plan = Plan(port=port, requests=str(path), pids=program.pids, measure_s=effort.measure_s, warm_up_s=0.5)
            found.written.append(await asyncio.to_thread(generate, plan))
            waiting = int((await program.facts(program.settings.ingest.admin_port))["spool_deliveries"])
        async with ingress(place, place.config(name, spool=spool)) as program:
            await _drained(program, waiting, found)
        progress(
            f"spool, round {number + 1} of {effort.rounds}: written {found.written[-1].per_second:,.0f}/s, "
            f"{waiting:,} drained at {found.drained_per_second[-1]:,.0f}/s"
        )
    return Part([_section(found)])


async def _drained(program: Program, waiting: int, into: _Measured) -> None:
    """The rate from the first sight of a connected producer, by what is left from then on."""
    port = program.settings.ingest.admin_port
    began_s, began_us = time.monotonic(), cpu_us(program.pids)
    left = first = int((await program.facts(port)).get("spool_deliveries", waiting))
    async with asyncio.timeout(_DRAIN_S):
        while left:
            await asyncio.sleep(_POLL_S)
            left = int((await program.facts(port)).get("spool_deliveries", left))
    if first:
        into.drained_per_second.append(first / (time.monotonic() - began_s))
        into.drain_cpu_us_each.append((cpu_us(program.pids) - began_us) / first)


def _section(found: _Measured) -> Section:
    rows: dict[str, dict[str, Figure | None]] = {
        "written, Kafka away": {
            "per second": figure(one.per_second for one in found.written),
            "CPU us each": figure(one.cpu_us_each for one in found.written),
            "p99 ms": figure(one.p99_ms for one in found.written),
            "not 200": figure(float(one.failed) for one in found.written),
        },
        "drained into Kafka": {
            "per second": figure(found.drained_per_second) if found.drained_per_second else None,
            "CPU us each": figure(found.drain_cpu_us_each) if found.drain_cpu_us_each else None,
        },
    }
    note = f"64 connections, closed loop, bodies of {BODY_BYTES:,} bytes; every 200 is synced to disk"
    return Section("spool", "Spool", rows, (note,))
