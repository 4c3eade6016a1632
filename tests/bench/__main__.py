"""`python -m tests.bench`: the whole benchmark, one report. A report is no test: it ends with 0 either way."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from subprocess import SubprocessError

from schemas.errors import DropstreamError
from tests.bench import compression, costs, engine, ingress, intervals, latency, processors, replay, restore, spool
from tests.bench.machine import Disturbance, describe
from tests.bench.place import Place, place
from tests.bench.report.chart import chart
from tests.bench.report.report import Part, Progress, Report, Section, as_json, text
from tests.support.checkout import ROOT

# A program that does not start or ends, a broker that refuses (aiokafka's errors are RuntimeErrors), time that is up.
_FAULTS = (DropstreamError, RuntimeError, TimeoutError, OSError, SubprocessError)
# What a shell calls it when Ctrl-C ended a program.
_ENDED = 130
OUTPUT = ROOT / ".dropstream" / "bench"


async def _ingress(place: Place, progress: Progress, *, quick: bool) -> Part:
    effort = ingress.QUICK if quick else ingress.FULL
    return await ingress.measure(place, effort, progress)


async def _processors(place: Place, progress: Progress, *, quick: bool) -> Part:
    effort = processors.QUICK if quick else processors.FULL
    return processors.part_of(await processors.measure(place, effort, progress), effort)


async def _latency(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await latency.measure(place, latency.QUICK if quick else latency.FULL, progress)


async def _engine(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await engine.measure(place, engine.QUICK if quick else engine.FULL, progress)


async def _intervals(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await intervals.measure(place, intervals.QUICK if quick else intervals.FULL, progress)


async def _compression(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await compression.measure(place, compression.QUICK if quick else compression.FULL, progress)


async def _spool(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await spool.measure(place, spool.QUICK if quick else spool.FULL, progress)


async def _bodies(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await costs.measure_bodies(place, costs.QUICK if quick else costs.FULL, progress)


async def _connections(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await costs.measure_connections(place, costs.QUICK if quick else costs.FULL, progress)


async def _endpoints(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await costs.measure_endpoints(place, costs.QUICK if quick else costs.FULL, progress)


async def _workers(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await costs.measure_workers(place, costs.QUICK if quick else costs.FULL, progress)


async def _restore(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await restore.measure(place, restore.QUICK_KEYS if quick else restore.FULL_KEYS, progress)


async def _replay(place: Place, progress: Progress, *, quick: bool) -> Part:
    return await replay.measure(place, 4_000 if quick else 20_000, progress)


PARTS: Mapping[str, Callable[..., Awaitable[Part]]] = {
    "ingress": _ingress,
    "processors": _processors,
    "latency": _latency,
    "intervals": _intervals,
    "engine": _engine,
    "compression": _compression,
    "spool": _spool,
    "bodies": _bodies,
    "connections": _connections,
    "endpoints": _endpoints,
    "workers": _workers,
    "restore": _restore,
    "replay": _replay,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some five minutes, with wider spread")
    parser.add_argument("--only", action="append", choices=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--publish", action="store_true", help="writes bench.json and bench.svg into docs/ too")
    given = parser.parse_args()
    if not hasattr(os, "sched_setaffinity"):
        sys.exit("the benchmark needs Linux: processor times and memory come from /proc")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    report = Report({}, [])
    code = 0
    try:
        asyncio.run(run(given.only or list(PARTS), report, quick=given.quick))
    except DropstreamError as error:
        sys.exit(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = _ENDED
    tell(text(report))
    for folder in (OUTPUT, *((ROOT / "docs",) if given.publish and not code else ())):
        write(report, folder)
    sys.exit(code)


async def run(names: Sequence[str], report: Report, *, quick: bool) -> None:
    """Measures these parts into `report`; ended early, by Ctrl-C or SIGTERM, it holds those that were done."""
    main = asyncio.current_task()
    if main is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
    began = time.monotonic()

    def progress(step: str) -> None:
        tell(f"{time.monotonic() - began:6.1f} s  {step}")

    progress("starting Apache Kafka")
    disturbance = Disturbance()
    try:
        async with place() as found:
            report.machine.update(describe(found))
            for name in names:
                report.parts.append(await _part(name, found, progress, quick=quick))
    finally:
        report.machine.update(disturbance.told())


async def _part(name: str, place: Place, progress: Progress, *, quick: bool) -> Part:
    """What a part gives; or why it gave nothing, for the others are worth their figures."""
    try:
        return await PARTS[name](place, progress, quick=quick)
    except _FAULTS as error:
        reason = str(error).strip() or type(error).__name__
        progress(f"{name}: not run: {reason}")
        return Part([Section(name, name.capitalize(), {}, (f"not run: {reason}",))])


def write(report: Report, folder: Path) -> None:
    """`bench.json` and `bench.svg` in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.svg").write_text(chart(report), encoding="utf-8")
    (folder / "bench.json").write_text(json.dumps(as_json(report), indent=2) + "\n", encoding="utf-8")


def tell(line: str) -> None:
    """To the terminal, at once."""
    print(line, flush=True)  # noqa: T201 this is what the program is for


if __name__ == "__main__":
    main()
