"""Partitions are opened here, in the background: nothing that works waits for one that does not open.

The order is the proof that nothing is processed twice: the assigned callback has noted who this process is; then the
committed offset, once no transaction can move it any more; then the end of the changelog; then what is committed in the
changelog up to there; then the consumer is set. `docs/architecture.md` has the argument.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processors.runtime.assignment import Assignment
from processors.runtime.changelog import restore_store
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.state_store import LocalStoreError, StoreT
from schemas.errors import DropstreamError
from schemas.kafka.committed_offsets import stable_offsets
from schemas.kafka.group_member import client_of
from schemas.late_log import LateLog

_log = LateLog()

# Stores that are read at once: each takes computation and memory of its own.
_AT_ONCE = 4
_POLL_S = 0.1
_UNSTABLE_POLL_S = 0.02
_TOLD_AFTER_S = 2.0


@dataclass(slots=True, eq=False)
class Opening(Generic[StoreT]):
    """Opens the partitions of `assignment` that wait for it; `run` goes on until it is cancelled."""

    assignment: Assignment[StoreT]
    _running: dict[TopicPartition, "asyncio.Task[None]"] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _unstable_since: dict[TopicPartition, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Opens what waits to be opened, until it is cancelled.

        Raises:
            Exception: a fault of the program, in one of the partitions.
        """
        try:
            while True:
                waiting = self._due()
                await (self._begin(waiting) if waiting else self._pause())
                for task in [one for one in self._running.values() if one.done()]:
                    task.result()
        finally:
            await self.cancel()

    async def cancel(self) -> None:
        """Ends what is being opened; the stores keep what they have read."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._running.clear()
        self._unstable_since.clear()

    async def _pause(self) -> None:
        if self._running or self.assignment.opening_count:
            await asyncio.sleep(_POLL_S)
        else:
            self.assignment.opening_wanted.clear()
            await self.assignment.opening_wanted.wait()

    def _due(self) -> list[Partition[StoreT]]:
        now = asyncio.get_running_loop().time()
        self._running = {source: task for source, task in self._running.items() if not task.done()}
        if self.assignment.member is None:
            return []
        opening = self.assignment.of(PartitionState.OPENING)
        return [one for one in opening if one.source not in self._running and one.trouble.retry_at <= now]

    async def _begin(self, waiting: Sequence[Partition[StoreT]]) -> None:
        """Asks for the committed offsets of all that wait, in one request, and goes on with those that are stable."""
        assignment = self.assignment
        timeout_s = assignment.spec.settings.process.transaction_timeout_ms / 1000
        sources = [one.source for one in waiting]
        try:
            async with asyncio.timeout(timeout_s):
                client = client_of(assignment.consumer)
                committed = await stable_offsets(client, assignment.spec.id, sources)
        except (KafkaError, TimeoutError) as error:
            assignment.spec.metrics.rounds_failed.labels(assignment.spec.name, "partition_not_opened").inc()
            _log.warning("committed_offsets_unknown", group=assignment.spec.name, error=repr(error))
            await asyncio.sleep(_POLL_S * 5)
            return
        for partition in waiting:
            if not assignment.holds(partition):
                continue
            if partition.source in committed:
                self._unstable_since.pop(partition.source, None)
                task = asyncio.create_task(self._open(partition, committed[partition.source]))
                self._running[partition.source] = task
            else:
                self._tell_unstable(partition)
        await asyncio.sleep(_UNSTABLE_POLL_S)

    def _tell_unstable(self, partition: Partition[StoreT]) -> None:
        """Says once that a former owner's transaction holds a partition up."""
        now = time.monotonic()
        since = self._unstable_since.setdefault(partition.source, now)
        if since != float("inf") and now - since > _TOLD_AFTER_S:
            self._unstable_since[partition.source] = float("inf")
            _log.info("offset_unstable", group=self.assignment.spec.name, partition=partition.name)

    async def _open(self, partition: Partition[StoreT], committed: int | None) -> None:
        assignment, spec = self.assignment, self.assignment.spec
        try:
            async with self._slots:
                with spec.metrics.opening_seconds.labels(spec.name).time():
                    async with asyncio.timeout(spec.settings.process.transaction_timeout_ms / 1000):
                        begin = await assignment.consumer.beginning_offsets([partition.source])
                    await restore_store(partition.store, spec.changelog_of(partition.source), spec.settings)
        except (KafkaError, TimeoutError, LocalStoreError, DropstreamError) as error:
            backoff_s = partition.trouble.add(
                str(error) or repr(error), asyncio.get_running_loop().time(), of_opening=True
            )
            spec.metrics.rounds_failed.labels(spec.name, "partition_not_opened").inc()
            _log.warning(
                "partition_not_opened",
                group=spec.name,
                partition=partition.name,
                offset=committed,
                error=partition.trouble.reason,
                retry_in_s=backoff_s,
            )
            return
        if assignment.holds(partition):
            self._set_to_work(partition, committed, begin[partition.source])

    def _set_to_work(self, partition: Partition[StoreT], committed: int | None, first: int) -> None:
        spec = self.assignment.spec
        # The cluster forgets the offsets of a group that was away for a week (`offsets.retention.minutes`), and a
        # coordinator that resigns can say "nothing committed" (KAFKA-20416); the changelog knows.
        known = partition.store.input_offset if committed is None else committed
        offset = max(known, first)
        if 0 < known < offset:
            _log.error("deliveries_deleted_unread", group=spec.name, partition=partition.name, count=offset - known)
        self.assignment.opened(partition, offset)
        _log.info(
            "partition_opened",
            group=spec.name,
            partition=partition.name,
            offset=offset,
            committed=committed,
            remembered=partition.store.entries,
        )
