"""Reads the orders and the gaps of dropstream: prints a line per order event, and what is missing; ends with Ctrl-C.

An example to copy from. It reads committed records only, goes on where its group stood (or where --from says), drops
repeats by id, says which events came late and which a replay brings again, and commits after it has acted: what it did
last may come once more after a crash, and is then a repeat.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, KafkaConnectionError, KafkaError, OffsetOutOfRangeError
from dropstream_events.events import Event, OrderData, read_event
from dropstream_events.gaps import Missing, read_gap
from dropstream_events.memory import LastTimes, RecentIds
from placement import Placement, Start

_FETCH_TIMEOUT_MS = 500
_RECORDS_MAX = 500
_RUNS_SHOWN_MAX = 10


class CannotGoOnError(Exception):
    """The program ends with 1; the text says why."""


@dataclass(slots=True)
class Orders:
    """What is done with each record: the part that a service replaces by its own work."""

    ids: RecentIds = field(default_factory=RecentIds)
    times: LastTimes = field(default_factory=LastTimes)
    missing: Missing = field(default_factory=Missing)
    shown: int = 0
    repeats: int = 0
    unreadable: int = 0

    def take_order(self, record: ConsumerRecord[bytes, bytes]) -> None:
        """Prints the event, unless it is a repeat."""
        try:
            event = read_event(record.value or b"")
        except ValueError as error:
            self.pass_over(record, error)
            return
        taken = self.ids.take(event.id, event.replay)
        if taken == "repeat":
            self.repeats += 1
            return
        self.shown += 1
        # Of a late event, keep what it tells of the past; never let it overwrite what is newer. What a replay brings
        # again may be corrected: write it over what its id led to. Who must act only once drops that one too.
        age = "late" if self.times.is_late(record.key, event) else taken
        print(order_line(event, (record.key or b"").decode("utf-8", "replace"), age), flush=True)

    def take_gap(self, record: ConsumerRecord[bytes, bytes]) -> None:
        """Prints what the endpoint lacks now: until it comes or is fetched from the provider, orders have holes."""
        try:
            gap = read_gap(record.value or b"")
        except ValueError as error:
            self.pass_over(record, error)
            return
        self.missing.take(gap)
        runs = " ".join(f"{first}-{last}" for first, last in self.missing.runs(gap.endpoint)[:_RUNS_SHOWN_MAX])
        count = self.missing.count(gap.endpoint)
        print(f"gap {gap.endpoint} {gap.state} {gap.first}-{gap.last}, {count} missing: {runs or 'none'}", flush=True)

    def pass_over(self, record: ConsumerRecord[bytes, bytes], why: ValueError) -> None:
        """Says where something lies that cannot be read; what comes after it is not held up."""
        self.unreadable += 1
        tell(f"passed over: {record.topic} {record.partition}:{record.offset} {why}")


def order_line(event: Event, key: str, age: str) -> str:
    """The event on one line: time, how far to trust it, new, late or again, key, what happened, status."""
    trust = {"exact": "exact", "received": "received"}.get(event.timequality, f"{event.timequality}+-1h")
    status = event.data.status if isinstance(event.data, OrderData) else None
    what = event.type.removeprefix("dropstream.")
    return f"order {event.time:%Y-%m-%dT%H:%M:%SZ} {trust} {age} {key} {what} {status or '-'}"


async def read(
    consumer: AIOKafkaConsumer, placement: Placement, orders: Orders, topic: str, stopping: asyncio.Event
) -> None:
    """Takes records and commits them, until it is told to stop; a batch that was begun is finished."""
    while not stopping.is_set():
        await placement.place()
        try:
            batches = await consumer.getmany(timeout_ms=_FETCH_TIMEOUT_MS, max_records=_RECORDS_MAX)
        except OffsetOutOfRangeError as error:
            places = ", ".join(f"{one.partition}:{offset}" for one, offset in error.args[0].items())
            raise CannotGoOnError(f"there is nothing at {places}; say with --from where to go on") from error
        for partition, records in batches.items():
            for record in records:
                if partition.topic == topic:
                    orders.take_order(record)
                else:
                    orders.take_gap(record)
        done = {one: records[-1].offset + 1 for one, records in batches.items() if one.topic == topic}
        # Another member has the partition now, and shows these again: the group has no memory of ids in common.
        with suppress(CommitFailedError):
            await consumer.commit(done) if done else None


async def run(arguments: argparse.Namespace) -> None:
    """The program, from the first connection to the last commit."""
    topic, gaps = arguments.prefix + "orders", arguments.prefix + "gaps"
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    orders = Orders()
    client = AIOKafkaAdminClient(bootstrap_servers=arguments.kafka)
    try:
        await client.start()
        await check(client, topic, gaps, arguments)
        async with AIOKafkaConsumer(
            bootstrap_servers=arguments.kafka,
            group_id=arguments.group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            # After the loss of a leader a position can be out of range: a client that then begins anew reads all again.
            auto_offset_reset="none",
        ) as consumer:
            placement = Placement(consumer, client, group=arguments.group, gaps=gaps, start=arguments.start)
            consumer.subscribe([topic, gaps], listener=placement)
            await read(consumer, placement, orders, topic, stopping)
    finally:
        await client.close()
    tell(f"stopped: {orders.shown} shown, {orders.repeats} repeats dropped, {orders.unreadable} passed over")


async def check(client: AIOKafkaAdminClient, orders: str, gaps: str, arguments: argparse.Namespace) -> None:
    """Whether there is what is to be read.

    Raises:
        CannotGoOnError: with what is missing.
    """
    described = await client.describe_topics([orders, gaps])
    partitions = {one["topic"]: len(one["partitions"]) for one in described if not one["error_code"]}
    if missing := {orders, gaps} - partitions.keys():
        raise CannotGoOnError(f"{arguments.kafka} has no topic {' and '.join(sorted(missing))}; is --prefix right?")
    start: Start = arguments.start
    if isinstance(start, tuple) and start[0] >= partitions[orders]:
        raise CannotGoOnError(f"{orders} has no partition {start[0]}")


def parse_start(text: str) -> Start:
    """The place that `beginning`, a time, or PARTITION:OFFSET names; a time without a zone is this machine's."""
    if text == "beginning":
        return text
    if match := re.fullmatch(r"(\d{1,9}):(\d{1,18})", text, re.ASCII):
        return int(match[1]), int(match[2])
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is none of: beginning, a time such as 2026-05-21T14:00:00Z, PARTITION:OFFSET"
        raise argparse.ArgumentTypeError(message) from error


def tell(text: str) -> None:
    """Says something about the work itself, apart from its results."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """0 when it was stopped, 1 when it cannot go on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kafka", default=os.environ.get("KAFKA", "127.0.0.1:9092"), metavar="HOST:PORT")
    parser.add_argument("--prefix", default="dropstream.", help="what the names of topics begin with")
    parser.add_argument("--group", default="orders-example", help="the consumer group")
    parser.add_argument("--from", dest="start", type=parse_start, metavar="beginning|TIME|P:OFFSET")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments))
    except KafkaConnectionError:
        tell(f"cannot reach Kafka at {arguments.kafka}")
        return 1
    except (CannotGoOnError, KafkaError) as error:
        tell(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
