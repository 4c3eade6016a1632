"""The machine that figures come from, in words."""

import os
import platform
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

from tests.bench.gauge import machine_cpu_us
from tests.bench.place import Place

_PACKAGES = ("aiohttp", "aiokafka", "orjson", "uvloop")


class Disturbance:
    """What others did on this machine from its making until it is asked."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._machine_us = machine_cpu_us()
        self._own_s = _own_s()

    def told(self) -> dict[str, str]:
        """How long it took, and how much of the processors went to others; ask when all of ours has ended."""
        took_s = time.monotonic() - self._began_s
        others_s = (machine_cpu_us() - self._machine_us) / 1e6 - (_own_s() - self._own_s)
        share = max(0.0, others_s / took_s / (os.cpu_count() or 1))
        return {
            "took": f"{took_s:.0f} s",
            "others": f"{share:.0%} of all processors worked for others meanwhile, the kernel and the host included",
        }


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


def _own_s() -> float:
    """Processor time of this process and of all its children that have ended, theirs included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _line(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").split("\n"):
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"
