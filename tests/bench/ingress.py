"""The ingress against the same in Go, the obvious program and the bare floors: saturation, CPU, latency, memory.

All of them run at once, idle but for the one under load; rounds go A-B-C-D-E-A-B-C-D-E.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from tests.bench.gauge import forget_peak, peak_rss_kib, rss_kib
from tests.bench.load.plan import Plan, Result, generate
from tests.bench.load.requests import request, write_requests
from tests.bench.outputs import count_raw
from tests.bench.place import Place, Program, endpoint_names, read_settings, running
from tests.bench.report.figures import Figure, figure, ratio
from tests.bench.report.report import Bar, Part, Progress, Section
from tests.bench.systems import go_program
from tests.bench.systems.beside_go import BesideGo

OURS = "dropstream"
OBVIOUS = "obvious"
GO = "net/http and franz-go"
SYSTEMS: Mapping[str, str | Path] = {
    OURS: "ops",
    GO: go_program.BUILT,
    OBVIOUS: "tests.bench.systems.obvious_ingress",
    "aiohttp, no-op": "tests.bench.systems.floor_aiohttp",
    "asyncio, no-op": "tests.bench.systems.floor_protocol",
}
BODY_BYTES = 1_024
# With fewer a server waits for Kafka rather than works; `tests.bench.costs` has the costs with fewer.
CONNECTIONS = 256
# What generator and broker keep up with on one processor; the floors alone are faster.
_RATE_MAX = 10_000.0
_SIGNATURE = (("X-Signature", "5f" * 32), ("X-Request-Id", "0d9a4f64-11c2-4a5e-9c7b-2a6b1f1f3c55"))


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often."""

    rounds: int
    measure_s: float
    warm_up_s: float
    open_loop_s: float
    turns_beside_go: int  # In each round.


QUICK = Effort(rounds=2, measure_s=1.5, warm_up_s=0.4, open_loop_s=1.5, turns_beside_go=2)
FULL = Effort(rounds=5, measure_s=3.0, warm_up_s=0.7, open_loop_s=4.0, turns_beside_go=4)
_TURN_S = 1.0
_WRITERS = {OURS, GO, OBVIOUS}


@dataclass(slots=True)
class Measured:
    """What the rounds gave for one system."""

    saturated: list[Result] = field(default_factory=list)
    half: list[Result] = field(default_factory=list)
    # At the rate that is half of the obvious program's saturation.
    at_its_half: list[Result] = field(default_factory=list)
    beside_go: list[Result] = field(default_factory=list)
    idle_kib: int = 0
    peak_kib: list[int] = field(default_factory=list)
    in_raw: int = 0

    @property
    def acknowledged(self) -> int:
        """How many were answered 200 in all."""
        return sum(one.acknowledged for one in (*self.saturated, *self.half, *self.at_its_half, *self.beside_go))

    @property
    def half_rate(self) -> float:
        """Half of its own saturation, per second."""
        return min(_RATE_MAX, median(one.per_second for one in self.saturated) / 2)


def requests_of(endpoints: int, body_bytes: int) -> list[bytes]:
    """A delivery of this size for each endpoint."""
    return [
        request(name, b'{"id":"' + b"x" * (body_bytes - 9) + b'"}', _SIGNATURE) for name, _ in endpoint_names(endpoints)
    ]


@asynccontextmanager
async def ingress(
    place: Place, config: Path, system: str = OURS, *more: str, cores: frozenset[int] | None = None
) -> AsyncIterator[Program]:
    """One of the systems, ready; ours with its producer connected."""
    arguments: Sequence[str] = (str(config),)
    if system == OURS:
        arguments = ("ingest", "--config", str(config), *more)
    elif system == GO:
        arguments = go_program.arguments(read_settings(config))
    async with running(place, config, SYSTEMS[system], *arguments, cores=cores) as program:
        await program.listening(program.settings.ingest.port)
        if system == OURS:
            await program.said("kafka_connected", times=int(more[-1]) if more else 1)
        yield program


async def measure(place: Place, effort: Effort, progress: Progress) -> Part:
    """All rounds of all systems, and the tables and bars of them; without Go, all but what is beside Go."""
    no_go = await asyncio.to_thread(go_program.build)
    if no_go:
        progress(f"ingress: {GO} is left out: {no_go}")
    systems = [name for name in SYSTEMS if name != GO or not no_go]
    beside = BesideGo(OURS, GO)
    found = await _measure(place, systems, effort, progress, beside)
    sections, bars = [_saturation(found), _half_load(found)], _bars(found)
    if not no_go:
        return Part([*sections, beside.section()], [*beside.bars(), *bars])
    return Part([*sections, Section("ingress_beside_go", "Ingress beside Go", {}, (f"left out: {no_go}",))], bars)


