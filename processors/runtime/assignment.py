"""The partitions of a group that are this process's own: noted, opened, worked on, let go.

aiokafka logs and drops what a rebalance callback raises, and sends heartbeats during the revoked callback, but not
during the assigned one. So the callbacks only note and let go; opening waits for the next round. The lock is held while
partitions are opened and while a round runs, never while fetching: a revocation waits for a round and for no more.
"""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from processors.runtime.group_spec import GroupSpec
from processors.runtime.partition import Partition, open_partition
from processors.runtime.state_store import Kept, StoreT
from schemas.errors import DropstreamError

_log = structlog.get_logger()

Result = TypeVar("Result")
Batches = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class FencedError(DropstreamError):
    """Another process owns a partition that this one thought its own; only a fresh start is safe."""


@dataclass(eq=False)
class Assignment(ConsumerRebalanceListener, Generic[StoreT]):  # type: ignore[misc] # aiokafka ships no types
    """Which partitions are ours, and which of them are open."""

    spec: GroupSpec[StoreT]
    consumer: AIOKafkaConsumer
    _open: dict[TopicPartition, Partition[StoreT]] = field(default_factory=dict)
    # Stays when a partition goes and comes back: then only what is new in the changelog is read.
    _kept: dict[TopicPartition, Kept[StoreT]] = field(default_factory=dict)
    _noted: set[TopicPartition] = field(default_factory=set)
    _told: bool = False
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Producers on their way out: one with an open transaction ends only when its successor has fenced it.
    _leaving: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def open_count(self) -> int:
        """How many partitions are in work."""
        return len(self._open)

    @property
    def noted_count(self) -> int:
        """How many partitions wait to be opened."""
        return len(self._noted)

    @property
    def is_complete(self) -> bool:
        """Whether the group has told us our partitions, none maybe, and each is open."""
        return self._told and not self._noted

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Lets all partitions go, after the round that runs; they come back by `on_partitions_assigned`, or do not."""
        async with self._lock:
            self._told = False
            self._noted.clear()
            for source in list(self._open):
                self._drop(source)
            self._show()
        _log.info("partitions_revoked", group=self.spec.name, count=len(revoked))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Notes the partitions; nothing is fetched from one before it is open."""
        self._told = True
        for source in self._kept.keys() - set(assigned):
            self.spec.metrics.hide_partition(self.spec.name, source.partition)
        self.consumer.pause(*assigned)
        for source in assigned:
            # A position of some kind, or the client looks for one by itself; opening sets the real one.
            self.consumer.seek(source, 0)
        self._noted.update(assigned)
        self._kept = {source: self._kept.get(source) or Kept(self.spec.new_state()) for source in assigned}
        self._show()
        _log.info("partitions_assigned", group=self.spec.name, count=len(assigned))

    async def open_noted(self) -> Exception | None:
        """Opens the noted partitions side by side; the first error, where one stays closed and must be tried again."""
        if not self._noted:
            return None
        async with self._lock:
            self._noted &= self.consumer.assignment()
            self._show()
            errors = await asyncio.gather(*map(self._open_one, sorted(self._noted)))
        return next((error for error in errors if error is not None), None)

    async def reopen(self, sources: Collection[TopicPartition]) -> None:
        """Opens these partitions anew with the next round: their position is not one that the log has now."""
        async with self._lock:
            for source in self._open.keys() & set(sources):
                self._drop(source)
                self.consumer.pause(source)
                self._noted.add(source)
            self._show()

    async def process(self, batches: Batches) -> bool:
        """One transaction per partition, side by side; one that fails is opened anew later, and its records come again.

        Whether all went well.

        Raises:
            FencedError: a partition has a new owner.
        """
        async with self._lock:
            # Fetched before a partition was opened, or after it was let go: its owner fetches it again.
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
                    self.spec.metrics.count_outputs(self.spec.name, outputs or ())

    async def close(self, timeout_s: float) -> None:
        """Closes every partition; what has not ended after `timeout_s` is left to its time-out at the cluster."""
        async with self._lock:
            for source in list(self._open):
                self._drop(source)
        if self._leaving:
            _, late = await asyncio.wait(self._leaving, timeout=timeout_s)
            for task in late:
                task.cancel()

    async def _open_one(self, source: TopicPartition) -> Exception | None:
        spec = self.spec
        try:
            with spec.metrics.opening_seconds.labels(spec.name).time():
                self._open[source] = await open_partition(self.consumer, source, spec, self._kept[source])
        except (KafkaError, TimeoutError) as error:
            return error
        self._noted.discard(source)
        self.consumer.resume(source)
        self._show()
        return None

    async def _transact(self, partition: Partition[StoreT], records: Sequence[ConsumerRecord]) -> None:
        spec, source = self.spec, partition.source
        with spec.metrics.transaction_seconds.labels(spec.name).time():
            done = await self._attempt(partition, partition.transact(records))
        if done is None:
            return
        if done.taken < len(records):
            self.consumer.seek(source, done.offset_next)
        spec.metrics.count_input(spec.name, done.taken)
        spec.metrics.count_outputs(spec.name, done.outputs)
        lag = max(0, (self.consumer.highwater(source) or 0) - done.offset_next)
        spec.metrics.show_partition(spec.name, source.partition, lag=lag, state=partition.kept.state)

    async def _attempt(self, partition: Partition[StoreT], transaction: Awaitable[Result]) -> Result | None:
        """What the transaction gave; None where its fate is unknown, and then the partition is opened anew later."""
        spec, source = self.spec, partition.source
        try:
            return await transaction
        except ProducerFenced as error:
            raise FencedError(
                f"partition {source.partition} of {source.topic} has a new owner ({error}); this process ends"
            ) from error
        except (KafkaError, TimeoutError) as error:
            # Opening it anew ends the transaction, and goes back to what was really committed.
            _log.warning("transaction_failed", group=spec.name, partition=source.partition, error=repr(error))
            spec.metrics.transactions_failed.labels(spec.name).inc()
            self._drop(source)
            self.consumer.pause(source)
            self._noted.add(source)
            self._show()
            return None

    async def _read_until(self, now: datetime) -> datetime | None:
        """Up to when all that came has been read upstream; None while nobody can tell."""
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

    def _drop(self, source: TopicPartition) -> None:
        task = asyncio.create_task(self._open.pop(source).close())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        self._show()

    def _show(self) -> None:
        """Whatever changed `_open` or `_noted` calls it."""
        metrics, name = self.spec.metrics, self.spec.name
        metrics.partitions_open.labels(name).set(len(self._open))
        metrics.partitions_opening.labels(name).set(len(self._noted))
