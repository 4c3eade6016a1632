"""A route to topic `raw`: one producer, and the partitions that are written through this producer alone.

aiokafka has one request at a node on its way, with a batch of each partition that the node leads. So partitions that
share a producer share what goes wrong: a leader answers a request when all of it is replicated, and a follower that
hangs holds up all of the request. Routes share nothing; `deal_partitions` says which partitions go together.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from aiokafka.errors import KafkaError

from ingest.kafka.batches import PartitionBatches, ProducerBatch
from ingest.kafka.supervisor import ProducerSupervisor
from ingest.metrics import IngestMetrics
from schemas.kafka.batch_producer import BatchProducer


def deal_partitions(replicas: Mapping[int, Collection[int]], *, routes: int) -> dict[int, int]:
    """Returns the number of the route, below `routes`, of each partition; `replicas` are the nodes with its copies.

    Partitions on the same nodes go together: a node that dies or hangs harms them all alike. Where there are more
    routes than sets of nodes, the partitions of a set are spread over routes of the set's own.
    """
    sets: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for partition, nodes in sorted(replicas.items()):
        sets[tuple(sorted(nodes))].append(partition)
    dealt: dict[int, int] = {}
    used = min(len(sets), routes)
    for number, nodes in enumerate(sorted(sets)):
        own = range(number % used, routes, used)
        dealt |= {partition: own[place % len(own)] for place, partition in enumerate(sets[nodes])}
    return dealt


class Route:
    """One producer after the other, each kept by the supervisor, and the batches of the partitions of this route.

    `on_refused` is called where the producer can take nothing more; `on_changed` where a partition has become overdue,
    or is overdue no more.
    """

    def __init__(
        self,
        supervisor: ProducerSupervisor,
        *,
        deadline_s: float,
        metrics: IngestMetrics,
        on_refused: "Callable[[Route], None]",
        on_changed: Callable[[], None],
    ) -> None:
        self.supervisor = supervisor
        self._deadline_s = deadline_s
        self._metrics = metrics
        self._on_refused = on_refused
        self._on_changed = on_changed
        self._now = asyncio.get_running_loop().time
        self.producer: BatchProducer | None = None
        self.partitions: dict[int, PartitionBatches] = {}  # Of this producer; empty without one.
        self.overdue: set[PartitionBatches] = set()  # This producer has records of them after their deadline.
        self.overdue_since = 0.0  # The first of them, and the last one.
        self.overdue_at = 0.0
        self.acknowledged_at = 0.0

    @property
    def hangs_since(self) -> float | None:
        """Returns since when all that was given to this producer hangs; None while some of it goes on."""
        if not self.overdue or self.acknowledged_at > self.overdue_at:
            return None
        if any(batches.busy and not batches.overdue for batches in self.partitions.values()):
            return None
        return max(self.overdue_since, self.acknowledged_at)

    def carry(self, numbers: Sequence[int]) -> None:
        """Writes these partitions from now on; what waits for another one ends."""
        producer = self.producer
        if producer is None or self.partitions.keys() == set(numbers):
            return
        before, self.partitions = self.partitions, {}
        for number in numbers:
            self.partitions[number] = before.pop(number) if number in before else self._batches(producer, number)
        for batches in before.values():
            batches.abandon()

    def drop(self) -> list[PartitionBatches]:
        """Forgets the producer, and returns its batches, which the caller must abandon."""
        left = list(self.partitions.values())
        self.partitions = {}
        self.overdue.clear()
        self.producer = None
        return left

    def replace(self, reason: str) -> None:
        """Has the producer closed, which fails its batches, and fails those that might wait for it for ever.

        One that was refused a batch has a deadline's time to write those of other partitions, which is no copy then.
        """
        left = self.drop()
        self.supervisor.replace(reason, flush_s=self._deadline_s if reason == "refused" else 0.0)
        for batches in left:
            batches.abandon()

    def _batches(self, producer: BatchProducer, partition: int) -> PartitionBatches:
        return PartitionBatches(
            producer,
            self.supervisor.topic,
            partition,
            deadline_s=self._deadline_s,
            compression=self.supervisor.compression,
            on_overdue=partial(self._partition_overdue, producer),
            on_settled=partial(self._batch_settled, producer),
        )

    def _batch_settled(
        self, producer: BatchProducer, batches: PartitionBatches, batch: ProducerBatch, error: BaseException | None
    ) -> None:
        if self.overdue and batches in self.overdue and not batches.overdue:
            self.overdue.discard(batches)
            self._on_changed()
        if error is None:
            self.acknowledged_at = self._now()
            self._metrics.acknowledge_seconds.observe(self.acknowledged_at - batch.began_at)
            return
        self._metrics.write_failures.labels(type(error).__name__).inc(batch.builder.record_count())
        if producer is self.producer and _is_final(error):
            self._on_refused(self)

    def _partition_overdue(self, producer: BatchProducer, batches: PartitionBatches) -> None:
        if producer is not self.producer:
            return
        self.overdue_at = self._now()
        if not self.overdue:
            self.overdue_since = self.overdue_at
        self.overdue.add(batches)
        self._on_changed()


def _is_final(error: BaseException) -> bool:
    """Returns whether the error ends the producer: a refusal for good, or a fault of the client itself."""
    if isinstance(error, KafkaError):
        return not error.retriable
    return not isinstance(error, (TimeoutError, asyncio.CancelledError))
