"""When an open-loop generator sends: at times fixed beforehand, whatever the answers do. Pure."""

import random
from collections.abc import Iterator


def arrivals_ns(rate_per_second: float, *, seed: int) -> Iterator[int]:
    """Times in nanoseconds from the start, without end, as of many independent senders (Poisson); seeded."""
    chance = random.Random(seed)  # noqa: S311 a seeded schedule
    at_s = 0.0
    while True:
        at_s += chance.expovariate(rate_per_second)
        yield int(at_s * 1_000_000_000)
