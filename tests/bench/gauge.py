"""What Linux says of a process: its processor time and its memory; and of the whole machine."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


def cpu_us(pids: Iterable[int]) -> int:
    """User and system time of these processes, all threads, in microseconds; in steps of the clock tick (10 ms)."""
    return sum(_ticks(pid) for pid in pids) * _TICK_US


def machine_cpu_us() -> int:
    """What all processors together have worked so far, for anybody, time stolen by the host included."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) * _TICK_US


def rss_kib(pids: Iterable[int]) -> int:
    """The resident memory of these processes now."""
    return sum(_status(pid, "VmRSS") for pid in pids)


def peak_rss_kib(pids: Iterable[int]) -> int:
    """The largest resident memory of these processes since `forget_peak`."""
    return sum(_status(pid, "VmHWM") for pid in pids)


def forget_peak(pids: Iterable[int]) -> None:
    """The peak begins anew from what is resident now."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def family(pid: int) -> tuple[int, ...]:
    """The process and its children, the workers of a parent."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (pid, *map(int, children))


def _ticks(pid: int) -> int:
    # Behind the name, which may hold anything; user is field 14 of the whole, system 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().split("\n"):
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
