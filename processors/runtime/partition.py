"""One input partition while this process owns it: a producer of its own, and one transaction per batch of records.

The producer's transactional id is `group-topic-partition`. Starting it fences the producer of the former owner, and
waits until the former owner's last transaction has ended; only then are the committed offset and the changelog read.
That order is the proof that nothing is processed twice: aiokafka's offset commits name no group member, and its offset
fetches do not wait for transactions that are still being ended.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import ProducerFenced

from processors.runtime.changelog import input_offset_change, restore_store, rules_change
from processors.runtime.group_spec import GroupSpec
from processors.runtime.state_store import StoreT
from processors.runtime.transaction_writer import TransactionWriter
from schemas.kafka.arguments import transactional_producer_arguments
from schemas.kafka.committed_offsets import committed_offset
from schemas.kafka.producers import reason_of, stop_producer
from schemas.notes.rules import RulesVersion, rules_records
from schemas.records import Record, next_offset, raw_record

_log = structlog.get_logger()

# The steps of one transaction end before its outputs grow past this, or they take longer than this share of its time.
_OUTPUT_BYTES_MAX = 16_777_216
_STEPS_SHARE = 3
# Steps are computation: after so long the heartbeat and the admin port get their turn.
_TURN_S = 0.02


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed transaction: its outputs, how many of the records it took, and the offset behind them."""

    outputs: Sequence[Record]
    taken: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Partition(Generic[StoreT]):
    """An open partition; made by `open_partition`, used for one transaction at a time."""

    source: TopicPartition
    spec: GroupSpec[StoreT]
    store: StoreT
    producer: AIOKafkaProducer

    async def transact(self, records: Sequence[ConsumerRecord]) -> Committed:
        """Processes `records` (at least one): outputs, the store's changes and the input offset in one transaction.

        The transaction takes fewer records than it was given where they lead to more than it should hold.

        Raises:
            KafkaError, TimeoutError, LocalStoreError: opening the partition anew decides what is committed.
            ProducerFenced: another process owns the partition; this one must not go on.
        """
        spec, store, changelog = self.spec, self.store, self.spec.changelog_of(self.source)
        outputs: list[Record] = []
        taken = 0
        async with self._transaction() as writer:
            await self.producer.begin_transaction()
            rules = await self._current_rules(writer)
            step = spec.new_step()  # No wait since the rules were asked for: both are of one moment.
            budget = _StepBudget(spec.settings.process.transaction_timeout_ms / 1000 / _STEPS_SHARE)
            for record in records:
                taken += 1
                made = step(raw_record(record), store)
                writer.add(made)
                outputs += made
                if budget.is_spent_by(made):
                    break
                if budget.turn_is_over:
                    await budget.give_turn()
            behind = next_offset(record)
            writer.add_changes(changelog, store.changes())
            if spec.logs_input_offset:
                writer.add_changes(changelog, [input_offset_change(behind)])
            if rules is not None and rules.digest != store.rules_digest:
                writer.add(rules_records(rules, spec.source, self.source.partition, records[0].offset))
                writer.add_changes(changelog, [rules_change(rules.digest)])
            await writer.send()
            # While the batches are on their way: nothing counts before the commit, and the commit waits for both.
            await self.producer.send_offsets_to_transaction({self.source: behind}, spec.id)
            await writer.written()
            await self.producer.commit_transaction()
        store.changelog_offset = max(store.changelog_offset, writer.offset_behind(changelog))
        store.input_offset = behind
        if rules is not None:
            store.rules_digest = rules.digest
        store.commit()
        return Committed(outputs, taken, behind)

    def is_due(self, now: datetime) -> bool:
        """Whether `punctuate` would do anything."""
        due = bool(self.spec.punctuate(self.store, now) or self.store.changes())
        self.store.roll_back()
        return due

    async def punctuate(self, now: datetime) -> Sequence[Record]:
        """Writes what time alone has made due by `now` (aware); call it when the partition is caught up.

        Returns the outputs; raises as `transact` does.
        """
        store, changelog = self.store, self.spec.changelog_of(self.source)
        outputs = self.spec.punctuate(store, now)
        changes = store.changes()
        if not outputs and not changes:
            return ()
        async with self._transaction() as writer:
            await self.producer.begin_transaction()
            writer.add(outputs)
            writer.add_changes(changelog, changes)
            await writer.send()
            await writer.written()
            await self.producer.commit_transaction()
        store.changelog_offset = max(store.changelog_offset, writer.offset_behind(changelog))
        store.commit()
        return outputs

    async def close(self) -> None:
        """Stops the producer. A transaction that it leaves open ends when the next owner fences it."""
        await stop_producer(self.producer)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[TransactionWriter]:
        """Gives a transaction its time; where it fails, rolls the store back and raises the reason.

        Whether a transaction that failed is committed, nobody knows before the partition is opened anew.
        """
        await self.store.settle()
        process = self.spec.settings.process
        writer = TransactionWriter(self.producer, self.spec.settings.kafka.topic_prefix)
        began = time.monotonic()
        try:
            async with asyncio.timeout(process.transaction_timeout_ms / 1000):
                yield writer
        except BaseException as error:
            writer.abandon()
            self.store.roll_back()
            frozen_s = time.monotonic() - began
            if frozen_s > process.session_timeout_ms / 1000:
                # This process was not running. Another one is the owner by now, and opening anew would fence it.
                raise ProducerFenced(f"frozen for {frozen_s:.0f} s") from error
            reason = reason_of(error, self.producer)
            if reason is error:
                raise
            raise reason from error

    async def _current_rules(self, writer: TransactionWriter) -> RulesVersion | None:
        """The rules that the records are judged by; None where topic `rules` does not say them."""
        if self.spec.rules is None:
            return None
        counts = {topic: await writer.partition_count(topic) for topic in self.spec.outputs}
        return replace(self.spec.rules(), partitions=counts)  # After the last wait, see `transact`.


