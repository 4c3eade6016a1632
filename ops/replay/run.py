"""Runs a plan: each partition of the source in transactions of its own, until the ends of its ranges.

A transaction holds the events, and how far the partition is then; so whatever ends the process, the next one reads the
truth. Every producer is started first, which fences other processes that run the same plan (for redrives: any redrive)
and ends their open transactions; only then is anything read. That order is the proof that nothing is doubled.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, ProducerFenced
from prometheus_client import CollectorRegistry

from ops.kafka.clients import CLOSE_TIMEOUT_S, REQUEST_TIMEOUT_MS, checked_client_arguments
from ops.kafka.reader import full_name
from ops.replay.history import ReplayBasis, open_state, read_basis
from ops.replay.store import ReplayStore, read_store
from ops.replay.warm_up import WarmUp
from processors.deliver.step import Rules
from processors.replay import Replaying, Task, redrive_step, replay_step
from processors.runtime.group_spec import GroupSpec
from processors.runtime.intake import Batches
from processors.runtime.metrics import GroupMetrics
from processors.runtime.partition import Partition
from processors.runtime.transaction import Bounds, Transaction, TransactionFailedError
from schemas.errors import DropstreamError
from schemas.kafka.arguments import reader_arguments, transactional_producer_arguments
from schemas.kafka.cancellation import stopped_within
from schemas.kafka.futures import ignore_kafka_errors
from schemas.kafka.producers import stop_producer
from schemas.kafka.transactions.group_producer import GroupProducer
from schemas.notes.replays import Range, ReplayPlan, ReplayProgress
from schemas.records import RawRecord, Record
from schemas.settings import Settings

_RECORDS_PER_TRANSACTION = 500
_FETCH_WAIT_MS = 500
_PARTITIONS_AT_ONCE = 4
# Failures of the cluster one after the other, without a record in between, after which a person must look.
_FAILURES_MAX = 5
_BACKOFF_S = 1.0


class DeletedError(DropstreamError):
    """Retention deleted records of the plan before they were read, so the replay cannot be what was asked for."""


@dataclass(slots=True)
class Pace:
    """Limits a run to `rate` records a second over all partitions; None is no limit."""

    rate: float | None = None
    _free_at: float = field(default_factory=time.monotonic)

    @property
    def records_max(self) -> int:
        """How many records a transaction takes: few where they are slow, for a wait has no transaction open."""
        return (
            _RECORDS_PER_TRANSACTION if self.rate is None else max(1, min(_RECORDS_PER_TRANSACTION, int(self.rate / 4)))
        )

    async def spend(self, count: int) -> None:
        """Waits until `count` more records are due."""
        if self.rate is None:
            return
        self._free_at = max(self._free_at, time.monotonic()) + count / self.rate
        await asyncio.sleep(self._free_at - time.monotonic())


@dataclass(slots=True)
class ReplayRun:
    """One run of a plan; `on_offsets` is given how many more offsets of the ranges are behind it, `told` the warm-up.

    Offsets, for a range is known by them: of `rejected`, which transactions write, a third may be their marks.
    """

    settings: Settings
    plan: ReplayPlan
    rules: Rules
    pace: Pace
    on_offsets: Callable[[int], None]
    told: WarmUp = field(default_factory=WarmUp)
    _failures: int = 0

    async def run(self) -> ReplayProgress:
        """Runs the plan to its end; returns its counts, those of earlier runs included.

        Raises:
            DropstreamError: another process has taken the plan over, or the cluster fails; says how to go on.
        """
        checked_client_arguments(self.settings.kafka)
        asyncio.get_running_loop().set_exception_handler(ignore_kafka_errors)
        while True:
            try:
                return await self._attempt()
            except ProducerFenced as error:
                raise DropstreamError(
                    f"{self.plan.id}: another process goes on with it, or this one was frozen too long; this one ends"
                ) from error
            except (KafkaError, TimeoutError) as error:
                self._failures += 1
                if self._failures > _FAILURES_MAX:
                    raise DropstreamError(
                        f"Kafka fails again and again: {type(error).__name__} {error}".rstrip()
                    ) from error
                await asyncio.sleep(_BACKOFF_S * self._failures)

    async def _attempt(self) -> ReplayProgress:
        async with AsyncExitStack() as stack:
            producers = [await stack.enter_async_context(self._producer(one)) for one in self.plan.ranges]
            store = await read_store(self.settings)
            left = [replace(one, first=store.progress_of(self.plan, one).next) for one in self.plan.ranges]
            due = [one for one in left if one.count]
            basis = await read_basis(self.settings, self.plan, self.rules, due, self.told)
            slots = asyncio.Semaphore(_PARTITIONS_AT_ONCE)
            try:
                async with asyncio.TaskGroup() as together:
                    for one, producer in zip(left, producers, strict=True):
                        if one.count:
                            together.create_task(self._partition(one, producer, store, basis, slots))
            except ExceptionGroup as group:
                fenced = [error for error in group.exceptions if isinstance(error, ProducerFenced)]
                raise (fenced or group.exceptions)[0] from group  # A person needs one reason.
        return (await read_store(self.settings)).total_progress(self.plan)

    async def _partition(
        self, one: Range, producer: GroupProducer, store: ReplayStore, basis: ReplayBasis, slots: asyncio.Semaphore
    ) -> None:
        async with slots:
            source = TopicPartition(full_name(self.plan.source, self.settings), one.partition)
            task = Task(self.plan, replace(self.rules, replay=self.plan.id), basis.known)
            progress = store.progress_of(self.plan, one)
            state = await open_state(self.settings, task, basis, one, progress, told=self.told)
            spec, partition = self._group_spec(task), Partition(source, state, position=one.first)
            async for records in self._records(source, one):
                partition.add(records)
                await self._write(partition, spec, producer)
            self.on_offsets(one.end - partition.position)

    async def _write(
        self, partition: Partition[Replaying], spec: GroupSpec[Replaying], producer: GroupProducer
    ) -> None:
        kafka_s = self.settings.process.transaction_timeout_ms / 1000
        bounds = Bounds(self.pace.records_max, kafka_s, written_s=kafka_s)
        while partition.records:
            behind = partition.position
            await self.pace.spend(min(len(partition.records), bounds.records_max))
            try:
                # No member: the producer is of this range alone, and its start fenced every other of the plan.
                await Transaction(spec, producer, None, [partition], bounds).run()
            except TransactionFailedError as failed:
                raise failed.error from failed
            self._failures = 0
            self.on_offsets(partition.position - behind)

    def _group_spec(self, task: Task) -> GroupSpec[Replaying]:
        judge = replay_step if self.plan.source == "raw" else redrive_step

        def step(raw: RawRecord, state: Replaying) -> Sequence[Record]:
            return judge(raw, state, task)

        def new_store() -> Replaying:
            raise NotImplementedError("a store is made with its partition")

        return GroupSpec(
            name=self.plan.id,
            source=self.plan.source,
            changelog="replay-state",
            new_step=lambda: step,
            new_store=new_store,
            settings=self.settings,
            metrics=GroupMetrics(CollectorRegistry()),
            logs_input_offset=False,
        )

    async def _records(self, source: TopicPartition, one: Range) -> AsyncIterator[list[ConsumerRecord]]:
        """The records of the range, as many at a time as one transaction takes."""
        consumer = AIOKafkaConsumer(**reader_arguments(self.settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            await consumer.start()
            consumer.assign([source])
            consumer.seek(source, one.first)
            while await consumer.position(source) < one.end:
                found = await self._fetch(consumer, source)
                yield [record for batch in found.values() for record in batch if record.offset < one.end]
        finally:
            await stopped_within(CLOSE_TIMEOUT_S, consumer.stop())

    async def _fetch(self, consumer: AIOKafkaConsumer, source: TopicPartition) -> Batches:
        try:
            found: Batches = await consumer.getmany(timeout_ms=_FETCH_WAIT_MS, max_records=self.pace.records_max)
        except OffsetOutOfRangeError:
            position, first = await consumer.position(source), (await consumer.beginning_offsets([source]))[source]
            if position >= first:
                raise  # A new leader does not have it yet.
            raise DeletedError(
                f"{source.topic}, partition {source.partition}: offsets {position} to {first - 1} were deleted "
                f"before they were read; begin anew with --from {source.partition}:{first}"
            ) from None
        return found

    @asynccontextmanager
    async def _producer(self, one: Range) -> AsyncIterator[GroupProducer]:
        """A started producer: an earlier producer of the same name is fenced, and its transaction ended."""
        prefix = self.settings.kafka.topic_prefix
        # One redrive at a time may write: what is an event already must not change under it.
        owner = self.plan.id if self.plan.source == "raw" else "redrive"
        name = f"{prefix}{owner}-{full_name(self.plan.source, self.settings)}-{one.partition}"
        producer = GroupProducer(**transactional_producer_arguments(self.settings, transactional_id=name))
        try:
            async with asyncio.timeout(self.settings.process.transaction_timeout_ms / 1000):
                await producer.start()
            yield producer
        except (KafkaError, TimeoutError):
            # The start of the next producer aborts, and what is committed must not go with it.
            await producer.settle()
            raise
        finally:
            await stopped_within(CLOSE_TIMEOUT_S, stop_producer(producer))
