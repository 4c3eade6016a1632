"""How often to commit: what a longer interval saves in processor time, and what it adds until an event is readable.

The default of `process.commit_interval_ms` is chosen from this curve.
"""

from dataclasses import dataclass

from tests.bench.gauge import cpu_us
from tests.bench.latency import Orders, measured_load, pair
from tests.bench.load.plan import Plan
from tests.bench.place import Place
from tests.bench.report.figures import figure, percentile
from tests.bench.report.report import Part, Progress, Section

_INTERVALS_MS = (0, 25, 50, 100, 200, 400)
_RATE = 500.0
# The first transactions also look for their coordinators.
_WARM_UP_S = 4.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long."""

    rounds: int
    measure_s: float


QUICK = Effort(rounds=1, measure_s=3.0)
FULL = Effort(rounds=3, measure_s=5.0)


@dataclass(frozen=True, slots=True)
class _Round:
    """One interval, once: milliseconds from answer to event, in order of size; CPU of the processor a delivery."""

    times_ms: list[float]
    cpu_us_each: float


async def measure(place: Place, effort: Effort, progress: Progress) -> Part:
    """Every interval in turn, at one rate."""
    rounds: dict[int, list[_Round]] = {interval: [] for interval in _INTERVALS_MS}
    for number in range(effort.rounds):
        for interval, found in rounds.items():
            found.append(await _round(place, interval, number, effort.measure_s))
            progress(
                f"intervals, round {number + 1} of {effort.rounds}: {interval} ms: "
                f"p99 {percentile(found[-1].times_ms, 0.99):.0f} ms, {found[-1].cpu_us_each:.0f} us of CPU each"
            )
    table = {
        f"{interval} ms": {
            "p50 ms": figure(percentile(one.times_ms, 0.5) for one in found),
            "p99 ms": figure(percentile(one.times_ms, 0.99) for one in found),
            "processor CPU us each": figure(one.cpu_us_each for one in found),
        }
        for interval, found in rounds.items()
    }
    notes = (f"{_RATE:.0f} deliveries a second on orders; from the answer 200 to the event readable in `orders`",)
    return Part([Section("intervals", "Commit interval", table, notes)])


async def _round(place: Place, interval_ms: int, number: int, measure_s: float) -> _Round:
    name = f"interval-{interval_ms}-{number}"
    orders = Orders(place.folder / name)
    count = int(_RATE * (_WARM_UP_S + measure_s) * 1.2) + 200
    async with pair(place, place.config(name, commit_interval_ms=interval_ms)) as (front, back):
        plan = Plan(
            port=front.settings.ingest.port,
            requests=orders.write(count),
            pids=front.pids,
            connections=64,
            warm_up_s=_WARM_UP_S,
            measure_s=measure_s,
            rate=_RATE,
            answers=str(place.folder / f"{name}-answers"),
            seed=number + 1,
        )
        before_us = cpu_us(back.pids)
        _, times_ms = await measured_load(plan, front.settings)
        delivered = len(times_ms) * (_WARM_UP_S + measure_s) / measure_s
        return _Round(times_ms, (cpu_us(back.pids) - before_us) / delivered)
