"""What a group fetches: records of every partition that is at work, as far as the process has room for their bytes.

Fetching waits for nothing else: neither for a transaction nor for a partition that fails. It goes round at the group's
interval while records come, for each answer of a node costs as much as it has partitions.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Generic

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from processors.runtime.assignment import Assignment
from processors.runtime.connection import Connection
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.state_store import StoreT
from schemas.errors import DropstreamError
from schemas.kafka.futures import retrieve_exception
from schemas.late_log import LateLog

_log = LateLog()

Batches = Mapping[TopicPartition, Sequence[ConsumerRecord]]

_FETCH_WAIT_MS = 200
# What lies there when a fetch begins comes within a few milliseconds.
_MORE_WAIT_MS = 5
# Records are unpacked when they are taken: so many, and the event loop gets its turn.
_RECORDS_AT_ONCE = 500
_TURN_S = 1.0
# Consecutive failures after which an error that no retry mends ends the process.
_FAILURES_MAX = 5
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0


@dataclass(slots=True, eq=False)
class Intake(Generic[StoreT]):
    """Fetches for the partitions of `assignment` until `stopping` is set. `turned_at` is when it last went round."""

    assignment: Assignment[StoreT]
    stopping: asyncio.Event
    connection: Connection
    turned_at: float | None = None
    failures: int = 0
    _waiter: "asyncio.Task[bool] | None" = None

    async def run(self) -> None:
        """Fetches until `stopping` is set.

        Raises:
            DropstreamError: fetching fails for good.
        """
        loop = asyncio.get_running_loop()
        interval_s = self.assignment.spec.settings.process.commit_interval_ms / 1000
        has_paused = False
        try:
            while not self.stopping.is_set():
                first = await self._fetched(_FETCH_WAIT_MS)
                # The interval begins with a record: after a silence the next ones are gathered for a whole one.
                began = loop.time()
                # One node answers behind another, and what it has would lie until the next round.
                late = first and has_paused and self.assignment.consumer.awaits_more
                more = await self._fetched(_MORE_WAIT_MS) if late else {}
                count = self._take_in(first, more)
                has_paused = 0 < count < _RECORDS_AT_ONCE
                await self._pause(began + interval_s - loop.time() if has_paused else 0.0)
        finally:
            self._stop_waiter().cancel()

    def _take_in(self, *fetched: Batches) -> int:
        """Gives the records to their partitions, and pauses those that have enough; returns how many there were."""
        assignment, account = self.assignment, self.assignment.spec.account
        count = 0
        for source, records in chain.from_iterable(batches.items() for batches in fetched):
            partition = assignment.get(source)
            # Fetched before the partition was opened, or after it was closed. Its owner fetches it.
            if partition is None or partition.is_paused or partition.state is PartitionState.OPENING:
                continue
            account.fetched += partition.add(records)
            count += len(records)
        self._balance()
        if count:
            assignment.changed.set()
        return count

    def _balance(self) -> None:
        """Fetches from partitions whose share of the bytes is not used up, and from none where all room is.

        Where those use it up that do not get on, one that has nothing in hand is fetched from all the same.
        """
        assignment, account = self.assignment, self.assignment.spec.account
        working = [one for one in assignment if one.state is not PartitionState.OPENING]
        account.held[assignment.spec.name] = sum(one.bytes_count for one in working if not one.gets_on)
        share = account.share_of(len(working))
        records_max = 2 * assignment.spec.settings.process.records_per_round_max
        for partition in working:
            has_enough = partition.bytes_count >= share or len(partition.records) >= records_max
            if has_enough or (account.is_full and partition.records):
                assignment.pause(partition)
            elif partition.is_paused and self._has_room(partition, share):
                assignment.resume(partition)

    def _has_room(self, partition: Partition[StoreT], share: int) -> bool:
        account = self.assignment.spec.account
        if account.is_full:
            return account.is_full_of_held and not partition.records
        return partition.bytes_count <= share // 2

    async def _fetched(self, wait_ms: int) -> Batches:
        """The fetched records; none where the cluster is away or `stopping` is set.

        Raises:
            DropstreamError: fetching fails for good.
        """
        # A cancelled fetch never leaves its fetch context, and one waits without bound while the group rebalances.
        fetch = asyncio.ensure_future(
            self.assignment.consumer.getmany(timeout_ms=wait_ms, max_records=_RECORDS_AT_ONCE)
        )
        while not fetch.done() and not self.stopping.is_set():
            self._look()
            await asyncio.wait({fetch, self._stop_waiter()}, timeout=_TURN_S, return_when=asyncio.FIRST_COMPLETED)
        if not fetch.done():
            fetch.add_done_callback(retrieve_exception)
            return {}
        try:
            found: Batches = fetch.result()
        except OffsetOutOfRangeError as error:
            for source in error.args[0]:
                if (partition := self.assignment.get(source)) is not None:
                    self.assignment.reopen(partition)
            await self._back_off("position_out_of_range", error)
            return {}
        except KafkaError as error:
            if not error.retriable and self.failures > _FAILURES_MAX:
                name = self.assignment.spec.name
                raise DropstreamError(f"group {name} cannot fetch any more: {error!r}") from error
            await self._back_off("fetch_failed", error)
            return {}
        self.failures = 0
        return found

    async def _back_off(self, event: str, error: BaseException) -> None:
        spec = self.assignment.spec
        backoff_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(self.failures, 10))
        self.failures += 1
        spec.metrics.rounds_failed.labels(spec.name, event).inc()
        _log.warning(event, group=spec.name, error=repr(error), retry_in_s=round(backoff_s, 1))
        await self._pause(backoff_s)

    async def _pause(self, seconds: float) -> None:
        """Waits, but not past `stopping`; at least for one turn of the event loop, and with an eye on the cluster."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        while True:
            await asyncio.wait({self._stop_waiter()}, timeout=max(0.0, min(_TURN_S, ends_at - loop.time())))
            if self.stopping.is_set() or loop.time() >= ends_at:
                return
            self._look()

    def _look(self) -> None:
        self.turned_at = asyncio.get_running_loop().time()
        self.connection.observe()

    def _stop_waiter(self) -> "asyncio.Task[bool]":
        """One task for the whole run that ends when `stopping` is set."""
        if self._waiter is None:
            self._waiter = asyncio.create_task(self.stopping.wait())
        return self._waiter
