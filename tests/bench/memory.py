"""`python -m tests.bench.memory`: whether an ingress grows while it serves, over many deliveries with Kafka there.

With `--skus 10000`: what one delivery with the stock of so many SKUs costs it, in time and memory.

The bar: after the warm-up, the first tenth, resident memory grows by less than 10 MB. Writes `memory.json` and
`memory.svg` into `.dropstream/bench`.
"""

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

import aiohttp

from tests.bench.gauge import forget_peak, peak_rss_kib, rss_kib
from tests.bench.ingress import BODY_BYTES, ingress, requests_of
from tests.bench.load.plan import Plan, generate
from tests.bench.load.requests import write_requests
from tests.bench.place import place
from tests.bench.report.figures import figure
from tests.bench.report.report import Bar, Part, Report, Section, text
from tests.support.checkout import ROOT

_STEPS = 50
_STEP_S = 600.0
_BODIES = 20
_OUTPUT = ROOT / ".dropstream" / "bench"


@dataclass(frozen=True, slots=True)
class Reading:
    """Resident memory after so many deliveries, and its peak on the way there, in MB."""

    deliveries: int
    rss_mb: float
    peak_mb: float


async def measure(deliveries: int) -> list[Reading]:
    """A reading after every fiftieth of the deliveries, from before the first one."""
    readings: list[Reading] = []
    async with place() as found:
        path = found.folder / "requests"
        write_requests(path, requests_of(4, BODY_BYTES))
        async with ingress(found, found.config("memory")) as program:
            pids = program.pids
            plan = Plan(
                port=program.settings.ingest.port,
                requests=str(path),
                pids=pids,
                warm_up_s=0.0,
                measure_s=_STEP_S,
                count=max(1, deliveries // _STEPS),
            )
            sent = 0
            forget_peak(pids)
            while sent < deliveries:
                readings.append(Reading(sent, rss_kib(pids) / 1024, peak_rss_kib(pids) / 1024))
                result = await asyncio.to_thread(generate, plan)
                if result.failed:
                    raise RuntimeError(f"{result.failed} were not answered 200")
                sent += plan.count
                print(f"{sent:>9,}  {rss_kib(pids) / 1024:6.1f} MB", flush=True)  # noqa: T201
            readings.append(Reading(sent, rss_kib(pids) / 1024, peak_rss_kib(pids) / 1024))
    return readings


def growth_mb(readings: Sequence[Reading]) -> float:
    """How much larger the last reading is than the one after the first tenth."""
    return readings[-1].rss_mb - readings[-(-(len(readings) - 1) // 10)].rss_mb


def curve(readings: Sequence[Reading]) -> str:
    """The readings as a picture, from 0."""
    width, height, left, bottom = 720, 240, 56, 28
    across = (width - left - 16) / max(1, readings[-1].deliveries)
    up = (height - bottom - 24) / max(one.peak_mb for one in readings)
    points = " ".join(
        f"{left + one.deliveries * across:.1f},{height - bottom - one.rss_mb * up:.1f}" for one in readings
    )
    last = readings[-1]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="#808690" role="img">\n<title>Memory of an ingress</title>\n'
        f'<path d="M{left} 16V{height - bottom}H{width - 16}" fill="none" stroke="#808690"/>\n'
        f'<polyline points="{points}" fill="none" stroke="#2f81f7" stroke-width="2"/>\n'
        f'<text x="{left}" y="12">resident memory, MB: {readings[0].rss_mb:.0f} at first, {last.rss_mb:.0f} at last, '
        f"peak {max(one.peak_mb for one in readings):.0f}</text>\n"
        f'<text x="{left}" y="{height - 8}">0</text>\n'
        f'<text x="{width - 16}" y="{height - 8}" text-anchor="end">{last.deliveries:,} deliveries</text>\n</svg>\n'
    )


def stock_body(skus: int) -> bytes:
    """The stock of so many SKUs in one webhook of ShipStream, with all that its page shows of each."""
    figures = {"qty_expected": 0, "qty_processed": 0, "qty_putaway": 0, "qty_available": 7, "qty_backordered": 0}
    figures |= {"qty_advertised": 7, "qty_on_hand": 7, "qty_adjust": -1}
    stock = {f"SHOP-{number:06}": figures for number in range(skus)}
    message = {"webhook_increment_id": 1, "event_timestamp": "2026-05-21T14:00:00Z", "stock_adjustments": stock}
    return json.dumps({"topic": "inventory:adjusted", "message": message}, separators=(",", ":")).encode()


async def measure_one_body(body: bytes) -> tuple[float, float]:
    """How long its answer takes, in ms, the median of twenty; and the memory that it takes at the peak, in MB."""
    times_ms: list[float] = []
    async with place() as found, ingress(found, found.config("memory")) as program:
        url = f"http://127.0.0.1:{program.settings.ingest.port}/webhooks/shipstream"
        async with aiohttp.ClientSession() as http:
            for number in range(_BODIES + 1):
                began = time.perf_counter()
                async with http.post(url, data=body) as answer:
                    if answer.status != 200:
                        raise RuntimeError(f"answered {answer.status}")
                times_ms.append(1_000 * (time.perf_counter() - began))
                if not number:
                    # The first one loads what is loaded once.
                    idle_kib = rss_kib(program.pids)
                    forget_peak(program.pids)
        return median(times_ms[1:]), (peak_rss_kib(program.pids) - idle_kib) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory")
    parser.add_argument("--deliveries", type=int, default=500_000)
    parser.add_argument("--skus", type=int, help="Instead: one delivery with the stock of so many SKUs.")
    given = parser.parse_args()
    if given.skus:
        body = stock_body(given.skus)
        took_ms, peak_mb = asyncio.run(measure_one_body(body))
        print(f"{given.skus:,} SKUs, {len(body):,} bytes: answered in {took_ms:.0f} ms, {peak_mb:.1f} MB at the peak")  # noqa: T201
        return
    if given.deliveries < _STEPS:
        parser.error(f"--deliveries must be {_STEPS} or more")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    readings = asyncio.run(measure(given.deliveries))
    _OUTPUT.mkdir(parents=True, exist_ok=True)
    (_OUTPUT / "memory.json").write_text(json.dumps([asdict(one) for one in readings], indent=2) + "\n")
    (_OUTPUT / "memory.svg").write_text(curve(readings))
    bar = Bar("growth after the first tenth, MB", 10.0, figure([growth_mb(readings)]))
    rows = {
        f"{one.deliveries:,}": {"RSS MB": figure([one.rss_mb]), "peak MB": figure([one.peak_mb])}
        for one in readings[:: max(1, len(readings) // 5)]
    }
    section = Section("memory", "Memory of an ingress, after so many deliveries", rows)
    print(text(Report({}, [Part([section], [bar])])))  # noqa: T201


if __name__ == "__main__":
    main()
