"""The partitions that the group has assigned to this process, each with what is done with it now.

aiokafka logs and drops what a rebalance callback raises, and sends heartbeats during the revoked callback, but not
during the assigned one. So the callbacks only note the assignment, and end what runs; opening is done elsewhere
(`processors.runtime.opening`). The group rebalances eagerly: all partitions go, and those that stay come back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Generic

from aiokafka import ConsumerRebalanceListener, TopicPartition

from processors.runtime.group_spec import GroupSpec
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.state_store import StoreT
from schemas.kafka.group_consumer import GroupConsumer
from schemas.kafka.group_member import GroupMember, member_of
from schemas.late_log import LateLog

_log = LateLog()


@dataclass(eq=False)
class Assignment(ConsumerRebalanceListener, Generic[StoreT]):  # type: ignore[misc] # aiokafka ships no types
    """The assigned partitions of one group; `release` ends what runs on them, in bounded time."""

    spec: GroupSpec[StoreT]
    consumer: GroupConsumer
    release: Callable[[], Awaitable[None]]
    # How many partitions may be read, None for all. One beyond stays paused: its layout does not count yet.
    readable: int | None = None
    # Set whenever there may be something to do: records, a partition that changed its state, a producer that is free.
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    opening_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    trial_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    # As the coordinator knows this process in the running generation; None between two generations.
    member: GroupMember | None = None
    _partitions: dict[TopicPartition, Partition[StoreT]] = field(default_factory=dict)
    # A store stays when its partition goes and comes back: then only the new part of the changelog is read.
    _stores: dict[TopicPartition, StoreT] = field(default_factory=dict)
    _closing: set["asyncio.Task[None]"] = field(default_factory=set)
    _assigned: bool = False

    def __iter__(self) -> Iterator[Partition[StoreT]]:
        return iter(self._partitions.values())

    def get(self, source: TopicPartition) -> Partition[StoreT] | None:
        """The partition, while it is assigned."""
        return self._partitions.get(source)

    def of(self, state: PartitionState) -> list[Partition[StoreT]]:
        """The partitions in this state."""
        return [one for one in self if one.state is state]

    @property
    def opening_count(self) -> int:
        """How many partitions wait to be opened, or are being opened."""
        return len(self.of(PartitionState.OPENING))

    @property
    def open_count(self) -> int:
        """How many partitions are at work, by themselves or together."""
        return len(self._partitions) - self.opening_count

    @property
    def is_complete(self) -> bool:
        """Whether the group has assigned partitions to this process, maybe none, and each of them is at work."""
        return self._assigned and not self.opening_count

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Lets go of all partitions, behind the transactions that run; what was fetched is another's to process."""
        self._assigned, self.member = False, None
        await self.release()
        for partition in self:
            self.spec.account.fetched -= partition.clear()
        self._partitions = {}
        self.show()
        _log.info("partitions_revoked", group=self.spec.name, count=len(revoked))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Makes the partitions wait to be opened; nothing is fetched from a partition before it is open."""
        try:
            # Before anything is waited for: later it is that of another generation, or nobody's.
            self.member = member_of(self.consumer, self.spec.id)
        except ValueError as error:
            # The group deals them out anew in a moment, and without a member nothing is opened.
            _log.warning("member_unknown", group=self.spec.name, error=str(error))
        for source in self._stores.keys() - set(assigned):
            self.spec.metrics.hide_partition(self.spec.name, source.partition)
            self._close_store(self._stores[source])
        self.consumer.pause(*assigned)
        for source in assigned:
            # A position of some kind, or the client looks for one by itself; opening sets the real one.
            self.consumer.seek(source, 0)
        self._stores = {source: self._stores.get(source) or self.spec.new_store() for source in assigned}
        mine = [one for one in sorted(assigned) if self.readable is None or one.partition < self.readable]
        self._partitions = {source: Partition(source, self._stores[source]) for source in mine}
        self._assigned = True
        self.opening_wanted.set()
        self.show()
        _log.info("partitions_assigned", group=self.spec.name, count=len(assigned))

    async def close(self, timeout_s: float) -> None:
        """Closes every store; a disk that does not let go after `timeout_s` is left to itself."""
        for store in self._stores.values():
            self._close_store(store)
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=timeout_s)
            for task in late:
                task.cancel()

    def _close_store(self, store: StoreT) -> None:
        task = asyncio.create_task(store.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def holds(self, partition: Partition[StoreT]) -> bool:
        """Whether this is the partition of the running assignment, not one of the same name before a rebalance."""
        return self._partitions.get(partition.source) is partition

    def opened(self, partition: Partition[StoreT], position: int) -> None:
        """The partition is at work from `position` on; by itself at first, where it failed before."""
        partition.position = position
        self.consumer.seek(partition.source, position)
        if partition.trouble.of_opening:
            partition.trouble.end()
        if partition.trouble.since is None:
            partition.state = PartitionState.OPEN
        else:
            partition.trouble.tried_at = asyncio.get_running_loop().time()
            partition.state = PartitionState.ON_TRIAL
            self.trial_wanted.set()
        self.resume(partition)
        self.show()

    def reopen(self, partition: Partition[StoreT]) -> None:
        """Nobody knows what is committed of the partition: it is opened anew, from what Kafka says then."""
        if self.holds(partition):
            self.pause(partition)
            self.spec.account.fetched -= partition.clear()
            partition.state = PartitionState.OPENING
            self.opening_wanted.set()
            self.show()

    def try_alone(self, partition: Partition[StoreT], reason: str) -> None:
        """The partition leaves the others' transactions."""
        if self.holds(partition) and partition.state is PartitionState.OPEN:
            partition.trouble.suspect(reason, asyncio.get_running_loop().time())
            partition.state = PartitionState.ON_TRIAL
            self.trial_wanted.set()
            self.show()

    def trust(self, partition: Partition[StoreT]) -> None:
        """The partition has proved well, and works together with the others again."""
        partition.trouble.end()
        if partition.state is PartitionState.ON_TRIAL:
            partition.state = PartitionState.OPEN
        self.show()

    def pause(self, partition: Partition[StoreT]) -> None:
        """Nothing more is fetched of the partition."""
        if not partition.is_paused:
            partition.is_paused = True
            self.consumer.pause(partition.source)

    def resume(self, partition: Partition[StoreT]) -> None:
        """The partition is fetched from again."""
        partition.is_paused = False
        self.consumer.resume(partition.source)

    def show(self) -> None:
        """Shows in the metrics how many partitions are in which state, and wakes who waits for a change."""
        metrics, name = self.spec.metrics, self.spec.name
        metrics.partitions_open.labels(name).set(self.open_count)
        metrics.partitions_opening.labels(name).set(self.opening_count)
        self.changed.set()
