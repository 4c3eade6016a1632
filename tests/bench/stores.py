"""What the memory of retries costs at volume, each figure beside its bar: `python -m tests.bench.stores`.

First the three candidates for the disk, in processes of their own; then our store, filled as from a changelog of busy
transactions, at work, closed, and opened again. Times are of CPU, so that other programs on the machine count little.
`--quick` takes a tenth of the keys, `--keys` as many as you say, `--ours` leaves out the candidates.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from processors.deliver.dedupe import DedupeStore
from processors.deliver.keys.buckets import bucket_key, bucket_value, tag_of
from processors.deliver.keys.local import KeyPlace
from processors.deliver.keys.rocksdb import DiskMemory
from processors.runtime.state_store import Change, LogExtent
from tests.bench.gauge import forget_peak, peak_rss_kib
from tests.bench.systems.candidates import CANDIDATES, is_there

_WINDOW_S = 432_000
_BEGAN_S = 1_700_000_000
_BUCKET = 500
_DELIVERIES = 40_000
_TRANSACTION = 100
_SMALL = 10_000
_KEYS = 50_000_000
_CANDIDATE_KEYS = 5_000_000


def buckets(keys: int) -> Iterator[Change]:
    """The changelog of so many deliveries over one window, without the oldest being over."""
    tag = tag_of("shop")
    for first in range(0, keys, _BUCKET):
        at = (_BEGAN_S + first * _WINDOW_S // keys).to_bytes(4)
        random = os.urandom(24 * _BUCKET)
        entries = [random[24 * one : 24 * one + 24] + (first + one).to_bytes(8) + at for one in range(_BUCKET)]
        yield bucket_key(first), bucket_value({tag: entries})


async def measure(keys: int, folder: Path) -> Mapping[str, float]:
    """Restores, works, closes and opens a store of so many keys."""
    store = DedupeStore(window_s=_WINDOW_S, place=KeyPlace(state_dir=folder, disk_memory=DiskMemory()))
    await store.open(LogExtent("bench", "deliver-state", 0, 0, 0))
    forget_peak([os.getpid()])
    restored_s = worst_s = 0.0
    for key, value in buckets(keys):
        began, cpu = time.perf_counter(), time.process_time()
        store.restore(key, value)
        await store.settle(600.0)
        restored_s += time.process_time() - cpu
        worst_s = max(worst_s, time.perf_counter() - began)
        store.changelog_offset += 1
    store.restored()
    work_s = await _work(store, keys)
    peak = peak_rss_kib([os.getpid()])
    await store.close()
    there = bytes_below(folder)
    began = time.perf_counter()
    await store.open(LogExtent("bench", "deliver-state", 0, 0, 2**40))
    opened_s = time.perf_counter() - began
    await store.close()
    return {
        "restored keys a CPU second": keys / restored_s,
        "longest step, ms": 1_000 * worst_s,
        "CPU us a delivery": 1_000_000 * work_s / _DELIVERIES,
        "MB of memory": peak / 1_024,
        "bytes of disk a key": there / keys,
        "opened again in s": opened_s,
    }


async def _work(store: DedupeStore, first: int) -> float:
    """CPU seconds for new deliveries: judged, remembered, committed."""
    cpu = time.process_time()
    for number in range(first, first + _DELIVERIES):
        sighting = store.judge(
            endpoint="shop", natural_key=str(number), body=b"body", offset=number, received_s=_BEGAN_S + _WINDOW_S
        )
        store.remember(sighting)
        if number % _TRANSACTION == _TRANSACTION - 1:
            store.changes()
            store.changelog_offset += 1
            store.commit()
            await store.settle()
    return time.process_time() - cpu


def bytes_below(folder: Path) -> int:
    """What the files of a folder take."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def _measured(module: str, *arguments: str) -> Mapping[str, float]:
    """The figures of one process of its own, in a folder that goes."""
    with tempfile.TemporaryDirectory(prefix="dropstream-stores-") as folder:
        command = [sys.executable, "-m", module, *arguments, folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say_candidates(keys: int) -> None:
    _say(f"\n{keys:,} keys of 16 bytes, values of 20, batches of 500, three slices")
    for name in CANDIDATES:
        if not is_there(name):
            _say(f"  {name}: left out, for it is not installed (pip install {name})")
            continue
        figures = _measured("tests.bench.systems.candidates", name, str(keys))
        _say("  " + name + ": " + "; ".join(f"{what} {value:,.1f}" for what, value in figures.items()))


def _say_ours(keys: int) -> None:
    small, large = (_measured("tests.bench.stores", "--measure", str(count)) for count in (_SMALL, keys))
    # A delivery costs the processors some 190 us of CPU beside this one's memory (docs/costs.md).
    step_us = 190.0
    share = (step_us + small["CPU us a delivery"]) / (step_us + large["CPU us a delivery"])
    _say(f"\nOur store with {keys:,} keys in one partition")
    bars = (
        ("throughput, as a share of that with 10,000 keys", share, "at least", 0.8),
        ("MB of memory of the process", large["MB of memory"], "at most", 400),
        ("bytes of disk a key", large["bytes of disk a key"], "at most", 80),
        ("opened again in s", large["opened again in s"], "at most", 2),
        ("restored keys a CPU second", large["restored keys a CPU second"], "at least", 300_000),
    )
    for what, value, way, bar in bars:
        reached = value >= bar if way == "at least" else value <= bar
        _say(f"  {what}: {value:,.2f} ({way} {bar:,}: {'reached' if reached else 'MISSED'})")
    _say(f"  CPU us a delivery: {small['CPU us a delivery']:.1f} with 10,000 keys, {large['CPU us a delivery']:.1f}")
    _say(f"  longest step of restoring, ms: {large['longest step, ms']:.1f}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--keys", type=int, default=_KEYS)
    parser.add_argument("--measure", nargs=2, metavar=("KEYS", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        _say(json.dumps(asyncio.run(measure(int(given.measure[0]), Path(given.measure[1])))))
        return
    part = 10 if given.quick else 1
    if not given.ours:
        _say_candidates(_CANDIDATE_KEYS // part)
    _say_ours(given.keys // part)


if __name__ == "__main__":
    main()
