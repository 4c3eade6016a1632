"""Reads the committed records of partitions of Kafka side by side, within bounds of memory.

`PartitionStream.slices` gives the records of many partitions in about the order in which they were written, by their
times; so what one transaction wrote comes together, however far the partitions are apart. `until` and `more` give
deliveries, up to given offsets or all.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from ops.kafka.clients import consumer
from ops.kafka.partitions import held_back
from ops.kafka.reader import seek_into_log
from schemas.notes.replays import Range
from schemas.records import RawRecord, raw_record
from schemas.settings import Settings

_FETCH_WAIT_MS = 300
_RECORDS_PER_FETCH = 4_000
# About so much memory a record takes beside its value.
_RECORD_BYTES = 1_500
_SILENT_AFTER_S = 120.0


@asynccontextmanager
async def open_stream(
    settings: Settings, ranges: Mapping[TopicPartition, Range], *, bytes_max: int
) -> AsyncIterator["PartitionStream"]:
    """A stream of the records in these ranges, with about `bytes_max` in memory."""
    # A fetch takes several times as much in memory as its bytes.
    fetch_bytes = max(16_384, min(1_048_576, bytes_max // (8 * max(1, len(ranges)))))
    async with consumer(settings, max_partition_fetch_bytes=fetch_bytes, fetch_max_bytes=bytes_max // 4) as client:
        client.assign(list(ranges))
        for partition, one in ranges.items():
            client.seek(partition, one.first)
        yield PartitionStream(_Buffers(client, ranges, bytes_max))


@dataclass(slots=True)
class _Buffers:
    """The records that were fetched and not taken yet; a partition of which enough are here is paused."""

    client: AIOKafkaConsumer
    ranges: Mapping[TopicPartition, Range]
    bytes_max: int
    records: dict[TopicPartition, deque[ConsumerRecord]] = field(init=False)
    # The partitions that are not read to their end.
    unread: set[TopicPartition] = field(init=False)
    _bytes: dict[TopicPartition, int] = field(init=False)
    _paused: set[TopicPartition] = field(default_factory=set)
    _silent_since: float | None = None

    def __post_init__(self) -> None:
        self.records = {one: deque() for one in self.ranges}
        self._bytes = dict.fromkeys(self.ranges, 0)
        self.unread = {one for one, asked in self.ranges.items() if asked.count}

    async def fetch(self, needed: Collection[TopicPartition]) -> None:
        """Fetches records, of `needed` above all, and notes which partitions are read to their end.

        Raises:
            UnreadablePartitionError: a partition gives no records although its log goes on.
        """
        share = 0 if self.is_full else self.bytes_max // len(self.ranges)
        wanted = {one for one in self.unread if self._bytes[one] < share or one in needed}
        paused = self.ranges.keys() - wanted
        self.client.pause(*(paused - self._paused))
        self.client.resume(*(self._paused - paused))
        self._paused = paused
        try:
            found = await self.client.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=_RECORDS_PER_FETCH)
        except OffsetOutOfRangeError as error:
            await seek_into_log(self.client, error.args[0])
            return
        for partition, records in found.items():
            end = self.ranges[partition].end
            last = records[-1].offset
            mine = records if last < end else [one for one in records if one.offset < end]
            self.records[partition].extend(mine)
            self._bytes[partition] += sum([_RECORD_BYTES + len(one.value or b"") for one in mine])
            if last >= end - 1:
                self.unread.discard(partition)
        for partition in tuple(needed):
            # Behind its last record there may be marks of transactions, which are no records.
            if partition not in found and await self.client.position(partition) >= self.ranges[partition].end:
                self.unread.discard(partition)
        if found:
            self._silent_since = None
        else:
            await self._complain_of_silence(self.unread.intersection(needed))

    @property
    def is_full(self) -> bool:
        """Whether more is in memory than ought to be."""
        return sum(self._bytes.values()) > self.bytes_max

    def take_before(self, partition: TopicPartition, offset: int) -> list[ConsumerRecord]:
        """Takes out the records of the partition before the offset."""
        return self._take_while(partition, lambda one: one.offset < offset)

    def take(self, partition: TopicPartition, moment: float) -> list[ConsumerRecord]:
        """Takes out the records of the partition that were written until then, up to the first that was not."""
        records = self.records[partition]
        if not records:
            return []
        if records[-1].timestamp <= moment:
            self._bytes[partition] = 0
            taken = list(records)
            records.clear()
            return taken
        return self._take_while(partition, lambda one: one.timestamp <= moment)

    def _take_while(
        self, partition: TopicPartition, is_wanted: Callable[[ConsumerRecord], bool]
    ) -> list[ConsumerRecord]:
        records, taken = self.records[partition], []
        while records and is_wanted(records[0]):
            taken.append(records.popleft())
        self._bytes[partition] -= sum([_RECORD_BYTES + len(one.value or b"") for one in taken])
        return taken

    async def _complain_of_silence(self, wanted: set[TopicPartition]) -> None:
        now = asyncio.get_running_loop().time()
        if self._silent_since is None or not wanted:
            self._silent_since = now
        elif now - self._silent_since > _SILENT_AFTER_S:
            one = min(wanted)
            position = await self.client.position(one)
            raise held_back(one, position, self.ranges[one].end, _SILENT_AFTER_S)


@dataclass(slots=True)
class PartitionStream:
    """The records of some partitions; made by `open_stream`.

    `hurried` gives up the order of times, for one clock that is wrong must not make others wait in memory for ever.
    """

    _buffers: _Buffers
    hurried: bool = False

    async def slices(self) -> AsyncIterator[tuple[float, Sequence[tuple[TopicPartition, list[ConsumerRecord]]]]]:
        """The records, in slices of time: every record that was written until the moment, which comes first (ms).

        Within a partition they are in their order. The last slice has infinity as its moment.
        """
        buffers = self._buffers
        while True:
            while empty := [one for one in buffers.unread if not buffers.records[one]]:
                await buffers.fetch(empty)
            lasts = (buffers.records[one][-1].timestamp for one in buffers.unread)
            is_hurried = self.hurried or buffers.is_full
            moment = float("inf") if is_hurried else min(lasts, default=float("inf"))
            taken = [(partition, buffers.take(partition, moment)) for partition in buffers.ranges]
            yield moment, [(partition, records) for partition, records in taken if records]
            if not buffers.unread and not any(buffers.records.values()):
                return

    async def until(self, offsets: Mapping[int, int]) -> AsyncIterator[list[RawRecord]]:
        """The deliveries before these offsets, by partition, that were not given before; in order within each."""
        buffers = self._buffers
        wanted = {one: offsets[one.partition] for one in buffers.ranges if one.partition in offsets}
        while True:
            ready: list[RawRecord] = []
            missing = set()
            for partition, offset in wanted.items():
                ready += map(raw_record, buffers.take_before(partition, offset))
                if not buffers.records[partition] and partition in buffers.unread:
                    missing.add(partition)
            if ready:
                yield ready
            if not missing:
                return
            await buffers.fetch(missing)

    async def more(self) -> list[RawRecord] | None:
        """The next deliveries of any partition; None once all were given."""
        buffers = self._buffers
        while True:
            taken = [buffers.take(partition, float("inf")) for partition in buffers.ranges]
            if ready := [raw_record(one) for records in taken for one in records]:
                return ready
            if not buffers.unread:
                return None
            await buffers.fetch(buffers.unread)