@dataclass(slots=True)
class _StepBudget:
    """The bounds of the steps of one transaction: `time_s` seconds from now on, bytes of outputs, turns."""

    time_s: float
    turn_is_over: bool = False
    _bytes_count: int = 0
    _began_at: float = field(default_factory=time.monotonic)
    _turn_began_at: float = field(default_factory=time.monotonic)

    def is_spent_by(self, outputs: Sequence[Record]) -> bool:
        """Whether no step may follow the one that made `outputs`."""
        for output in outputs:
            self._bytes_count += output.bytes_count
        now = time.monotonic()
        self.turn_is_over = now - self._turn_began_at > _TURN_S
        return self._bytes_count > _OUTPUT_BYTES_MAX or now - self._began_at > self.time_s

    async def give_turn(self) -> None:
        """Lets the event loop go round once; then the next turn of the steps begins."""
        await asyncio.sleep(0)
        self._turn_began_at = time.monotonic()


async def open_partition(
    consumer: AIOKafkaConsumer, source: TopicPartition, spec: GroupSpec[StoreT], store: StoreT
) -> Partition[StoreT]:
    """Fences the former owner, restores the store, and sets the consumer behind the last committed transaction.

    Raises:
        KafkaError, TimeoutError: the cluster cannot be reached or does not answer; nothing is open then.
        LocalStoreError: the disk of the store cannot be used now; nothing is open then.
        DropstreamError: its changelog is corrupt.
    """
    settings = spec.settings
    producer = AIOKafkaProducer(
        **transactional_producer_arguments(settings, transactional_id=f"{spec.id}-{source.topic}-{source.partition}")
    )
    try:
        async with asyncio.timeout(settings.process.transaction_timeout_ms / 1000):
            await producer.start()
            committed = await committed_offset(producer.client, spec.id, source)
            first = (await consumer.beginning_offsets([source]))[source]
        await restore_store(store, spec.changelog_of(source), settings)
    except BaseException:
        await stop_producer(producer)
        raise
    # The cluster forgets the offsets of a group that was away for a week (`offsets.retention.minutes`), the changelog
    # does not.
    known = store.input_offset if committed is None else committed
    offset = max(known, first)
    # `seek_to_committed` does nothing where nothing is committed, or 0.
    consumer.seek(source, offset)
    if 0 < known < offset:
        _log.error("deliveries_deleted_unread", group=spec.name, partition=source.partition, count=offset - known)
    _log.info(
        "partition_opened",
        group=spec.name,
        partition=source.partition,
        offset=offset,
        committed=committed,
        remembered=store.entries,
    )
    return Partition(source, spec, store, producer)
