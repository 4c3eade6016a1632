"""Reads topics as any outsider would: committed records only, without a group, from a position that a person names.

`open_reader` is positioned when it is entered, so that what is written afterwards is seen; nothing is shown here.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from ops.kafka.clients import REQUEST_TIMEOUT_MS, consumer
from ops.kafka.partitions import held_back, readable_partitions_of, written_ends
from ops.progress import Meter
from ops.times import EXAMPLES, parse_time
from schemas.errors import DropstreamError
from schemas.kafka.answers import last_answer_at
from schemas.records import RawRecord, raw_record
from schemas.settings import Settings
from schemas.times import timestamp_ms
from schemas.topics import TOPICS

_FETCH_TIMEOUT_MS = 500
_RECORDS_PER_FETCH_MAX = 1_000
# Longer than a broker takes to start again. A consumer says nothing by itself while the cluster is away.
_SILENT_S_MAX = 60.0
# Longer than Kafka takes to end the transaction of a dead process: it looks for those that are over every 10 s.
_TRANSACTION_OVER_S = 60.0
_OFFSET_PATTERN = re.compile(r"(\d{1,9}):(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AtOffset:
    """One partition, from an offset on; the other partitions are not read."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class AtOffsets:
    """These partitions, each from an offset on; the other partitions are not read."""

    offsets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Newest:
    """At most so many of the newest records of each partition."""

    records: int


# A datetime (aware) is the first record of each partition that is not older.
Start = Literal["beginning", "latest"] | datetime | AtOffset | AtOffsets | Newest


def parse_start(text: str) -> Start:
    """The start that `beginning`, `latest`, a time (`ops.times.parse_time`) or `P:OFFSET` names.

    Raises:
        ValueError: with what is allowed.
    """
    if text == "beginning":
        return "beginning"
    if text == "latest":
        return "latest"
    if match := _OFFSET_PATTERN.fullmatch(text):
        return AtOffset(int(match[1]), int(match[2]))
    try:
        return parse_time(text)
    except ValueError as error:
        raise ValueError(f"is none of: beginning, latest, P:OFFSET, {EXAMPLES}") from error


def full_name(topic: str, settings: Settings) -> str:
    """The topic's name on the cluster: the prefix goes before a short name of the table, and before that of a copy
    (`orders.SUFFIX`); any other stays as it is.
    """
    return settings.kafka.topic_prefix + topic if base_name(topic) in {one.name for one in TOPICS} else topic


def base_name(topic: str) -> str:
    """The short name without the suffix of a replay: `orders` for `orders.SUFFIX`."""
    return topic.partition(".")[0]


