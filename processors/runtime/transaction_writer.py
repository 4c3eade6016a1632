"""The records of one transaction, as batches that are written together when the steps are done.

aiokafka's own `send` costs a future, a partition and a search for room per record.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from processors.runtime.state_store import Change
from schemas.kafka.partitions import partition_of
from schemas.kafka.transactions.group_producer import GroupProducer
from schemas.kafka.wire.output_batch import OutputBatch
from schemas.records import Record

# After so many records, which takes milliseconds, the event loop gets its turn.
_RECORDS_PER_TURN = 1_000


@dataclass(slots=True, eq=False)
class TransactionWriter:
    """The records of one transaction of `producer`; those of one partition keep their order.

    `add` records and changes, `begin` and `write` once, and commit. Records become batches in `begin`, not one by one
    between the steps: that took 4 us a record longer. Each record is added for a partition of the input, so that one
    that holds up the transaction can be named.
    """

    producer: GroupProducer
    topic_prefix: str
    _records: list[tuple[TopicPartition, Sequence[Record]]] = field(default_factory=list)
    _changes: list[tuple[TopicPartition, TopicPartition, Sequence[Change]]] = field(default_factory=list)
    # How many partitions a topic (short name) has; asked once in a transaction.
    _counts: dict[str, int] = field(default_factory=dict)
    _batches: dict[TopicPartition, list[OutputBatch]] = field(default_factory=dict)
    # For which partitions of the input an output partition is written to.
    _origins: dict[TopicPartition, set[TopicPartition]] = field(default_factory=dict)

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

    async def begin(self) -> None:
        """Puts the records into batches, and adds their partitions to the transaction.

        Raises:
            KafkaError: the transaction cannot go on.
        """
        number = 0
        for source, records in self._records:
            for record in records:
                count = self._counts.get(record.topic) or await self.partition_count(record.topic)
                partition = TopicPartition(self.topic_prefix + record.topic, partition_of(record.key, count))
                self._append(source, partition, record.key, record.value, list(record.headers))
                number += 1
                if number % _RECORDS_PER_TURN == 0:
                    await asyncio.sleep(0)
        for source, changelog, changes in self._changes:
            for key, value in changes:
                self._append(source, changelog, key, value, [])
        # The batches hold them now.
        self._records, self._changes = [], []
        await self.producer.begin_transaction(self._batches.keys())

    async def write(self) -> None:
        """Returns when every record is at the brokers, on all in-sync replicas.

        Raises:
            KafkaError: a broker refused one of them.
        """
        await self.producer.write(self._batches.values())
        for batches in self._batches.values():
            for batch in batches:
                if batch.error is not None:
                    raise batch.error

    def unwritten(self) -> frozenset[TopicPartition]:
        """The partitions of the input of which something is not written, because Kafka is silent or refuses.

        Where a broker refuses some batches, only those count: the others would have been written. What was never tried
        says nothing of its partition.
        """
        failed = self._origins_of(lambda batch: batch.error is not None)
        return failed or self._origins_of(lambda batch: batch.is_tried and not batch.is_answered)

    def offset_behind(self, partition: TopicPartition) -> int:
        """The offset behind the last record written to the partition, as far as its leader said it; else 0."""
        batches = self._batches.get(partition, ())
        return max([batch.offset + len(batch) for batch in batches if batch.offset is not None], default=0)

    def _append(
        self,
        source: TopicPartition,
        partition: TopicPartition,
        key: bytes,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> None:
        batches = self._batches.get(partition)
        if batches is None:
            batches = self._batches[partition] = [self.producer.create_batch(partition)]
            self._origins[partition] = set()
        self._origins[partition].add(source)
        self.producer.append(batches, key, value, headers)

    def _origins_of(self, is_such: Callable[[OutputBatch], bool]) -> frozenset[TopicPartition]:
        found: set[TopicPartition] = set()
        for partition, batches in self._batches.items():
            if any(map(is_such, batches)):
                found |= self._origins[partition]
        return frozenset(found)
