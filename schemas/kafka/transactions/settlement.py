"""Has the markers of a commit written that Kafka may have passed over (see `schemas.kafka.transactions.marker_watch`).

An empty transaction of the same partitions and groups is committed: Kafka writes a marker to each of them, and where
the first one is there already, a second one changes nothing. It mends a rare fault, so it never takes more than it
gives: after a minute of a cluster that answers it is given up, and what follows is what would be without it.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from schemas.kafka.answers import answer_to
from schemas.kafka.transactions.marker_watch import Commit
from schemas.kafka.transactions.transaction_requests import TransactionRequests, Tried
from schemas.late_log import LateLog

_log = LateLog()

# It was aborted, or another producer has ended it since, or we may not: nothing is left that could be asked for.
_OVER = (
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    InvalidProducerIdMapping,
    InvalidTxnState,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
# The coordinator may be another node by then. A try that takes longer is given twice the time, up to that of a request.
_TRY_S = 3.0
# A cluster that answers for so long has had its time; one that is away has all the time it needs.
_ANSWERED_MAX_S = 60.0
# Of these at most so many for a partition without a leader, or a topic that a node that came back does not know yet.
_PARTITIONS_MAX_S = 10.0
_TOLD_AFTER_S = 1.0
_TOLD_EVERY_S = 30.0
_WHAT_TO_DO = "see docs/guarantees.md: look for transactions that hang, and compare with dropstream audit"


@dataclass(slots=True, eq=False)
class Settlement:
    """Settles the `commit` of `producer`, over which nothing else is asked meanwhile."""

    producer: AIOKafkaProducer
    requests: TransactionRequests
    commit: Commit
    # Those that are to have a marker, and when it was first looked whether they can.
    _partitions: set[TopicPartition] = field(init=False)
    _looked_at: float = 0.0
    # The commit itself has an answer.
    _is_ended: bool = field(init=False)
    _knows_coordinator: bool = False
    # The connection over which the whole empty transaction was taken.
    _taken_over: object = None
    # The cluster answered something in this try.
    _is_answered: bool = False

    def __post_init__(self) -> None:
        self._partitions = set(self.commit.partitions)
        self._is_ended = self.commit.is_answered

    async def run(self) -> None:
        """Returns when the markers are written, or nothing is left to do, which is logged.

        It waits for a cluster that is away; cancel it to end. What a try sends it sends in one piece, so none leaves a
        transaction open.
        """
        clock = asyncio.get_running_loop().time
        began, answered_s, try_s = clock(), 0.0, _TRY_S
        tells_at = began + _TOLD_AFTER_S
        while True:
            tried_at, self._is_answered = clock(), False
            tried, why = Tried(None, self.requests.retry_s), "the cluster is not ready"
            try:
                async with asyncio.timeout(try_s):
                    tried = await self._try()
            except _OVER as error:
                _log.warning("commit_not_settled", **self._facts(), error=repr(error))
                return
            except TimeoutError:
                why = f"no answer within {try_s:.0f} s"
                try_s = min(2 * try_s, max(_TRY_S, self.producer._request_timeout_ms / 1000))
            except KafkaError as error:
                why = repr(error)
            if tried.is_done:
                return
            self._knows_coordinator = tried.connection is not None
            if not self._is_answered:
                await self._bootstrap(try_s)
            await asyncio.sleep(tried.pause_after(clock() - began))
            if self._is_answered:
                answered_s += clock() - tried_at
            if answered_s > _ANSWERED_MAX_S:
                self._say(self._partitions, why)
                return
            if clock() > tells_at:
                tells_at = clock() + _TOLD_EVERY_S
                _log.warning("commit_being_settled", **self._facts(), waited_s=round(clock() - began), error=why)

    async def _try(self) -> Tried:
        """Goes on with what is not done yet."""
        if not self._knows_coordinator:
            await self.requests.look_up_anew()
            self._is_answered = True
        if not self._is_ended:
            # Only what is committed gets markers of a commit.
            tried = self._noted(await self.requests.try_end())
            if not tried.is_done:
                return tried
            self._is_ended = True
        if self._taken_over is None:
            if not await self._can_be_written():
                return Tried(None, self.requests.retry_s)
            tried = self._noted(await self.requests.try_whole(self._partitions, self.commit.groups))
            if not tried.is_done:
                return tried
            self._taken_over = tried.connection
        # Kafka answers to a second request for the end when all markers are written, and no sooner.
        tried = self._noted(await self.requests.try_end())
        if tried.connection is self._taken_over:
            return tried
        self._taken_over = None
        return Tried(None, self.requests.retry_s)

    def _noted(self, tried: Tried) -> Tried:
        self._is_answered = self._is_answered or tried.connection is not None
        return tried

    async def _can_be_written(self) -> bool:
        """Whether each marker can be written; else Kafka passes over it, or waits with the producer without bound.

        What cannot have one for long leaves: the transactions of others must not wait for it. The leader of a group's
        positions is its coordinator.
        """
        for group in self.commit.groups:
            await self.requests.look_up_anew(group)
        cluster = await answer_to(self.producer.client.fetch_all_metadata())
        now = asyncio.get_running_loop().time()
        self._looked_at = self._looked_at or now
        without = {one for one in self._partitions if not _takes_marker(cluster, one)}
        if without and now - self._looked_at > _PARTITIONS_MAX_S:
            self._partitions -= without
            # Nobody reads a topic that is gone.
            if there := [one for one in without if cluster.leader_for_partition(one) is not None]:
                self._say(there, "no leader, or too few copies in sync")
            return True
        return not without

    async def _bootstrap(self, within_s: float) -> None:
        """Asks the bootstrap servers where the nodes are: all of them may have new addresses."""
        try:
            async with asyncio.timeout(within_s):
                await answer_to(self.producer.client.bootstrap())
        except (KafkaError, TimeoutError):
            return

    def _say(self, partitions: Collection[TopicPartition], error: str) -> None:
        """Logs that Kafka was there, and the markers of these partitions were not written."""
        _log.error("commit_not_settled", **self._facts(partitions), error=error, help=_WHAT_TO_DO)

    def _facts(self, partitions: Collection[TopicPartition] | None = None) -> dict[str, object]:
        names = [f"{topic}/{number}" for topic, number in sorted(partitions or self.commit.partitions)]
        return {"producer": self.producer._txn_manager.transactional_id, "partitions": names}


def _takes_marker(cluster: ClusterMetadata, partition: TopicPartition) -> bool:
    """Whether it has a leader, and as many copies in sync as `schemas.topics` has a write need."""
    found = cluster._partitions.get(partition.topic, {}).get(partition.partition)
    return found is not None and found.leader != -1 and len(found.isr) >= (2 if len(found.replicas) > 2 else 1)
