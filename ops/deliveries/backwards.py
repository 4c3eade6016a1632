"""Reads ranges of partitions with one consumer, in chunks: forwards as they lie, or from the newest record backwards.

Of every record only what the caller makes of it is held, so a body is in memory while its chunk is read and no longer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from ops.kafka.clients import REQUEST_TIMEOUT_MS, consumer
from ops.kafka.partitions import readable_partitions_of
from ops.kafka.reader import full_name, seek_into_log
from schemas.kafka.committed_offsets import committed_offsets_by
from schemas.kafka.partitions import partition_of
from schemas.records import RawRecord, raw_record
from schemas.settings import Settings

# Offsets `first` to `end`, `end` not included.
Offsets = tuple[int, int]
Item = TypeVar("Item")

_FETCH_WAIT_MS = 500
# A read has an end, behind which the client asks for more before it is told to stop; while a node waits for records
# that may come there, it answers nothing else. And of a partition no more is wanted than a chunk or two.
_FETCHING = {"fetch_max_wait_ms": 10, "max_partition_fetch_bytes": 262_144}
_RECORDS_PER_FETCH = 1_000
CHUNK_FIRST = 64
CHUNK_MAX = 2_048


@asynccontextmanager
async def open_chunk_reader(settings: Settings, topics: Sequence[str]) -> AsyncIterator["ChunkReader"]:
    """A reader of these topics (short names).

    Raises:
        DropstreamError: the cluster cannot be reached, or has not all of the topics.
    """
    names = {topic: full_name(topic, settings) for topic in topics}
    # The consumer connects while the partitions are asked for.
    asked = asyncio.ensure_future(readable_partitions_of(settings, list(names.values())))
    try:
        async with consumer(settings, **_FETCHING) as client:
            found = await asked
            by_topic = {topic: [one for one in found if one.topic == name] for topic, name in names.items()}
            # All are assigned once, for each assignment has the client forget where the partitions of other topics are,
            # and it learns that again one topic at a time, a pause before each.
            client.assign(found)
            for one in found:
                client.seek(one, 0)
                client.pause(one)
            yield ChunkReader(client, by_topic)
    finally:
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class ChunkReader:
    """Reads with a consumer that nothing else uses; a read that begins ends the one before it.

    `partitions` are those of each topic, by its short name; made by `open_chunk_reader`, with all of them paused.
    """

    client: AIOKafkaConsumer
    partitions: Mapping[str, Sequence[TopicPartition]]
    _being_read: set[TopicPartition] = field(default_factory=set)

    def holding(self, topic: str, keys: Collection[bytes]) -> list[TopicPartition]:
        """The partitions of `topic` (short name) that records with these keys are in."""
        every = self.partitions[topic]
        numbers = {partition_of(key, len(every)) for key in keys}
        return [one for one in every if one.partition in numbers]

    async def offsets(
        self, partitions: Sequence[TopicPartition], begin_ms: int | None, until_ms: int | None
    ) -> dict[TopicPartition, Offsets]:
        """The committed records that are written from `begin_ms` to before `until_ms` (ms since 1970), None for all."""
        if not partitions:
            return {}
        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
            firsts, ends, begins, untils = await asyncio.gather(
                self.client.beginning_offsets(partitions),
                self.client.end_offsets(partitions),
                self._at(partitions, begin_ms),
                self._at(partitions, until_ms),
            )
        found = {
            one: (
                firsts[one] if begin_ms is None else begins.get(one, ends[one]),
                min(untils.get(one, ends[one]), ends[one]),
            )
            for one in partitions
        }
        return {one: (first, end) for one, (first, end) in found.items() if first < end}

    async def _at(self, partitions: Sequence[TopicPartition], time_ms: int | None) -> dict[TopicPartition, int]:
        if time_ms is None:
            return {}
        found = await self.client.offsets_for_times(dict.fromkeys(partitions, max(0, time_ms)))
        return {one: at.offset for one, at in found.items() if at is not None}

    async def group_positions(self, group: str, topic: str) -> dict[int, int]:
        """Where the group goes on in each partition of `topic` (short name); nothing of one of which nobody says so."""
        partitions = self.partitions[topic]
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                found = await committed_offsets_by(self.client, group, partitions)
        except (KafkaError, TimeoutError):
            return {}
        return {one.partition: offset for one, offset in found.items() if isinstance(offset, int)}

    async def read(self, wanted: Mapping[TopicPartition, Offsets]) -> AsyncIterator[list[RawRecord]]:
        """The records of these offsets, in order within a partition, as they come; deleted ones are left out.

        Raises:
            TimeoutError: the cluster does not answer in time.
        """
        left = {one: end for one, (first, end) in wanted.items() if first < end}
        for one in list(self._being_read):
            self._leave(one)
        for one in left:
            self._being_read.add(one)
            self.client.seek(one, wanted[one][0])
            self.client.resume(one)
        while left:
            async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                batches = await self._fetch(list(left))
                yield [raw_record(one) for partition, batch in batches for one in batch if one.offset < left[partition]]
                for one in list(left):
                    if await self.client.position(one) >= left[one]:
                        del left[one]
                        self._leave(one)

    def _leave(self, one: TopicPartition) -> None:
        """Reads the partition no further; what is fetched of it already is dropped, for it would hold up the others."""
        self._being_read.discard(one)
        self.client.pause(one)
        self.client.seek(one, 0)

    async def _fetch(self, partitions: Sequence[TopicPartition]) -> Iterable[tuple[TopicPartition, list]]:  # type: ignore[type-arg] # aiokafka ships no types
        try:
            found = await self.client.getmany(*partitions, timeout_ms=_FETCH_WAIT_MS, max_records=_RECORDS_PER_FETCH)
        except OffsetOutOfRangeError as error:
            await seek_into_log(self.client, error.args[0])
            return ()
        return list(found.items())


@dataclass(slots=True)
class NewestFirst(Generic[Item]):
    """What `take` makes of the records of these offsets, the newest first over all partitions.

    `take` returns None for a record that is not wanted. Partitions are read from their ends in chunks that grow, the
    first of `chunk` records; an item is given when no partition can hold a newer one.
    """

    reader: ChunkReader
    wanted: Mapping[TopicPartition, Offsets]
    take: Callable[[RawRecord], Item | None]
    chunk: int = CHUNK_FIRST
    _ends: dict[TopicPartition, int] = field(init=False)
    # The time of the oldest record that was read of each partition.
    _oldest: dict[TopicPartition, float] = field(default_factory=dict)
    _held: list[tuple[int, Item]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ends = {one: end for one, (_, end) in self.wanted.items()}

    @property
    def total(self) -> int:
        """How many offsets there are to read."""
        return sum(end - first for first, end in self.wanted.values())

    @property
    def done(self) -> int:
        """How many of them are read."""
        return self.total - sum(end - self.wanted[one][0] for one, end in self._ends.items())

    @property
    def horizon_ms(self) -> float:
        """Everything from this time on has been given; minus infinity when all is read."""
        return max((self._oldest.get(one, float("inf")) for one in self._left()), default=float("-inf"))

    async def chunks(self) -> AsyncIterator[list[Item]]:
        """The items, the newest first; a chunk without any is given too, so that the caller can stop."""
        while self._left():
            await self._read_chunk()
            horizon = self.horizon_ms
            ready = sorted((one for one in self._held if one[0] >= horizon), key=lambda one: one[0], reverse=True)
            self._held = [one for one in self._held if one[0] < horizon]
            yield [item for _, item in ready]

    def _left(self) -> list[TopicPartition]:
        return [one for one, end in self._ends.items() if end > self.wanted[one][0]]

    async def _read_chunk(self) -> None:
        # The half whose oldest records are the newest: the others have been read back far enough.
        left = self._left()
        middle = median(self._oldest.get(one, float("inf")) for one in left)
        chunk = {
            one: (max(self.wanted[one][0], self._ends[one] - self.chunk), self._ends[one])
            for one in left
            if self._oldest.get(one, float("inf")) >= middle
        }
        self.chunk = min(CHUNK_MAX, self.chunk * 2)
        async for records in self.reader.read(chunk):
            for record in records:
                partition = TopicPartition(record.position.topic, record.position.partition)
                self._oldest[partition] = min(record.timestamp_ms, self._oldest.get(partition, float("inf")))
                if (item := self.take(record)) is not None:
                    self._held.append((record.timestamp_ms, item))
        for one, (first, _) in chunk.items():
            self._ends[one] = first
