"""One input partition while this process owns it: a producer of its own, and one transaction a batch.

The producer's transactional id is `group-topic-partition`. Starting it fences whoever held the partition before, and
waits until their last transaction has ended; only then are the committed offset and the changelog read. That order is
the proof that nothing is processed twice: aiokafka's offset commits name no group member, and its offset fetches do not
wait for transactions that are still being ended.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from processors.runtime.batch import Batch, Due
from processors.runtime.group_spec import GroupSpec
from processors.runtime.offsets import committed_offset, first_offset
from processors.runtime.state_store import Kept, StoreT, catch_up, input_position, noted_rules
from processors.runtime.transaction_writer import TransactionWriter
from schemas.kafka.arguments import transactional_producer_arguments
from schemas.notes.rules import RulesVersion, rules_records
from schemas.records import Record

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed transaction: its outputs, how many of the records it took, and the offset behind them."""

    outputs: list[Record]
    taken: int
    offset_next: int


@dataclass(frozen=True, slots=True)
class Partition(Generic[StoreT]):
    """An open partition; made by `open_partition`, used for one transaction at a time."""

    source: TopicPartition
    work: GroupSpec[StoreT]
    kept: Kept[StoreT]
    producer: AIOKafkaProducer

    async def transact(self, records: Sequence[ConsumerRecord]) -> Committed:
        """Outputs and changes of `records` and the offset behind them, written together or not at all.

        Ends early where they lead to more than one transaction should hold; what is left comes with the next.

        Raises:
            KafkaError, TimeoutError: its fate is unknown; the partition must be opened anew, which ends it.
            ProducerFenced: another process owns the partition; this one must not go on.
        """
        batch = Batch(self.work, self.kept.state, records)
        outputs = await self._commit(batch)
        return Committed(outputs, batch.taken, batch.offset_next)

    def is_due(self, now: datetime) -> bool:
        """Whether `tick` would do anything."""
        state = self.kept.state
        due = bool(self.work.tick(state, now) or state.changes())
        state.roll_back()
        return due

    async def tick(self, now: datetime) -> list[Record]:
        """What has become due by `now` (aware) although nothing came; call it when the partition is caught up.

        Returns and raises as `transact`.
        """
        outputs = self.work.tick(self.kept.state, now)
        if not outputs and not self.kept.state.changes():
            return []
        return await self._commit(Due(outputs))

    async def close(self) -> None:
        """Ends the producer. One with a transaction left open ends when its successor has fenced it."""
        await _stop(self.producer)

    async def _commit(self, outputs: Batch[StoreT] | Due) -> list[Record]:
        """One transaction: the outputs, the changes they made to the state, and the offset where there is one."""
        process = self.work.settings.process
        changelog = self.work.changelog_of(self.source)
        outbox = TransactionWriter(self.producer)
        rules: RulesVersion | None = None
        began = time.monotonic()
        try:
            async with asyncio.timeout(process.transaction_timeout_ms / 1000):
                await self.producer.begin_transaction()
                rules = await self._rules(outbox)
                written = await self._fill(outbox, outputs, changelog)
                await self._note(outbox, rules, outputs.offset_first, changelog)
                await outbox.send()
                # While the batches are on their way: nothing counts before the commit, and that waits for both.
                if outputs.offset_next is not None:
                    await self.producer.send_offsets_to_transaction({self.source: outputs.offset_next}, self.work.id)
                await outbox.written()
                await self.producer.commit_transaction()
        except BaseException as error:
            outbox.abandon()
            self.kept.state.roll_back()
            frozen_s = time.monotonic() - began
            if frozen_s > process.session_timeout_ms / 1000:
                # We were not running. Somebody else is the owner by now, and to open anew would fence them.
                raise ProducerFenced(f"frozen for {frozen_s:.0f} s") from error
            told = _as_kafka_error(error, self.producer)
            if told is error:
                raise
            raise told from error
        self.kept.state.commit()
        self.kept.offset_next = max(self.kept.offset_next, outbox.offset_behind(changelog))
        self.kept.input_next = outputs.offset_next or self.kept.input_next
        if rules is not None and outputs.offset_first is not None:
            self.kept.rules = rules.digest
        return written

    async def _rules(self, outbox: TransactionWriter) -> RulesVersion | None:
        """What the transaction is judged by; None where nobody is to be told."""
        if self.work.rules is None:
            return None
        prefix = self.work.settings.kafka.topic_prefix
        counts = {topic: await outbox.partitions(prefix + topic) for topic in self.work.outputs}
        # Asked after the last wait before the step is made: both are of one moment.
        rules = self.work.rules()
        return replace(rules, partitions=counts)

    async def _note(
        self, outbox: TransactionWriter, rules: RulesVersion | None, first: int | None, changelog: TopicPartition
    ) -> None:
        """Says by what the records were judged from `first` on, where that is another than before."""
        if rules is None or first is None or rules.digest == self.kept.rules:
            return
        notes = rules_records(rules, self.work.source, self.source.partition, first)
        await outbox.put(self.work.settings.kafka.topic_prefix, notes)
        outbox.put_changes(changelog, noted_rules(rules.digest))

    async def _fill(
        self, outbox: TransactionWriter, outputs: Batch[StoreT] | Due, changelog: TopicPartition
    ) -> list[Record]:
        """Makes the outputs and puts them into the box, the changes after them."""
        written: list[Record] = []
        async for some in outputs:
            written += some
            await outbox.put(self.work.settings.kafka.topic_prefix, some)
        outbox.put_changes(changelog, self.kept.state.changes())
        if self.work.keeps_position:
            outbox.put_changes(changelog, input_position(outputs.offset_next))
        return written


async def open_partition(
    consumer: AIOKafkaConsumer, source: TopicPartition, work: GroupSpec[StoreT], kept: Kept[StoreT]
) -> Partition[StoreT]:
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
            committed = await committed_offset(producer.client, work.id, source)
            first = await first_offset(consumer, source)
        await catch_up(kept, work.changelog_of(source), settings)
    except BaseException:
        await _stop(producer)
        raise
    # The cluster forgets the offsets of a group that was away for a week (`offsets.retention.minutes`); the changelog
    # does not.
    known = kept.input_next if committed is None else committed
    offset = max(known, first)
    # `seek_to_committed` does nothing where nothing is committed, or 0.
    consumer.seek(source, offset)
    if 0 < known < offset:
        _log.error("deliveries_deleted_unread", group=work.name, partition=source.partition, count=offset - known)
    _log.info(
        "partition_opened",
        group=work.name,
        partition=source.partition,
        offset=offset,
        committed=committed,
        remembered=kept.state.entries,
    )
    return Partition(source, work, kept, producer)


def _as_kafka_error(error: BaseException, producer: AIOKafkaProducer) -> BaseException:
    """The reason behind what aiokafka's dead producer says: IllegalOperation and AssertionError hide it."""
    hidden: bool = isinstance(error, (IllegalOperation, AssertionError))
    sender = producer._sender.sender_task if hidden else None  # noqa: SLF001 there is no public way to ask
    cause = error
    if sender is not None and sender.done() and not sender.cancelled():
        cause = sender.exception() or error
    return KafkaError(f"the producer is dead: {cause!r}") if hidden and not isinstance(cause, ProducerFenced) else cause


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except KafkaError:
        # It stopped half way, at what its sender died of.
        with contextlib.suppress(KafkaError):
            await producer.client.close()
