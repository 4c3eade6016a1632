"""Time alone can make outputs due: once a second this finds where, and has the rounds write them.

It looks at partitions that are caught up only, up to a moment whose records were all read upstream: what a record may
still say, time must not say first.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from aiokafka.errors import KafkaError

from processors.runtime.assignment import Assignment
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.rounds import Rounds
from processors.runtime.state_store import StoreT
from schemas.kafka.group_member import client_of
from schemas.late_log import LateLog

_log = LateLog()

_EVERY_S = 1.0
_WITNESS_WITHIN_S = 5.0


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
            due = [one for one in self._due(believed) if await self._is_caught_up(one)]
            if due:
                self.rounds.tick(due, until)

    def _due(self, now: datetime) -> list[Partition[StoreT]]:
        """The partitions where something is due by `now`, and nothing else is to be done."""
        idle = [one for one in self.assignment.of(PartitionState.OPEN) if not one.is_busy and not one.records]
        return [one for one in idle if self._is_due(one, now)]

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

    async def _is_caught_up(self, partition: Partition[StoreT]) -> bool:
        consumer = self.assignment.consumer
        if not self.assignment.holds(partition):
            return False
        end = consumer.highwater(partition.source)
        return end is not None and await consumer.position(partition.source) >= end
