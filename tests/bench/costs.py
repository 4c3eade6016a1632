"""What the cost of a delivery depends on: the size of its body; how many connections, endpoints and workers there are.

The programs of a comparison run at once, idle but for the one under load, round by round.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tests.bench.ingress import BODY_BYTES, CONNECTIONS, OBVIOUS, OURS, ingress, requests_of
from tests.bench.load.plan import Plan, Result, generate
from tests.bench.load.requests import write_requests
from tests.bench.place import Place, Program
from tests.bench.report.figures import figure, ratio
from tests.bench.report.report import Bar, Part, Progress, Rows, Section

_KIB = 1_024
_CORES_NEEDED = 4
_Results = Mapping[str, Sequence[Result]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long; `body_sizes_kib` of each round."""

    rounds: int
    measure_s: float
    body_sizes_kib: Sequence[int] = (1, 5, 50, 250)


QUICK = Effort(rounds=1, measure_s=0.7, body_sizes_kib=(1, 50))
FULL = Effort(rounds=3, measure_s=1.5)


@dataclass(frozen=True, slots=True)
class _Load:
    """A program, and the requests that it gets."""

    program: Program
    requests: str
    connections: int = CONNECTIONS


async def measure_bodies(place: Place, effort: Effort, progress: Progress) -> Part:
    """Ours and the obvious program, over sizes of bodies."""
    async with AsyncExitStack() as stack:
        programs = {
            name: await stack.enter_async_context(ingress(place, place.config(f"bodies-{number}"), name))
            for number, name in enumerate((OURS, OBVIOUS))
        }
        loads = {}
        for size in effort.body_sizes_kib:
            path = place.folder / f"bodies-{size}"
            write_requests(path, requests_of(4, size * _KIB))
            for name, program in programs.items():
                # Fewer for large bodies: what is measured is the cost of a delivery, not of waiting.
                loads[f"{name}, {size} KB"] = _Load(program, str(path), connections=16 if size >= 50 else CONNECTIONS)
        found = await _rounds(loads, effort, progress)
    return Part([Section("bodies", "Cost against the size of the body", _rows(found), ("at saturation",))])


async def measure_connections(place: Place, effort: Effort, progress: Progress) -> Part:
    """Ours and the obvious program, over how many clients ask at once: each waits for its answer."""
    path = place.folder / "connections"
    write_requests(path, requests_of(4, BODY_BYTES))
    loads: dict[str, _Load] = {}
    async with AsyncExitStack() as stack:
        for number, name in enumerate((OURS, OBVIOUS)):
            config = place.config(f"connections-{number}")
            program = await stack.enter_async_context(ingress(place, config, name))
            loads |= {f"{name}, {count}": _Load(program, str(path), count) for count in (1, 16, 64, CONNECTIONS)}
        found = await _rounds(loads, effort, progress)
    note = "each connection sends its next request when it has its answer"
    return Part([Section("connections", "Cost against the number of connections", _rows(found), (note,))])


async def measure_endpoints(place: Place, effort: Effort, progress: Progress) -> Part:
    """Ours with 1, 100 and 10,000 endpoints, each of them under load; and 10,000 with the load on one."""
    counts = (1, 100, 10_000)
    async with AsyncExitStack() as stack:
        loads = {}
        for count in counts:
            path = place.folder / f"endpoints-{count}"
            write_requests(path, requests_of(count, BODY_BYTES))
            config = place.config(f"endpoints-{count}", endpoints=count)
            program = await stack.enter_async_context(ingress(place, config))
            loads[f"{count:,}"] = _Load(program, str(path))
        loads["10,000, load on one"] = _Load(loads["10,000"].program, loads["1"].requests)
        found = await _rounds(loads, effort, progress)
    one, many, known = (
        figure(result.cpu_us_each for result in found[name]) for name in ("1", "10,000", "10,000, load on one")
    )
    notes = (
        "at saturation, every endpoint in turn",
        "one endpoint is one key, so one partition with larger batches; 100 and 10,000 are on all 12",
    )
    return Part(
        [Section("endpoints", "Cost against the number of endpoints", _rows(found), notes)],
        [
            Bar("ingress CPU per delivery, 10,000 endpoints / 1", 1.1, ratio(many, one)),
            Bar("the same, load on one of the 10,000", 1.1, ratio(known, one)),
        ],
    )


async def measure_workers(place: Place, effort: Effort, progress: Progress) -> Part:
    """Ours as one process and as two workers, on all processors."""
    path = place.folder / "workers"
    write_requests(path, requests_of(4, BODY_BYTES))
    every = place.cores.server | place.cores.rest
    async with AsyncExitStack() as stack:
        loads = {}
        for name, more in (("1 worker", ()), ("2 workers", ("--workers", "2"))):
            config = place.config(name.replace(" ", "-"))
            program = await stack.enter_async_context(ingress(place, config, OURS, *more, cores=every))
            loads[name] = _Load(program, str(path))
        found = await _rounds(loads, effort, progress)
    one, two = (figure(result.per_second for result in found[name]) for name in loads)
    enough = len(every) >= _CORES_NEEDED
    measured = ratio(two, one)
    notes = (
        "the workers on all processors; broker and generator where they are in the rest of the report",
        f"two workers / one: {measured.median:.2f}",
    )
    bar = Bar("deliveries per second, 2 workers / 1", 1.7, measured, at_least=True)
    # On fewer the second worker has no processor of its own, and the figure says nothing of workers.
    return Part([Section("workers", "One worker and two", _rows(found), notes)], [bar] if enough else [])


async def _rounds(loads: Mapping[str, _Load], effort: Effort, progress: Progress) -> _Results:
    found: dict[str, list[Result]] = {name: [] for name in loads}
    for _ in range(effort.rounds):
        for name, load in loads.items():
            plan = Plan(
                port=load.program.settings.ingest.port,
                requests=load.requests,
                pids=load.program.pids,
                connections=load.connections,
                warm_up_s=0.5,
                measure_s=effort.measure_s,
            )
            found[name].append(await asyncio.to_thread(generate, plan))
            last = found[name][-1]
            progress(f"costs: {name}: {last.per_second:,.0f}/s, {last.cpu_us_each:.1f} us of CPU each")
    return found


def _rows(found: _Results) -> Rows:
    return {
        name: {
            "per second": figure(one.per_second for one in results),
            "CPU us each": figure(one.cpu_us_each for one in results),
            "p99 ms": figure(one.p99_ms for one in results),
            "not 200": figure(float(one.failed) for one in results),
        }
        for name, results in found.items()
    }
