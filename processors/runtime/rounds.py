"""The rounds of a group: which partitions go together into a transaction, and what becomes of one that fails.

A few producers share all partitions that are at work. One that is free takes every partition that has records and is
in no other transaction: so there are few rounds where little comes, and they run side by side where much does. Where
one fails, the partitions that Kafka did not take leave for `processors.runtime.trials`; the others go on at once.
"""

import asyncio
import math
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic

from processors.runtime.assignment import Assignment
from processors.runtime.attempts import Attempts
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.producer_slot import ProducerSlot
from processors.runtime.state_store import StoreT
from processors.runtime.transaction import TransactionFailedError
from schemas.late_log import LateLog

_log = LateLog()

# After transactions that failed one after the other, and for which no partition is to blame.
_BACKOFF_FIRST_S = 0.05
_BACKOFF_MAX_S = 2.0
# A rebalance waits so long for the transactions that run; then they are given up, and their records come again.
_RELEASE_S = 3.0


@dataclass(slots=True, eq=False)
class _Running(Generic[StoreT]):
    """A producer at work, and what it has taken; nothing while it is being started."""

    slot: ProducerSlot
    partitions: Sequence[Partition[StoreT]]


@dataclass(slots=True, eq=False)
class Rounds(Generic[StoreT]):
    """Takes the partitions of `assignment` that are at work into transactions of `slots`, until it is cancelled."""

    assignment: Assignment[StoreT]
    attempts: Attempts[StoreT]
    slots: Sequence[ProducerSlot]
    _free: list[ProducerSlot] = field(default_factory=list)
    _running: dict["asyncio.Task[None]", _Running[StoreT]] = field(default_factory=dict)
    _ticks: dict[Partition[StoreT], datetime] = field(default_factory=dict)
    _failures: int = 0
    # The last transaction was one of a backlog, so the next one is not, where only one can begin.
    _was_behind: bool = True

    async def run(self) -> None:
        """Goes round until it is cancelled; then the transactions that run are ended first.

        Raises:
            FencedError: another process has the name of this one.
            DropstreamError: a step found that it cannot go on.
        """
        changed = self.assignment.changed
        for slot in self.slots:
            slot.on_doubt = changed.set
            self._begin(self._start(slot), slot, ())
        try:
            while True:
                await changed.wait()
                changed.clear()
                self._reap()
                for slot in [one for one in self._free if one.is_in_doubt]:
                    self._free.remove(slot)
                    self._begin(self._start(slot), slot, ())
                while self._free and (chosen := self._chosen()):
                    slot = self._free.pop(0)
                    self._begin(self._round(slot, *chosen), slot, chosen[0])
        finally:
            await self.release()
            left = list(self._running)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def release(self) -> None:
        """Ends the transactions that run: waits for them a little, then gives them up."""
        rounds = [task for task, one in self._running.items() if one.partitions]
        if rounds:
            await asyncio.wait(rounds, timeout=_RELEASE_S)
            for task in rounds:
                task.cancel()
            await asyncio.wait(rounds)

    def tick(self, partitions: Collection[Partition[StoreT]], until: datetime) -> None:
        """The next round writes what time alone has made due there by `until` (aware), where nothing has come since."""
        self._ticks = dict.fromkeys(partitions, until)
        self.assignment.changed.set()

    def _begin(
        self, work: Coroutine[None, None, None], slot: ProducerSlot, partitions: Sequence[Partition[StoreT]]
    ) -> None:
        for partition in partitions:
            partition.is_busy = True
        task = asyncio.create_task(work)
        self._running[task] = _Running(slot, partitions)
        task.add_done_callback(lambda _: self.assignment.changed.set())

    def _reap(self) -> None:
        """Takes back the producers that are free; raises what a round ended with."""
        for task in [one for one in self._running if one.done()]:
            slot = self._running.pop(task).slot
            if not task.cancelled():
                task.result()
            if task.cancelled() or slot.producer is None:
                # Not in the round that failed: a rebalance waits for rounds, and ends those that take long.
                self._begin(self._start(slot), slot, ())
            else:
                self._free.append(slot)

    async def _start(self, slot: ProducerSlot) -> None:
        slot.drop()
        await slot.start()

    async def _round(self, slot: ProducerSlot, partitions: Sequence[Partition[StoreT]], until: datetime | None) -> None:
        """One transaction, and what follows from its end."""
        try:
            # Gone where a rebalance began before this task did.
            if self.assignment.member is not None:
                took_s = await self.attempts.run(slot, partitions, written_s=slot.patience_s, until=until)
                if took_s is not None:
                    slot.prove(took_s)
                    self._failures = 0
        except TransactionFailedError as failed:
            if failed.is_doubt:
                return  # The next start of the producer clears it.
            slot.give_up()
            blamed = self.attempts.blamed(failed)
            for partition in partitions:
                if partition.source in blamed:
                    self.assignment.try_alone(partition, repr(failed.error))
            if not blamed:
                await self._back_off()
        finally:
            for partition in partitions:
                partition.is_busy = False
                if partition.waits_until:
                    asyncio.get_running_loop().call_at(partition.waits_until, self.assignment.changed.set)
            self.assignment.changed.set()

    def _chosen(self) -> tuple[Sequence[Partition[StoreT]], datetime | None] | None:
        """The partitions of the next transaction, and the moment of a tick; None where there is nothing to do.

        Backlogs have transactions of their own, so that what is small waits for none of their steps.
        """
        if self.assignment.member is None:
            return None
        now = asyncio.get_running_loop().time()
        ready = [one for one in self.assignment.of(PartitionState.OPEN) if not one.is_busy and one.may_go_on(now)]
        ticking = [one for one in ready if one in self._ticks and not one.records]
        small = [one for one in ready if one.records and not one.is_behind]
        behind = [one for one in ready if one.records and one.is_behind]
        if behind and (not small or (len(self._free) == 1 and not self._was_behind)):
            self._was_behind = True
            return behind[: math.ceil(len(behind) / len(self._free))], None
        if not (small or ticking):
            return None
        self._was_behind = False
        until = self._ticks[ticking[0]] if ticking else None
        self._ticks = {}
        return [*small, *ticking], until

    async def _back_off(self) -> None:
        """Waits where no partition is to blame: the cluster is, and it is not helped by trying faster."""
        backoff_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(self._failures, 10))
        self._failures += 1
        spec = self.assignment.spec
        spec.metrics.rounds_failed.labels(spec.name, "round_incomplete").inc()
        _log.warning("round_incomplete", group=spec.name, retry_in_s=backoff_s)
        await asyncio.sleep(backoff_s)
