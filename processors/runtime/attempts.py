"""One try at a transaction, and who is to blame where it fails: a partition, the cluster, or another process.

Kafka answers for all records of a node together, so a transaction that takes too long names many suspects. They are
blamed, and tried one by one, as long as other transactions are quick; where nothing is, the cluster is slow, and to
single out partitions would make it slower.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Generic

from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from processors.runtime.assignment import Assignment
from processors.runtime.partition import Partition, PartitionState
from processors.runtime.producer_slot import QUICK_S, ProducerSlot
from processors.runtime.state_store import LocalStoreError, StoreT
from processors.runtime.transaction import Bounds, Committed, Transaction, TransactionFailedError
from schemas.errors import DropstreamError
from schemas.kafka.errors import FencedInstanceIdError
from schemas.kafka.transactions.group_producer import LOST_PARTITIONS
from schemas.late_log import LateLog

_log = LateLog()

# Where no transaction was quick for so long, and several partitions were late, none of them is to blame.
_CLUSTER_IS_SLOW_AFTER_S = 5.0


class FencedError(DropstreamError):
    """Another process has this one's name in the group, or its producers; only one of the two can go on."""


@dataclass(slots=True, eq=False)
class Attempts(Generic[StoreT]):
    """Runs the transactions of a group, for rounds and trials."""

    assignment: Assignment[StoreT]
    # The partitions that were late since a transaction was quick, and since when.
    _late: set[TopicPartition] = field(default_factory=set)
    _late_since: float = 0.0

    @property
    def cluster_is_slow(self) -> bool:
        """Whether several partitions were late, and for seconds nothing was quick."""
        now = asyncio.get_running_loop().time()
        return len(self._late) > 1 and now - self._late_since > _CLUSTER_IS_SLOW_AFTER_S

    async def run(
        self, slot: ProducerSlot, partitions: Sequence[Partition[StoreT]], *, written_s: float, until: datetime | None
    ) -> float | None:
        """Runs a transaction of the slot's producer; returns the seconds that it took, None where it committed nothing.

        `written_s` is how long the brokers may take for its records, before it is given up. Where nothing was to be
        committed Kafka was not asked, and how quick that was says nothing of it.

        Raises:
            TransactionFailedError: it failed; the slot has no producer then, and partitions whose fate is unknown are
                opened anew.
            FencedError: another process has the name of this one.
        """
        assignment, spec, loop = self.assignment, self.assignment.spec, asyncio.get_running_loop()
        producer, member = slot.producer, assignment.member
        if producer is None or member is None:
            raise RuntimeError("a transaction needs a producer, and a member that commits its positions")
        process = spec.settings.process
        kafka_s = process.transaction_timeout_ms / 1000
        bounds = Bounds(process.records_per_round_max, kafka_s, written_s, self._someone_waits, spec.account)
        transaction = Transaction(spec, producer, member, partitions, bounds, until)
        began = loop.time()
        try:
            with spec.metrics.transaction_seconds.labels(spec.name).time():
                committed = await transaction.run()
        except TransactionFailedError as failed:
            slot.drop()
            self._judge(failed, partitions, loop.time() - began)
            raise
        except BaseException:
            slot.drop()
            raise
        took_s = loop.time() - began
        if not committed:
            return None
        if took_s < QUICK_S:
            self._late.clear()
        self._count(committed)
        return took_s

    def blamed(self, failed: TransactionFailedError) -> Collection[TopicPartition]:
        """The partitions that are to be tried by themselves."""
        if failed.refused:
            return failed.suspects
        if not self._late:
            self._late_since = asyncio.get_running_loop().time()
        self._late |= failed.suspects
        return () if self.cluster_is_slow else failed.suspects

    def _someone_waits(self) -> bool:
        return any(one.waits and one.state is PartitionState.OPEN and not one.is_busy for one in self.assignment)

    def _judge(self, failed: TransactionFailedError, partitions: Sequence[Partition[StoreT]], took_s: float) -> None:
        """Logs the failure, lets go of what is not ours, and opens anew what nobody knows about."""
        assignment, spec, error = self.assignment, self.assignment.spec, failed.error
        if failed.is_doubt:
            # Also where a broker closes its connections to be logged in to anew (connections.max.reauth.ms).
            _log.info("commit_in_doubt", group=spec.name, error=str(error))
            return
        spec.metrics.transactions_failed.labels(spec.name).inc()
        _log.warning(
            "transaction_failed",
            group=spec.name,
            topic=spec.source_topic,
            # Where each of them stood.
            partitions={one.source.partition: one.position for one in partitions},
            not_taken=sorted(one.partition for one in failed.suspects),
            fate="open" if failed.fate_known else "unknown",
            error=repr(error),
        )
        timed_out = took_s >= spec.settings.process.transaction_timeout_ms / 1000
        if isinstance(error, FencedInstanceIdError) or (isinstance(error, ProducerFenced) and not timed_out):
            raise FencedError(
                f"group {spec.id}: another process has the name of this one ({error!r}); this process ends\n"
                "Each process needs a process.instance_id of its own."
            ) from error
        if isinstance(error, LOST_PARTITIONS):
            # Nothing is tried until the group has dealt the partitions out anew.
            assignment.member = None
        is_of_disk = isinstance(error, LocalStoreError)
        for partition in partitions:
            # A store that fails is made anew from the changelog.
            if not failed.fate_known or (is_of_disk and partition.source in failed.suspects):
                assignment.reopen(partition)

    def _count(self, committed: Sequence[Committed[StoreT]]) -> None:
        spec, consumer = self.assignment.spec, self.assignment.consumer
        if taken := sum([one.taken for one in committed]):
            spec.metrics.count_input(spec.name, taken)
        outputs = [*chain.from_iterable([one.outputs for one in committed])]
        spec.metrics.count_outputs(spec.name, outputs)
        spec.count_outputs(outputs)
        for one in committed:
            partition = one.partition
            lag = max(0, (consumer.highwater(partition.source) or 0) - partition.position)
            if spec.tracing is not None and one.traced:
                spec.tracing.trace(spec.name, one.traced)
            spec.metrics.show_partition(spec.name, partition.source.partition, lag=lag, store=partition.store)
