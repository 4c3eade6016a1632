"""Partitions that failed, each by itself, on a producer where none of them can harm those that are at work.

They take turns, the ones with the fewest failures first, and one that goes on failing is tried ever more seldom. A
partition comes back when it has proved well. A record that Kafka refuses for good is searched for here, in ever smaller
transactions, and then its outputs are those of a refused record.
"""

import asyncio
from dataclasses import dataclass
from typing import Generic

from processors.runtime.assignment import Assignment
from processors.runtime.attempts import Attempts
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.producer_slot import QUICK_S, ProducerSlot
from processors.runtime.state_store import StoreT
from processors.runtime.transaction import TransactionFailedError
from schemas.late_log import LateLog

_log = LateLog()

_POLL_S = 0.02
# Where no records have come for so long, there is nothing to prove.
_IDLE_S = 1.0


@dataclass(slots=True, eq=False)
class Trials(Generic[StoreT]):
    """Tries the partitions of `assignment` that are on trial, one at a time, until it is cancelled."""

    assignment: Assignment[StoreT]
    attempts: Attempts[StoreT]
    slot: ProducerSlot
    _running: "asyncio.Task[None] | None" = None

    async def run(self) -> None:
        """Tries what is on trial until it is cancelled.

        Raises:
            FencedError: another process has the name of this one.
        """
        self.slot.on_doubt = self.assignment.trial_wanted.set
        try:
            while True:
                if self.slot.is_in_doubt:
                    self.slot.drop()
                if self.slot.producer is None:
                    await self.slot.start()
                partition = self._next() if self.assignment.member is not None else None
                if partition is None:
                    await self._pause()
                    continue
                self._running = asyncio.create_task(self._try(partition))
                await asyncio.wait({self._running})
                if not self._running.cancelled():
                    self._running.result()
        finally:
            await self.release()

    async def release(self) -> None:
        """Gives up the trial that runs."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _pause(self) -> None:
        if self.assignment.of(PartitionState.ON_TRIAL):
            await asyncio.sleep(_POLL_S)
        else:
            self.assignment.trial_wanted.clear()
            await self.assignment.trial_wanted.wait()

    def _next(self) -> Partition[StoreT] | None:
        """The partition whose turn it is; those that have nothing to prove, or cannot be told apart, are let go."""
        now = asyncio.get_running_loop().time()
        ready = []
        for partition in self.assignment.of(PartitionState.ON_TRIAL):
            trouble = partition.trouble
            if partition.is_busy:
                continue
            is_idle = not partition.records and now - trouble.tried_at > _IDLE_S
            if is_idle or (self.attempts.cluster_is_slow and trouble.records_max is None):
                self.assignment.trust(partition)
            elif partition.records and trouble.retry_at <= now and partition.may_go_on(now):
                ready.append(partition)
        return min(ready, key=lambda one: (one.trouble.failures, one.trouble.tried_at), default=None)

    async def _try(self, partition: Partition[StoreT]) -> None:
        if self.assignment.member is None:
            return  # A rebalance began before this task did.
        trouble = partition.trouble
        full_s = self.assignment.spec.settings.process.transaction_timeout_ms / 1000
        written_s = min(full_s, QUICK_S * 2 ** min(trouble.failures, 10))
        partition.is_busy = True
        trouble.tried_at = asyncio.get_running_loop().time()
        try:
            took_s = await self.attempts.run(self.slot, [partition], written_s=written_s, until=None)
        except TransactionFailedError as failed:
            if failed.is_doubt:
                return  # It says nothing of the partition; the next start of the producer clears it.
            if failed.refused and failed.fate_known:
                self._search(partition, failed)
            else:
                self.attempts.blamed(failed)
                self._fail(partition, failed)
        else:
            trouble.tried_at = asyncio.get_running_loop().time()
            if took_s is not None:
                self._succeed(partition, is_quick=took_s < QUICK_S)
        finally:
            partition.is_busy = False

    def _succeed(self, partition: Partition[StoreT], *, is_quick: bool) -> None:
        trouble = partition.trouble
        for offset in [one for one in trouble.refused if one < partition.position]:
            del trouble.refused[offset]
        if not trouble.prove(is_quick=is_quick):
            return
        if trouble.records_max is None:
            self.assignment.trust(partition)
            return
        # Larger ones again, a step at a time: maybe it was a batch that is too large, and no record.
        trouble.records_max, trouble.proved = 2 * trouble.records_max, 0
        if trouble.records_max >= self.assignment.spec.settings.process.records_per_round_max:
            trouble.records_max = None

    def _search(self, partition: Partition[StoreT], failed: TransactionFailedError) -> None:
        """Kafka refuses a record for good: the next transaction has half as many, until it is the only one."""
        spec, trouble = self.assignment.spec, partition.trouble
        if failed.taken > 1:
            trouble.records_max = failed.taken // 2
            return
        offset = partition.records[0].offset
        if offset in trouble.refused or spec.refused is None:
            self._fail(partition, failed)
            return
        trouble.records_max = 1
        trouble.refused[offset] = type(failed.error).__name__.removesuffix("Error")
        _log.error(
            "record_refused",
            group=spec.name,
            topic=partition.source.topic,
            partition=partition.source.partition,
            offset=offset,
            error=repr(failed.error),
        )

    def _fail(self, partition: Partition[StoreT], failed: TransactionFailedError) -> None:
        trouble = partition.trouble
        backoff_s = trouble.add(repr(failed.error), asyncio.get_running_loop().time())
        _log.warning(
            "partition_failed",
            group=self.assignment.spec.name,
            topic=partition.source.topic,
            partition=partition.source.partition,
            offset=partition.position,
            failures=trouble.failures,
            error=trouble.reason,
            retry_in_s=backoff_s,
        )
