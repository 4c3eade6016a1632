"""`python -m tests.bench.deliveries`: how soon the console's list and searches answer over a long history.

Each delivery of the history has an id that tells its time of receipt, and what it led to was written a moment later, as
the processors do. Every question is asked several times; the first line of its answer and its end are timed.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from uuid import UUID

from ops.deliveries.listing import DeliveryQuery, Ended, Found, Looked, open_listing
from ops.deliveries.summary import DeliveryOutcome
from ops.deliveries.words import read_words
from ops.kafka.topics import apply
from schemas.delivery import Delivery
from schemas.settings import Settings
from schemas.times import timestamp_ms
from tests.bench.audit import history, write
from tests.bench.place import place, read_settings

_WRITTEN_AFTER_MS = 30


@dataclass(frozen=True, slots=True)
class Question:
    """A query with its name; `bar_s` is when its first line should be there."""

    name: str
    query: DeliveryQuery
    bar_s: float | None = None


def timed_ids(deliveries: Iterator[Delivery]) -> Iterator[Delivery]:
    """The deliveries with ids as the ingress makes them: UUIDv7 of the time of receipt."""
    for number, one in enumerate(deliveries):
        yield replace(one, id=id_at(timestamp_ms(one.received_at), number))


def id_at(at_ms: int, number: int) -> str:
    """A UUIDv7 of that time (RFC 9562, section 5.7); `number` stands for its random bits."""
    low = number & ((1 << 62) - 1)
    return str(UUID(int=at_ms << 80 | 0x7 << 76 | 0b10 << 62 | low))


async def ask(settings: Settings, query: DeliveryQuery) -> tuple[float | None, float, int, str]:
    """Seconds to the first delivery (None for none) and to the end; how many were found, and how it ended."""
    began, first, count, read, end = time.monotonic(), None, 0, 0, ""
    async with open_listing(settings) as listing:
        async for step in listing.run(query):
            if isinstance(step, Found):
                first = first or time.monotonic() - began
                count += 1
            elif isinstance(step, Looked):
                read = step.done
            elif isinstance(step, Ended):
                end = "all was looked at" if step.next_until_ms is None else f"{read:,} records of the last topic"
    return first, time.monotonic() - began, count, end


async def measure(settings: Settings, count: int, rounds: int) -> None:
    """Asks every question in turns, and prints a line for each."""
    looked_for = {count // 2, count - 9_999}
    middle, late = (one for number, one in enumerate(timed_ids(history(count))) if number in looked_for)
    unused_id = id_at(timestamp_ms(late.received_at), count)
    prefix = settings.kafka.topic_prefix
    questions = [
        Question("the newest", DeliveryQuery(), 1.0),
        Question("one endpoint's newest", DeliveryQuery(endpoint="dropea"), 1.0),
        Question("the newest retries", DeliveryQuery(outcome=DeliveryOutcome.RETRY), 1.0),
        Question("an hour in the middle", DeliveryQuery(until_ms=timestamp_ms(middle.received_at)), 1.0),
        Question("a delivery's id, of the middle", DeliveryQuery(words=read_words(middle.id, prefix)), 2.0),
        Question("a delivery's id, of nobody", DeliveryQuery(words=read_words(unused_id, prefix))),
        Question("an id that is nowhere", DeliveryQuery(words=read_words("nobody-ever", prefix))),
    ]
    times: dict[str, list[tuple[float | None, float, int, str]]] = {one.name: [] for one in questions}
    for _ in range(rounds):
        for one in questions:
            times[one.name].append(await ask(settings, one.query))
    for one in questions:
        firsts = [first for first, *_ in times[one.name] if first is not None]
        shown = f"{median(firsts):.2f} s" if firsts else "none"
        bar = f" (bar {one.bar_s:.0f})" if one.bar_s else ""
        _, end_s, found, end = times[one.name][0]
        print(f"{one.name:<31} first {shown:>7}{bar:<9} end {end_s:5.1f} s  {found:3} found, {end}", flush=True)  # noqa: T201


async def run(count: int, rounds: int) -> None:
    async with place() as found:
        settings = read_settings(found.config("deliveries"))
        await apply(settings)
        began = time.monotonic()
        await write(settings, count, made=timed_ids(history(count)), written_after_ms=_WRITTEN_AFTER_MS)
        print(f"{count:,} deliveries written in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
        await measure(settings, count, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.deliveries")
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(run(given.deliveries, given.rounds))


if __name__ == "__main__":
    main()
