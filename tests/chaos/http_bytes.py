"""Bytes at the open door, at length: tampered HTTP through real connections, a line of progress, one row at the end.

`python -m tests.chaos.http_bytes [--inputs N] [--seed S]`; `--only NUMBER` makes one input again, to look at it alone.
Then a flood of 12 bursts of 300 connections with 400 KB each, malformed, unfinished or for nobody, at a program of its
own. Ends with 1 if any law was broken: a 5xx, a traceback, a 200 for what is not exactly what was sent, or the reverse;
or if the program took 192 MB or more.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from tests.http.door import Door, Tally, quiet_logs
from tests.http.floods import FLOODS, MEMORY_KIB_MAX, SIZE, flood
from tests.http.inputs import make_input

SEED = 20_261_121
_TOGETHER = 64
_PART = 2_000
_BURSTS = 12
_CONNECTIONS = 300


def progress(tally: Tally, *, inputs: int, began_at: float) -> str:
    """How far it is, how fast, and how long still."""
    rate = tally.inputs / max(time.perf_counter() - began_at, 0.001)
    left = (inputs - tally.inputs) / rate
    return f"{tally.inputs:>10,} of {inputs:,}  {rate:>6,.0f} a second  {left / 60:>5.1f} min left"


async def run(numbers: range, seed: int) -> Tally:
    """Feeds them all, in parts, so that what a part left open is noticed there."""
    tally, began_at = Tally(), time.perf_counter()
    with quiet_logs(tally):
        door = Door()
        for start in range(numbers.start, numbers.stop, _PART):
            part: Iterable[int] = range(start, min(start + _PART, numbers.stop))
            await door.feed_all(part, seed=seed, tally=tally, together=_TOGETHER)
            line = progress(tally, inputs=len(numbers), began_at=began_at)
            print(line, end="\r" if sys.stdout.isatty() else "\n", flush=True)  # noqa: T201
        await door.close()
    return tally


def report(tally: Tally, seconds: float, seed: int) -> None:
    """Each broken law with its input; then the row."""
    for number, law in tally.broken[:20]:
        content = make_input(seed, number).content if number >= 0 else b""
        print(f"BROKEN  seed {seed}  input {number}: {law[:2_000]}\n        {content[:2_000]!r}")  # noqa: T201
    statuses = "  ".join(f"{status}: {many:,}" for status, many in sorted(tally.answers.items()))
    failures = sum(many for status, many in tally.answers.items() if status >= 500)
    row = f"inputs {tally.inputs:,} in {seconds:,.0f} s ({tally.inputs / seconds:,.0f} a second)  answers {statuses}"
    row += f"  5xx {failures}  tracebacks {tally.tracebacks}"
    print(f"{row}  deliveries {tally.deliveries:,}  laws broken {len(tally.broken)}")  # noqa: T201


def flooded() -> int:
    """The most memory that the flooded program took, in KiB; told in a row."""
    with TemporaryDirectory() as name:
        peak = uvloop.run(flood(Path(name), list(FLOODS.values()), bursts=_BURSTS, together=_CONNECTIONS))
    row = f"flood: {_BURSTS} bursts of {_CONNECTIONS} connections with {SIZE:,} bytes each"
    print(f"{row}  peak {peak / 1_024:.1f} MB of {MEMORY_KIB_MAX / 1_024:.0f}")  # noqa: T201
    return peak


def main() -> int:
    """Whether all laws were kept, as an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", type=int, help="the number of one input, to look at it alone")
    given = parser.parse_args()
    numbers = range(given.inputs) if given.only is None else range(given.only, given.only + 1)
    began_at = time.perf_counter()
    tally = uvloop.run(run(numbers, given.seed))
    report(tally, time.perf_counter() - began_at, given.seed)
    return 0 if tally.clean and (given.only is not None or flooded() < MEMORY_KIB_MAX) else 1


if __name__ == "__main__":
    sys.exit(main())
