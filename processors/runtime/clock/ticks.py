"""Time alone can make outputs due: once a second this finds where, and has the rounds write them.

It looks at partitions that are caught up only, up to a moment whose records were all read upstream: what a record may
still say, time must not say first.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from aiokafka.errors import KafkaError

from processors.runtime.assignment import Assignment
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.rounds import Rounds
from processors.runtime.state_store import StoreT
from schemas.kafka.futures import retrieve_exception
from schemas.kafka.group_member import client_of
from schemas.kafka.high_watermarks import high_watermark
from schemas.late_log import LateLog

_log = LateLog()

_EVERY_S = 1.0
_WITNESS_WITHIN_S = 5.0
# For the ends of all partitions together; those whose leader has not answered by then are asked again.
_END_WITHIN_S = 2.0


@dataclass(slots=True, eq=False)
class Ticks(Generic[StoreT]):
    """Punctuates the partitions of `assignment` until it is cancelled."""

    assignment: Assignment[StoreT]
    rounds: Rounds[StoreT]
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Looks once a second, until it is cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            now = self.clock()
            if not self._due(now) or (believed := await self._believed(now)) is None or not self._due(believed):
                continue
            until = await self._read_until(believed)
            if until is None:
                continue
            # Looked for anew: while the cluster was asked, a partition may have begun a transaction.
            due = await self._caught_up(self._due(believed))
            if due:
                self.rounds.tick(due, until)

    def _due(self, now: datetime) -> list[Partition[StoreT]]:
        """The partitions where something is due by `now`, and nothing else is to be done."""
        open_ones = self.assignment.of(PartitionState.OPEN)
        return [one for one in open_ones if _is_idle(one) and self._is_due(one, now)]

    def _is_due(self, partition: Partition[StoreT], now: datetime) -> bool:
        store = partition.store
        due = bool(self.assignment.spec.punctuate(store, now) or store.changes())
        store.roll_back()
        return due

    async def _believed(self, now: datetime) -> datetime | None:
        """The moment up to which the clock is believed; None while nobody can say."""
        spec, consumer = self.assignment.spec, self.assignment.consumer
        if spec.witness is None:
            return now
        receipts = [spec.newest_receipt(one.store) for one in self.assignment.of(PartitionState.OPEN)]
        try:
            async with asyncio.timeout(_WITNESS_WITHIN_S):
                return await spec.witness.believed(
                    consumer,
                    client_of(consumer),
                    clock=now,
                    monotonic_s=time.monotonic(),
                    newest=max((one for one in receipts if one is not None), default=None),
                )
        except (KafkaError, TimeoutError) as error:
            _log.warning("witness_unknown", group=spec.name, error=repr(error))
            return None

    async def _read_until(self, now: datetime) -> datetime | None:
        """Up to when all records have been read upstream; None while nobody can say."""
        spec, consumer = self.assignment.spec, self.assignment.consumer
        if spec.upstream is None:
            return now
        try:
            return await spec.upstream.read_until(consumer, client_of(consumer), now)
        except (KafkaError, TimeoutError) as error:
            _log.warning("upstream_unknown", group=spec.name, error=repr(error))
            return None

    async def _caught_up(self, partitions: Sequence[Partition[StoreT]]) -> list[Partition[StoreT]]:
        """Those of `partitions` of which all is read that lies there now, and with nothing else to be done.

        Their leaders are asked side by side, for fetches come at intervals: one that is silent holds up no other.
        """
        if not partitions:
            return []
        asked = {asyncio.create_task(self._is_caught_up(one)): one for one in partitions}
        try:
            done, silent = await asyncio.wait(asked, timeout=_END_WITHIN_S)
        finally:
            for task in asked:
                task.add_done_callback(retrieve_exception)
                task.cancel()
        if silent:
            numbers = sorted(asked[task].source.partition for task in silent)
            _log.warning("end_unknown", group=self.assignment.spec.name, partitions=numbers)
        # Looked at anew: while one leader was waited for, another's partition may have got records or gone.
        caught_up = [one for task, one in asked.items() if task in done and task.result()]
        return [one for one in caught_up if self.assignment.holds(one) and _is_idle(one)]

    async def _is_caught_up(self, partition: Partition[StoreT]) -> bool:
        consumer = self.assignment.consumer
        if not self.assignment.holds(partition):
            return False
        try:
            end = await high_watermark(consumer, partition.source)
            return self.assignment.holds(partition) and await consumer.position(partition.source) >= end
        except KafkaError as error:
            _log.warning("end_unknown", group=self.assignment.spec.name, error=repr(error))
            return False


def _is_idle(partition: Partition[StoreT]) -> bool:
    return partition.state is PartitionState.OPEN and not partition.is_busy and not partition.records
