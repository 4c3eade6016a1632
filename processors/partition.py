"""One input partition while this process owns it: a producer of its own, and one transaction a batch.

The producer's transactional id is `group-topic-partition`. Starting it fences whoever held the partition before, and
waits until their last transaction has ended; only then are the committed offset and the changelog read. That order is
the proof that nothing is processed twice: aiokafka's offset commits name no group member, and its offset fetches do not
wait for transactions that are still being ended.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from processors.state import Kept, StateT, catch_up
from processors.work import Work
from schemas.kafka import transactional_producer_arguments
from schemas.records import Position, RawRecord, Record

_log = structlog.get_logger()

# The step is computation; after this many records the heartbeat and the admin port get their turn.
_RECORDS_PER_TURN = 100


@dataclass(frozen=True, slots=True)
class Partition(Generic[StateT]):
    """An open partition; made by `open_partition`, used for one transaction at a time."""

    source: TopicPartition
    work: Work[StateT]
    kept: Kept[StateT]
    producer: AIOKafkaProducer

    async def transact(self, records: Sequence[ConsumerRecord]) -> list[Record]:
        """Outputs and changes of `records` and the offset behind them, written together or not at all.

        Returns the outputs.

        Raises:
            KafkaError, TimeoutError: its fate is unknown; the partition must be opened anew, which ends it.
            ProducerFenced: another process owns the partition; this one must not go on.
        """
        return await self._commit(self._step(records), offset_next=records[-1].offset + 1)

    async def tick(self, now: datetime) -> list[Record]:
        """What has become due by `now` (aware) although nothing came; call it when the partition is caught up.

        Returns and raises as `transact`.
        """
        outputs = self.work.tick(self.kept.state, now)
        if not outputs and not self.kept.state.changes():
            return []
        return await self._commit(_each(outputs), offset_next=None)

    async def close(self) -> None:
        """Ends the producer. One with a transaction left open ends when its successor has fenced it."""
        await _stop(self.producer)

    async def _step(self, records: Sequence[ConsumerRecord]) -> AsyncIterator[Record]:
        for index, record in enumerate(records):
            if index % _RECORDS_PER_TURN == 0:
                await asyncio.sleep(0)
            for output in self.work.step(_raw_record(record), self.kept.state):
                yield output

    async def _commit(self, outputs: AsyncIterator[Record], *, offset_next: int | None) -> list[Record]:
        """One transaction: the outputs, the changes they made to the state, and the offset where there is one."""
        state = self.kept.state
        try:
            async with asyncio.timeout(self.work.settings.process.transaction_timeout_ms / 1000):
                await self.producer.begin_transaction()
                written, changelog_next = await self._write(outputs)
                if offset_next is not None:
                    await self.producer.send_offsets_to_transaction({self.source: offset_next}, self.work.id)
                await self.producer.commit_transaction()
        except BaseException:
            state.roll_back()
            raise
        state.commit()
        self.kept.offset_next = max(self.kept.offset_next, changelog_next)
        return written

    async def _write(self, outputs: AsyncIterator[Record]) -> tuple[list[Record], int]:
        """Writes outputs and changes; they are at the brokers on return. Returns the changelog's next offset too."""
        written: list[Record] = []
        sent: list[asyncio.Future[RecordMetadata]] = []
        async for output in outputs:
            written.append(output)
            sent.append(await self._send(output))
        changelog = self.work.changelog_of(self.source)
        changed: list[asyncio.Future[RecordMetadata]] = [
            await self.producer.send(changelog.topic, value, key=key, partition=changelog.partition)
            for key, value in self.kept.state.changes()
        ]
        await self.producer.flush()
        # aiokafka commits a transaction of which a batch was refused: every record's own future must be asked.
        failed = [error for future in (*sent, *changed) if (error := future.exception()) is not None]
        if failed:
            raise failed[0]
        return written, max((future.result().offset + 1 for future in changed), default=0)

    async def _send(self, output: Record) -> "asyncio.Future[RecordMetadata]":
        topic = self.work.settings.kafka.topic_prefix + output.topic
        future: asyncio.Future[RecordMetadata] = await self.producer.send(
            topic, output.value, key=output.key, headers=list(output.headers)
        )
        return future


async def open_partition(
    consumer: AIOKafkaConsumer, source: TopicPartition, work: Work[StateT], kept: Kept[StateT]
) -> Partition[StateT]:
    """The partition fenced, its state caught up, the consumer's position behind its last committed transaction.

    Raises:
        KafkaError, TimeoutError: the cluster cannot be reached or does not answer; nothing is open then.
        DropstreamError: its changelog is corrupt.
    """
    settings = work.settings
    producer = AIOKafkaProducer(
        **transactional_producer_arguments(settings, transactional_id=f"{work.id}-{source.topic}-{source.partition}")
    )
    try:
        async with asyncio.timeout(settings.process.transaction_timeout_ms / 1000):
            await producer.start()
            committed = await consumer.committed(source)
            # `seek_to_committed` does nothing where nothing is committed, or 0.
            offset = committed if committed is not None else await _first_offset(consumer, source)
        await catch_up(kept, work.changelog_of(source), settings)
    except BaseException:
        await _stop(producer)
        raise
    consumer.seek(source, offset)
    _log.info(
        "partition_opened", group=work.name, partition=source.partition, offset=offset, remembered=kept.state.entries
    )
    return Partition(source, work, kept, producer)


async def _each(outputs: Sequence[Record]) -> AsyncIterator[Record]:
    for output in outputs:
        yield output


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError):
        await producer.stop()


async def _first_offset(consumer: AIOKafkaConsumer, source: TopicPartition) -> int:
    offsets: dict[TopicPartition, int] = await consumer.beginning_offsets([source])
    return offsets[source]


def _raw_record(record: ConsumerRecord) -> RawRecord:
    return RawRecord(
        position=Position(record.topic, record.partition, record.offset),
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        timestamp_ms=record.timestamp,
    )
