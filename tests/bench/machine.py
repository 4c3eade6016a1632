"""The machine that figures come from, in words."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from tests.bench.place import Place

_PACKAGES = ("aiohttp", "aiokafka", "orjson", "uvloop")


def describe(place: Place) -> dict[str, str]:
    """Processors, memory, system, versions, who runs where, and how busy it was before."""
    return {
        "processors": f"{os.cpu_count()} x {_line('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_line('/proc/meminfo', 'MemTotal').split()[0]) / 1_048_576:.1f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "kafka": "given by KAFKA=" if os.environ.get("KAFKA") else "Apache Kafka, one node, on this machine",
        "pinned": place.cores.sentence,
        "load before": f"{os.getloadavg()[0]:.2f} over the last minute",
    }


def _line(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").split("\n"):
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"