async def _measure(
    place: Place, systems: Sequence[str], effort: Effort, progress: Progress, beside: BesideGo
) -> dict[str, Measured]:
    path = place.folder / "requests"
    write_requests(path, requests_of(4, BODY_BYTES))
    found = {name: Measured() for name in systems}
    async with AsyncExitStack() as stack:
        programs = {}
        for number, name in enumerate(systems):
            config = place.config(f"ingress-{number}")
            programs[name] = await stack.enter_async_context(ingress(place, config, name))
        await asyncio.sleep(1)
        for name, program in programs.items():
            found[name].idle_kib = rss_kib(program.pids)
        for number in range(effort.rounds):
            for name, program in programs.items():
                await _round(program, path, effort, found[name])
                progress(f"ingress, round {number + 1} of {effort.rounds}: {name}: {_told(found[name])}")
            plan = _open_loop(programs[OURS], path, effort, rate=found[OBVIOUS].half_rate, seed=number + 1)
            found[OURS].at_its_half.append(await asyncio.to_thread(generate, plan))
            if GO in programs:
                plans = {name: replace(_plan(programs[name], path, effort), measure_s=_TURN_S) for name in (OURS, GO)}
                for _ in range(effort.turns_beside_go):
                    await beside.take_turns(plans, rate=found[OURS].half_rate)
        for name, results in beside.results().items():
            found[name].beside_go = results
        for name in found.keys() & _WRITERS:
            found[name].in_raw = await asyncio.to_thread(count_raw, programs[name].settings)
    return found


async def _round(program: Program, requests: Path, effort: Effort, into: Measured) -> None:
    """Saturation first; then half of it, open loop."""
    forget_peak(program.pids)
    into.saturated.append(await asyncio.to_thread(generate, _plan(program, requests, effort)))
    into.peak_kib.append(peak_rss_kib(program.pids))
    half = _open_loop(program, requests, effort, rate=into.half_rate, seed=len(into.saturated))
    into.half.append(await asyncio.to_thread(generate, half))


def _open_loop(program: Program, requests: Path, effort: Effort, *, rate: float, seed: int) -> Plan:
    return replace(_plan(program, requests, effort), rate=rate, measure_s=effort.open_loop_s, seed=seed)


def _plan(program: Program, requests: Path, effort: Effort) -> Plan:
    return Plan(
        port=program.settings.ingest.port,
        requests=str(requests),
        pids=program.pids,
        warm_up_s=effort.warm_up_s,
        connections=CONNECTIONS,
        measure_s=effort.measure_s,
    )


def _saturation(found: Mapping[str, Measured]) -> Section:
    rows = {
        name: {
            "per second": figure(one.per_second for one in measured.saturated),
            "CPU us each": figure(one.cpu_us_each for one in measured.saturated),
            "p50 ms": figure(one.p50_ms for one in measured.saturated),
            "p99 ms": figure(one.p99_ms for one in measured.saturated),
            "idle MB": figure([measured.idle_kib / 1024]),
            "peak MB": figure(kib / 1024 for kib in measured.peak_kib),
            "not 200": figure(float(one.failed) for one in measured.saturated),
            "generator us each": figure(one.generator_cpu_us / one.answered for one in measured.saturated),
        }
        for name, measured in found.items()
    }
    note = f"{CONNECTIONS} connections, closed loop, bodies of {BODY_BYTES:,} bytes, 4 endpoints on 12 partitions"
    return Section("ingress_saturation", "Ingress at saturation", rows, (note,))


def _half_load(found: Mapping[str, Measured]) -> Section:
    results = {name: measured.half for name, measured in found.items()}
    results[f"{OURS}, same rate"] = found[OURS].at_its_half
    rows = {
        name: {
            "per second": figure(one.per_second for one in half),
            "CPU us each": figure(one.cpu_us_each for one in half),
            "p50 ms": figure(one.p50_ms for one in half),
            "p99 ms": figure(one.p99_ms for one in half),
            "p99.9 ms": figure(one.p999_ms for one in half),
            "not 200": figure(float(one.failed) for one in half),
            "sent late p99 ms": figure(one.late_p99_ms for one in half),
        }
        for name, half in results.items()
    }
    note = f"each at half of its own saturation, open loop (Poisson), up to {CONNECTIONS} requests at once"
    notes = (note, f"same rate: ours at that of {OBVIOUS}", "times count from when a request was due")
    return Section("ingress_half", "Ingress at half load", rows, notes)


def _bars(found: Mapping[str, Measured]) -> tuple[Bar, ...]:
    ours, obvious = found[OURS], found[OBVIOUS]

    def compared(value: str, own: list[Result], its: list[Result]) -> Figure:
        return ratio(*(figure(getattr(one, value) for one in results) for results in (own, its)))

    rates = compared("per_second", ours.saturated, obvious.saturated)
    return (
        *(
            Bar(f"records in raw / answers 200, {name}", 1.0, figure([one.in_raw / one.acknowledged]), at_least=True)
            for name, one in found.items()
            if name in _WRITERS
        ),
        Bar(
            "ingress CPU per delivery, ours / obvious", 0.45, compared("cpu_us_each", ours.saturated, obvious.saturated)
        ),
        Bar("ingress deliveries per second, ours / obvious", 2.0, rates, at_least=True),
        Bar("ingress p99, each at half of its own load", 1.0, compared("p99_ms", ours.half, obvious.half)),
        Bar("ingress p99, both at half of the obvious one's", 1.0, compared("p99_ms", ours.at_its_half, obvious.half)),
        Bar("idle ingress, MB", 80.0, figure([ours.idle_kib / 1024])),
        Bar(
            "ingress growth under load, MB (in_flight_bytes_max)",
            67_108_864 / 1_048_576,
            figure((kib - ours.idle_kib) / 1024 for kib in ours.peak_kib),
        ),
    )


def _told(measured: Measured) -> str:
    saturated, half = measured.saturated[-1], measured.half[-1]
    return (
        f"{saturated.per_second:,.0f}/s, {saturated.cpu_us_each:.1f} us of CPU each; "
        f"at {half.per_second:,.0f}/s p99 {half.p99_ms:.2f} ms"
    )