class TopicReader:
    """A position in some topics; made by `open_reader`."""

    def __init__(
        self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], *, held_s_max: float = _SILENT_S_MAX
    ) -> None:
        self._consumer = consumer
        self._ends = ends
        self._held_s_max = held_s_max
        self._left: Mapping[TopicPartition, int] = {}
        self._answered_at = self._moved_at = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since any node of the cluster last answered."""
        self._answered_at = max(self._answered_at, last_answer_at(self._consumer) or 0.0)
        return time.monotonic() - self._answered_at

    async def fetch(self, *, silent_s_max: float = _SILENT_S_MAX) -> list[RawRecord]:
        """The next records, in order within a partition; empty when none came for half a second.

        Raises:
            DropstreamError: nothing comes because the cluster has not answered for `silent_s_max`.
        """
        return [raw_record(one) for one in await self.fetch_plain(silent_s_max=silent_s_max)]

    async def fetch_plain(
        self, *, silent_s_max: float = _SILENT_S_MAX, records_max: int = _RECORDS_PER_FETCH_MAX
    ) -> list[ConsumerRecord]:
        """`fetch`, the records as the client gives them: for a reader of so many that their conversion counts.

        Raises:
            DropstreamError: as `fetch`.
        """
        if (silent_s := self.silent_s) > silent_s_max:
            raise DropstreamError(f"Kafka has not answered for {silent_s:.0f} s; look at the broker's health")
        try:
            batches = await self._consumer.getmany(timeout_ms=_FETCH_TIMEOUT_MS, max_records=records_max)
        except OffsetOutOfRangeError as error:
            await seek_into_log(self._consumer, error.args[0])
            return []
        return [one for batch in batches.values() for one in batch]

    async def is_at_end(self) -> bool:
        """Whether everything that was there when the reader was opened has been fetched.

        Raises:
            UnreadablePartitionError: the next record of a partition did not come for `held_s_max`, and no other did.
        """
        left = {
            one: position for one, end in self._ends.items() if (position := await self._consumer.position(one)) < end
        }
        now = time.monotonic()
        if left != self._left:
            self._left, self._moved_at = left, now
        elif left and now - self._moved_at > self._held_s_max:
            raise held_back(min(left), left[min(left)], self._ends[min(left)], self._held_s_max)
        return not left

    async def offsets_left(self) -> int:
        """How many offsets lie before the end; not each of them need be a record."""
        return sum([max(0, end - await self._consumer.position(one)) for one, end in self._ends.items()])

    async def extend(self) -> None:
        """Sets the ends anew: the reader ends with what can be read now."""
        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
            self._ends = await self._consumer.end_offsets(list(self._ends))

    def end_at(self, ends: Mapping[TopicPartition, int]) -> None:
        """Sets the offsets at which the reader ends."""
        self._ends = ends


async def seek_into_log(consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]) -> None:
    """Passes over records that were deleted meanwhile; waits for those that a new leader does not have yet."""
    beginnings = await consumer.beginning_offsets(list(positions))
    for partition, position in positions.items():
        if position < beginnings[partition]:
            consumer.seek(partition, beginnings[partition])
    await asyncio.sleep(_FETCH_TIMEOUT_MS / 1000)


@asynccontextmanager
async def open_reader(
    settings: Settings,
    topics: Sequence[str],
    start: Start,
    *,
    settled: bool = False,
    fetch_bytes_max: int | None = None,
) -> AsyncIterator[TopicReader]:
    """A reader of `topics` (full names), positioned at `start`; it fetches so many bytes of a partition at once.

    The reader ends with what can be read now; with `settled` with all that is written now, and committed records that
    lie behind another producer's open transaction come when that has ended.

    Raises:
        UnreadablePartitionError: a partition has no leader.
        DropstreamError: when the cluster is not reachable, or a topic or partition does not exist.
    """
    partitions = await _partitions(settings, topics, start)
    more = {} if fetch_bytes_max is None else {"max_partition_fetch_bytes": fetch_bytes_max}
    async with consumer(settings, **more) as client:
        client.assign(partitions)
        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
            ends = await _seek(client, partitions, start)
        if settled:
            ends = await written_ends(settings, partitions)
        held_s_max = _TRANSACTION_OVER_S + settings.process.transaction_timeout_ms / 1000
        yield TopicReader(client, ends, held_s_max=held_s_max)


async def read_written(
    settings: Settings, topic: str, start: Start = "beginning", meter: Meter | None = None
) -> AsyncIterator[RawRecord]:
    """Every record of `topic` (short name) that is committed now, those behind another's open transaction included."""
    meter = meter or Meter()
    async with open_reader(settings, [full_name(topic, settings)], start, settled=True) as reader:
        meter.begin(await reader.offsets_left())
        while not await reader.is_at_end():
            for record in await reader.fetch():
                yield record
            meter.at(await reader.offsets_left())


async def read_topic(settings: Settings, topic: str, start: Start = "beginning") -> list[RawRecord]:
    """Every committed record of `topic` (short name) up to its present end, in order within a partition."""
    async with open_reader(settings, [full_name(topic, settings)], start) as reader:
        records: list[RawRecord] = []
        while not await reader.is_at_end():
            records += await reader.fetch()
        return records


async def _partitions(settings: Settings, topics: Sequence[str], start: Start) -> list[TopicPartition]:
    found = await readable_partitions_of(settings, topics)
    if isinstance(start, AtOffset):
        found = [one for one in found if one.partition == start.partition]
        if not found:
            raise DropstreamError(f"{', '.join(topics)}: no partition {start.partition}")
    elif isinstance(start, AtOffsets):
        found = [one for one in found if one.partition in start.offsets]
    return found


async def _seek(
    client: AIOKafkaConsumer, partitions: Sequence[TopicPartition], start: Start
) -> dict[TopicPartition, int]:
    """Positions every partition; returns where each ends at this moment."""
    ends: dict[TopicPartition, int] = await client.end_offsets(partitions)
    beginnings: dict[TopicPartition, int] = await client.beginning_offsets(partitions)
    by_time: dict[TopicPartition, Any] = {}
    if isinstance(start, datetime):
        # Kafka knows no time before 1970.
        by_time = await client.offsets_for_times(dict.fromkeys(partitions, max(0, timestamp_ms(start))))
    for one in partitions:
        if isinstance(start, AtOffset | AtOffsets):
            wanted = start.offset if isinstance(start, AtOffset) else start.offsets[one.partition]
            # Outside the log there is nothing to read; a person means the nearest offset that exists.
            offset = min(max(wanted, beginnings[one]), ends[one])
        elif isinstance(start, Newest):
            offset = max(beginnings[one], ends[one] - start.records)
        elif isinstance(start, datetime):
            offset = by_time[one].offset if by_time.get(one) else ends[one]
        else:
            offset = ends[one] if start == "latest" else beginnings[one]
        client.seek(one, offset)
    return ends
