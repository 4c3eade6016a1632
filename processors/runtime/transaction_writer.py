"""The records of one transaction, as batches of aiokafka's that are handed over together when the steps are done.

aiokafka's own `send` costs a future, a partition and a search for room per record; a batch has one future. aiokafka
commits a transaction although a batch was refused, so every future must be looked at: `written` does.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from processors.runtime.state_store import Change
from schemas.kafka.futures import retrieve_exception
from schemas.kafka.partitions import partition_of
from schemas.records import Record

_Partition = tuple[str, int]  # Full topic name and number.
_Written = asyncio.Future[RecordMetadata]
# After so many records, which takes milliseconds, the event loop gets its turn.
_RECORDS_PER_TURN = 1_000


@dataclass(slots=True, eq=False)
class TransactionWriter:
    """The records of one transaction of `producer`; those of one partition keep their order.

    `add` records and changes, `send` them once, wait for `written`, and commit; after an error `abandon` them. Records
    become batches in `send`, not one by one between the steps: that took 4 us a record longer. Each record is added for
    a partition of the input, so that one that holds up the transaction can be named.
    """

    producer: AIOKafkaProducer
    topic_prefix: str
    _records: list[tuple[TopicPartition, Sequence[Record]]] = field(default_factory=list)
    _changes: list[tuple[TopicPartition, TopicPartition, Sequence[Change]]] = field(default_factory=list)
    # How many partitions a topic (short name) has; asked once in a transaction.
    _counts: dict[str, int] = field(default_factory=dict)
    _batches: dict[_Partition, list[Any]] = field(default_factory=dict)
    # For which partitions of the input an output partition is written to.
    _origins: dict[_Partition, set[TopicPartition]] = field(default_factory=dict)
    # With each batch, how many records it holds.
    _sent: dict[_Partition, list[tuple[int, _Written]]] = field(default_factory=dict)

    async def partition_count(self, topic: str) -> int:
        """How many partitions the topic (short name) has for this transaction."""
        count = self._counts.get(topic)
        if count is None:
            count = self._counts[topic] = len(await self.producer.partitions_for(self.topic_prefix + topic))
        return count

    def add(self, source: TopicPartition, records: Sequence[Record]) -> None:
        """Adds records that `source` led to, each for the partition of its key."""
        self._records.append((source, records))

    def add_changes(self, source: TopicPartition, changelog: TopicPartition, changes: Sequence[Change]) -> None:
        """Adds changes of the store of `source` to its changelog partition."""
        self._changes.append((source, changelog, changes))

    async def send(self) -> None:
        """Puts the records into batches and hands these to the client, which adds their partitions to the transaction.

        Raises:
            KafkaError: the client is dead or does not take them in time.
        """
        number = 0
        for source, records in self._records:
            for record in records:
                count = self._counts.get(record.topic) or await self.partition_count(record.topic)
                partition = (self.topic_prefix + record.topic, partition_of(record.key, count))
                self._append(source, partition, record.key, record.value, list(record.headers))
                number += 1
                if number % _RECORDS_PER_TURN == 0:
                    await asyncio.sleep(0)
        for source, changelog, changes in self._changes:
            for key, value in changes:
                self._append(source, changelog, key, value, [])
        # The batches hold them now.
        self._records, self._changes = [], []
        # The first batch of every partition, then every second one, which waits until the first is on its way.
        for turn in zip_longest(*self._batches.values()):
            for (topic, number), batch in zip(self._batches, turn, strict=True):
                if batch is not None:
                    future = await self.producer.send_batch(batch, topic, partition=number)
                    self._sent.setdefault((topic, number), []).append((batch.record_count(), future))

    async def written(self) -> None:
        """Returns when every record is at the brokers, on all in-sync replicas.

        Raises:
            KafkaError: a broker refused one of them.
        """
        futures = self._futures()
        if futures:
            await asyncio.wait(futures)
        failed = [error for future in futures if (error := future.exception()) is not None]
        if failed:
            raise failed[0]

    def unwritten(self) -> frozenset[TopicPartition]:
        """The partitions of the input for which something is sent and not written, because Kafka is silent or refuses.

        Where a broker refuses some batches, only those count: the others would have been written.
        """
        late = self._origins_of(lambda future: not future.done())
        failed = self._origins_of(lambda future: future.done() and future.exception() is not None)
        return failed or late

    def offset_behind(self, partition: TopicPartition) -> int:
        """The offset behind the last record written to the partition; 0 where none was."""
        return max((future.result().offset + count for count, future in self._sent.get(partition, ())), default=0)

    def abandon(self) -> None:
        """Keeps asyncio from logging the error of every batch: the transaction's error says enough."""
        for future in self._futures():
            future.add_done_callback(retrieve_exception)

    def _append(
        self,
        source: TopicPartition,
        partition: _Partition,
        key: bytes,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> None:
        batches = self._batches.get(partition)
        if batches is None:
            batches = self._batches[partition] = [self.producer.create_batch()]
            self._origins[partition] = set()
        self._origins[partition].add(source)
        if batches[-1].append(timestamp=None, key=key, value=value, headers=headers) is None:
            # It is full; an empty one takes a record of any size.
            batches.append(self.producer.create_batch())
            batches[-1].append(timestamp=None, key=key, value=value, headers=headers)

    def _origins_of(self, is_such: Callable[[_Written], bool]) -> frozenset[TopicPartition]:
        found: set[TopicPartition] = set()
        for partition, sent in self._sent.items():
            if any(is_such(future) for _, future in sent):
                found |= self._origins[partition]
        return frozenset(found)

    def _futures(self) -> list[_Written]:
        return [future for sent in self._sent.values() for _, future in sent]
