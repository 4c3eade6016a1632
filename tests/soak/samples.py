"""What a soak follows while it runs: memory, open files and processor time of each program, and bytes on disk."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.gauge import cpu_us, rss_kib

_BLOCK_BYTES = 512
# What a program may grow by in the second half and still counts as flat: a share of it, and some pages of an allocator.
_GROWTH_SHARE = 0.05
_GROWTH_MIB = 8.0
_FILES_MORE = 8


@dataclass(frozen=True, slots=True)
class ProgramSample:
    """One program with its workers: memory in MiB, open files, processor time in seconds since its start."""

    memory_mib: float
    files: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class SoakSample:
    """All of it `at_s` seconds after the load began, when `due` deliveries had been; `disk_mib` by what lies there."""

    at_s: float
    due: int
    programs: Mapping[str, ProgramSample]
    disk_mib: Mapping[str, float]


def sample_program(pids: Sequence[int]) -> ProgramSample:
    """The program with these processes now; one that ended meanwhile counts as nothing."""
    alive = [pid for pid in pids if Path(f"/proc/{pid}/fd").exists()]
    files = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in alive)
    return ProgramSample(rss_kib(alive) / 1024, files, cpu_us(alive) / 1e6)


def disk_mib(kafka: Path, spool: Path) -> dict[str, float]:
    """MiB that are really used: by topics, by changelogs and by the rest of Kafka, and by the spool."""
    found = {"topics": 0.0, "changelogs": 0.0, "Kafka's own": 0.0, "spool": 0.0}
    for folder, is_spool in ((kafka, False), (spool, True)):
        for path in folder.rglob("*") if folder.exists() else ():
            try:
                used = path.stat().st_blocks * _BLOCK_BYTES / 1_048_576 if path.is_file() else 0.0
            except FileNotFoundError:  # Kafka has deleted the segment meanwhile.
                continue
            found["spool" if is_spool else _kind(path.parent.name)] += used
    return found


def _kind(folder: str) -> str:
    topic, _, number = folder.rpartition("-")
    if not number.isdigit() or topic.startswith("__"):
        return "Kafka's own"
    return "changelogs" if topic.endswith("-state") else "topics"


@dataclass(frozen=True, slots=True)
class Trend:
    """A figure in the second and in the last quarter of the load (medians); the first one warms up."""

    early: float
    late: float
    allowed: float

    @property
    def flat(self) -> bool:
        """Whether the last quarter is not above the second one by more than noise."""
        return self.late <= self.early + self.allowed


def trends(samples: Sequence[SoakSample], program: str) -> dict[str, Trend]:
    """Memory and open files of a program over the load.

    Raises:
        ValueError: there are fewer than four samples.
    """
    if len(samples) < 4:
        raise ValueError("four samples make four quarters")
    quarter = len(samples) // 4
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]
    early, late = (median(one.programs[program].memory_mib for one in part) for part in (second, last))
    files = [median(float(one.programs[program].files) for one in part) for part in (second, last)]
    return {
        "memory MiB": Trend(early, late, max(_GROWTH_MIB, _GROWTH_SHARE * early)),
        "open files": Trend(files[0], files[1], _FILES_MORE),
    }


def now_s() -> float:
    """Seconds of the monotonic clock."""
    return time.monotonic()
