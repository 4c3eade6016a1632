"""The partitions that the group has assigned to this process: pending, open, in a transaction, closing.

aiokafka logs and drops what a rebalance callback raises, and sends heartbeats during the revoked callback, but not
during the assigned one. So the callbacks only record the assignment and close partitions; opening waits for the next
round. The lock is held while partitions are opened and while a round runs, never while fetching: a revocation waits for
one round and for no more.
"""

import asyncio
from collections.abc import Awaitable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from processors.runtime.group_spec import GroupSpec
from processors.runtime.partition import Partition, open_partition
from processors.runtime.state_store import LocalStoreError, StoreT
from schemas.errors import DropstreamError
from schemas.records import Record

_log = structlog.get_logger()

Result = TypeVar("Result")
Batches = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class FencedError(DropstreamError):
    """Another process owns a partition that this one took for its own; only a fresh start is safe."""


@dataclass(eq=False)
class Assignment(ConsumerRebalanceListener, Generic[StoreT]):  # type: ignore[misc] # aiokafka ships no types
    """The assigned partitions of one group, and which of them are open."""

    spec: GroupSpec[StoreT]
    consumer: AIOKafkaConsumer
    # How many partitions may be read, None for all. One beyond stays paused: its layout does not count yet.
    readable: int | None = None
    _assigned: bool = False
    # Assigned, and to be opened with the next round.
    _pending: set[TopicPartition] = field(default_factory=set)
    _open: dict[TopicPartition, Partition[StoreT]] = field(default_factory=dict)
    # A store stays when its partition goes and comes back: then only the new part of the changelog is read.
    _stores: dict[TopicPartition, StoreT] = field(default_factory=dict)
    # Producers that stop: one with an open transaction ends only when the next owner has fenced it.
    _closing: set["asyncio.Task[None]"] = field(default_factory=set)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def open_count(self) -> int:
        """How many partitions are open."""
        return len(self._open)

    @property
    def pending_count(self) -> int:
        """How many partitions wait to be opened."""
        return len(self._pending)

    @property
    def is_complete(self) -> bool:
        """Whether the group has assigned partitions to this process, maybe none, and each of them is open."""
        return self._assigned and not self._pending

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Closes all partitions after the running round; those that stay come back by `on_partitions_assigned`."""
        async with self._lock:
            self._assigned = False
            self._pending.clear()
            for source in list(self._open):
                self._close(source)
            self._show()
        _log.info("partitions_revoked", group=self.spec.name, count=len(revoked))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Makes the partitions pending; nothing is fetched from a partition before it is open."""
        self._assigned = True
        for source in self._stores.keys() - set(assigned):
            self.spec.metrics.hide_partition(self.spec.name, source.partition)
            self._run_to_its_end(self._stores[source].close())
        self.consumer.pause(*assigned)
        for source in assigned:
            # A position of some kind, or the client looks for one by itself; opening sets the real one.
            self.consumer.seek(source, 0)
        readable = self.readable
        self._pending.update(one for one in assigned if readable is None or one.partition < readable)
        self._stores = {source: self._stores.get(source) or self.spec.new_store() for source in assigned}
        self._show()
        _log.info("partitions_assigned", group=self.spec.name, count=len(assigned))

    async def open_pending(self) -> Exception | None:
        """Opens the pending partitions side by side; the first error, where one stays pending and is tried again."""
        if not self._pending:
            return None
        async with self._lock:
            self._pending &= self.consumer.assignment()
            self._show()
            errors = await asyncio.gather(*map(self._open_one, sorted(self._pending)))
        return next((error for error in errors if error is not None), None)

    async def reopen(self, sources: Collection[TopicPartition]) -> None:
        """Opens these partitions anew with the next round: the log does not have their position now."""
        async with self._lock:
            for source in self._open.keys() & set(sources):
                self._close_to_reopen(source)

    async def process(self, batches: Batches) -> bool:
        """One transaction per partition, side by side; False if one failed: its records come again when it is reopened.

        Raises:
            FencedError: a partition has a new owner.
        """
        async with self._lock:
            # A partition that is not open: fetched before it was opened, or after it was closed. Its owner fetches it.
            owned = [(self._open[source], records) for source, records in batches.items() if source in self._open]
            try:
                async with asyncio.TaskGroup() as transactions:
                    for partition, records in owned:
                        transactions.create_task(self._transact(partition, records))
            except ExceptionGroup as group:
                raise group.exceptions[0] from group  # One reason to end is enough.
            return all(partition.source in self._open for partition, _ in owned)

    async def punctuate(self, now: datetime) -> None:
        """Writes what time alone has made due, where nothing is left to read here and upstream.

        Call it when all fetched records are processed.
        """
        if not any(partition.is_due(now) for partition in self._open.values()):
            return
        until = await self._read_until(now)
        if until is None:
            return
        async with self._lock:
            for partition in list(self._open.values()):
                if await self._is_caught_up(partition.source):
                    outputs = await self._attempt(partition, partition.punctuate(until))
                    self._count(outputs or ())

    async def close(self, timeout_s: float) -> None:
        """Closes every partition; one that is not closed after `timeout_s` is left to its time-out at the cluster."""
        async with self._lock:
            for source in list(self._open):
                self._close(source)
            for store in self._stores.values():
                self._run_to_its_end(store.close())
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=timeout_s)
            for task in late:
                task.cancel()

    async def _open_one(self, source: TopicPartition) -> Exception | None:
        spec = self.spec
        try:
            with spec.metrics.opening_seconds.labels(spec.name).time():
                self._open[source] = await open_partition(self.consumer, source, spec, self._stores[source])
        except (KafkaError, TimeoutError, LocalStoreError) as error:
            return error
        self._pending.discard(source)
        self.consumer.resume(source)
        self._show()
        return None

    async def _transact(self, partition: Partition[StoreT], records: Sequence[ConsumerRecord]) -> None:
        spec, source = self.spec, partition.source
        with spec.metrics.transaction_seconds.labels(spec.name).time():
            committed = await self._attempt(partition, partition.transact(records))
        if committed is None:
            return
        if committed.taken < len(records):
            self.consumer.seek(source, committed.next_offset)
        spec.metrics.count_input(spec.name, committed.taken)
        self._count(committed.outputs)
        lag = max(0, (self.consumer.highwater(source) or 0) - committed.next_offset)
        spec.metrics.show_partition(spec.name, source.partition, lag=lag, store=partition.store)

    async def _attempt(self, partition: Partition[StoreT], transaction: Awaitable[Result]) -> Result | None:
        """The transaction's result; None where nobody knows whether it is committed, and the partition is reopened."""
        spec, source = self.spec, partition.source
        try:
            return await transaction
        except ProducerFenced as error:
            raise FencedError(
                f"partition {source.partition} of {source.topic} has a new owner ({error}); this process ends"
            ) from error
        except (KafkaError, TimeoutError, LocalStoreError) as error:
            # Opening it anew ends the transaction, and goes back to what was really committed.
            _log.warning("transaction_failed", group=spec.name, partition=source.partition, error=repr(error))
            spec.metrics.transactions_failed.labels(spec.name).inc()
            self._close_to_reopen(source)
            return None

    async def _read_until(self, now: datetime) -> datetime | None:
        """Up to when all records have been read upstream; None while nobody can say."""
        if self.spec.upstream is None:
            return now
        client = next(iter(self._open.values())).producer.client
        try:
            return await self.spec.upstream.read_until(self.consumer, client, now)
        except (KafkaError, TimeoutError) as error:
            _log.warning("upstream_unknown", group=self.spec.name, error=repr(error))
            return None

    async def _is_caught_up(self, source: TopicPartition) -> bool:
        end = self.consumer.highwater(source)
        return end is not None and await self.consumer.position(source) >= end

    def _close(self, source: TopicPartition) -> None:
        self._run_to_its_end(self._open.pop(source).close())
        self._show()

    def _run_to_its_end(self, closing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _close_to_reopen(self, source: TopicPartition) -> None:
        self._close(source)
        self.consumer.pause(source)
        self._pending.add(source)
        self._show()

    def _count(self, outputs: Sequence[Record]) -> None:
        self.spec.metrics.count_outputs(self.spec.name, outputs)
        self.spec.count_outputs(outputs)

    def _show(self) -> None:
        """Shows how many partitions are open and pending; every change of either calls it."""
        metrics, name = self.spec.metrics, self.spec.name
        metrics.partitions_open.labels(name).set(len(self._open))
        metrics.partitions_opening.labels(name).set(len(self._pending))
