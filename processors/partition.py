"""One input partition while this process owns it: a producer of its own, and one transaction a batch.

The producer's transactional id is `group-topic-partition`. Starting it fences whoever held the partition before, and
waits until their last transaction has ended; only then is the committed offset read. That order is the proof that
nothing is processed twice: aiokafka's offset commits name no group member, and its offset fetches do not wait for
transactions that are still being ended.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.kafka import transactional_producer_arguments
from schemas.records import Position, RawRecord, Record
from schemas.settings import Settings

Step = Callable[[RawRecord], Sequence[Record]]
_log = structlog.get_logger()

# The step is computation; after this many records the heartbeat and the admin port get their turn.
_RECORDS_PER_TURN = 100


@dataclass(frozen=True, slots=True)
class Partition:
    """An open partition; made by `open_partition`, used for one transaction at a time."""

    source: TopicPartition
    group: str
    topic_prefix: str
    step: Step
    producer: AIOKafkaProducer
    transaction_timeout_s: float

    async def transact(self, records: Sequence[ConsumerRecord]) -> list[Record]:
        """Outputs of `records` and the offset behind them, written together or not at all; returns the outputs.

        Raises:
            KafkaError, TimeoutError: its fate is unknown; the partition must be opened anew, which ends it.
            ProducerFenced: another process owns the partition; this one must not go on.
        """
        async with asyncio.timeout(self.transaction_timeout_s):
            await self.producer.begin_transaction()
            outputs, written = await self._write(records)
            # aiokafka commits a transaction of which a batch was refused: every record's own future must be asked.
            await self.producer.flush()
            failed = [error for future in written if (error := future.exception()) is not None]
            if failed:
                raise failed[0]
            await self.producer.send_offsets_to_transaction({self.source: records[-1].offset + 1}, self.group)
            await self.producer.commit_transaction()
        return outputs

    async def _write(self, records: Sequence[ConsumerRecord]) -> tuple[list[Record], list["asyncio.Future[object]"]]:
        outputs: list[Record] = []
        written: list[asyncio.Future[object]] = []
        for index, record in enumerate(records):
            if index % _RECORDS_PER_TURN == 0:
                await asyncio.sleep(0)
            for output in self.step(_raw_record(record)):
                outputs.append(output)
                written.append(
                    await self.producer.send(
                        self.topic_prefix + output.topic,
                        output.value,
                        key=output.key,
                        headers=list(output.headers),
                    )
                )
        return outputs, written

    async def close(self) -> None:
        """Ends the producer. One with a transaction left open ends when its successor has fenced it."""
        await _stop(self.producer)


async def open_partition(
    consumer: AIOKafkaConsumer, source: TopicPartition, *, group: str, step: Step, settings: Settings
) -> Partition:
    """The partition fenced, the consumer's position set behind its last committed transaction; still paused.

    Raises:
        KafkaError, TimeoutError: the cluster cannot be reached or does not answer; nothing is open then.
    """
    process = settings.process
    timeout_s = process.transaction_timeout_ms / 1000
    producer = AIOKafkaProducer(
        **transactional_producer_arguments(settings, transactional_id=f"{group}-{source.topic}-{source.partition}")
    )
    try:
        async with asyncio.timeout(timeout_s):
            await producer.start()
            committed = await consumer.committed(source)
            # `seek_to_committed` does nothing where nothing is committed, or 0.
            offset = committed if committed is not None else await _first_offset(consumer, source)
    except BaseException:
        await _stop(producer)
        raise
    consumer.seek(source, offset)
    _log.info("partition_opened", group=group, partition=source.partition, offset=offset)
    return Partition(source, group, settings.kafka.topic_prefix, step, producer, timeout_s)


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
