"""Partitions that do not get on are named here, once a second: in the metrics, in the health facts and in the log.

A partition is stuck since it failed by itself, to be opened or to be processed, and since then nothing of it was
committed; or since the cluster names no leader that it could be read from.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic

from aiokafka import TopicPartition

from processors.runtime.assignment import Assignment
from processors.runtime.state_store import StoreT
from schemas.kafka.group_member import client_of
from schemas.late_log import LateLog

_log = LateLog()

_EVERY_S = 1.0
# An election takes about as long.
_LEADERLESS_AFTER_S = 5.0


@dataclass(slots=True, eq=False)
class StuckWatch(Generic[StoreT]):
    """Watches the partitions of `assignment` until it is cancelled."""

    assignment: Assignment[StoreT]
    _leaderless: dict[TopicPartition, float] = field(default_factory=dict)
    _told: set[TopicPartition] = field(default_factory=set)

    async def run(self) -> None:
        """Looks once a second, until it is cancelled."""
        spec = self.assignment.spec
        while True:
            stuck = self.partitions()
            spec.metrics.show_stuck(spec.name, {source.partition: seconds for source, (seconds, _) in stuck.items()})
            for source in stuck.keys() - self._told:
                seconds, reason = stuck[source]
                partition = self.assignment.get(source)
                _log.error(
                    "partition_stuck",
                    group=spec.name,
                    topic=source.topic,
                    partition=source.partition,
                    offset=partition.position if partition else None,
                    seconds=round(seconds, 1),
                    error=reason,
                )
            for source in self._told - stuck.keys():
                _log.info("partition_goes_on", group=spec.name, topic=source.topic, partition=source.partition)
            self._told = set(stuck)
            await asyncio.sleep(_EVERY_S)

    def partitions(self) -> Mapping[TopicPartition, tuple[float, str]]:
        """The partitions that do not get on: for how many seconds, and why."""
        now = asyncio.get_running_loop().time()
        found = {
            one.source: (now - one.trouble.since, one.trouble.reason)
            for one in self.assignment
            if one.trouble.failures and one.trouble.since is not None
        }
        cluster = client_of(self.assignment.consumer).cluster
        sources = [one.source for one in self.assignment]
        leaderless = [one for one in sources if cluster.leader_for_partition(one) in {None, -1}]
        self._leaderless = {one: self._leaderless.get(one, now) for one in leaderless}
        for source, since in self._leaderless.items():
            if now - since > _LEADERLESS_AFTER_S:
                found.setdefault(source, (now - since, "the cluster names no leader of it"))
        return found
