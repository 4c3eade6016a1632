"""How fast `dropstream replay` goes, where there is one."""

import asyncio
import os
import sys
import time

from ops.kafka.topics import apply
from tests.bench.place import SECRET, Place, read_settings
from tests.bench.report.figures import figure
from tests.bench.report.report import Part, Progress, Section
from tests.support.checkout import ROOT
from tests.support.processing import deliveries, put

_WITHIN_S = 300.0


async def measure(place: Place, count: int, progress: Progress) -> Part:
    """Deliveries a second of one replay into topics of its own, its start included."""
    if await _run("replay", "--help") is not None:
        return Part([Section("replay", "Replay", {}, ("not there yet",))])
    config = place.config("replay")
    settings = read_settings(config)
    await apply(settings)
    await put(settings, deliveries(count))
    began = time.monotonic()
    fault = await _run("replay", "--config", str(config), "--into", "bench", "--yes")
    if fault is not None:
        return Part([Section("replay", "Replay", {}, (f"not run: {fault}",))])
    rate = count / (time.monotonic() - began)
    progress(f"replay: {rate:,.0f}/s")
    return Part(
        [
            Section(
                "replay", "Replay", {f"{count:,} deliveries": {"per second": figure([rate])}}, ("its start included",)
            )
        ]
    )


async def _run(*arguments: str) -> str | None:
    """None, or the last line of what went wrong."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", *arguments),
        cwd=ROOT,
        env={**os.environ, "SECRET": SECRET},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"it took more than {_WITHIN_S:.0f} s"
    lines = said.decode(errors="replace").strip().split("\n")
    return None if process.returncode == 0 else lines[-1][:200]
