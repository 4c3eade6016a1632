"""Publishes records to `raw`; a record is reported `WRITTEN` only when all in-sync replicas have it.

Every wait has a deadline of its own here, for aiokafka waits without bound while the cluster is away. A partition that
is overdue takes nothing more; the others go on, through the same producer.
"""

import asyncio
from functools import partial

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingest.budgets import Reservation
from ingest.kafka.batches import DeliveryReport, OnReport, PartitionBatches, ProducerBatch, Report
from ingest.kafka.supervisor import ProducerSupervisor
from ingest.metrics import IngestMetrics
from schemas.delivery import PendingRecord
from schemas.kafka.partitions import partition_of
from schemas.layout_faults import placing_count
from schemas.settings import IngestSettings

_WATCH_S = 0.5


class Publisher:
    """Publishes from `start` to `stop`; takes nothing for a partition that is overdue, or without a producer.

    All partitions share one producer. aiokafka has one request at a node on its way, with a batch of each partition
    that the node leads, so a partition that does not take can hold back those of the same leader: by 0.1 s for each try
    that the leader refuses (too few replicas), and for as long as a follower hangs and is still counted as in sync. A
    dead or frozen leader holds back only its own partitions. A producer for each partition would free those, too, but
    each batch would be a request of its own, and every delivery dearer; a partition that is held back is overdue like
    any other, and its deliveries are in the spool.
    """

    def __init__(self, settings: IngestSettings, *, supervisor: ProducerSupervisor, metrics: IngestMetrics) -> None:
        self._deadline_s = settings.kafka_deadline_ms / 1000
        self._hung_s = settings.producer_hung_ms / 1000
        self._supervisor = supervisor
        self._metrics = metrics
        self._log = structlog.get_logger("ingest")
        self._now = asyncio.get_running_loop().time
        self._overdue: set[PartitionBatches] = set()  # This producer has records of them after their deadline.
        self._overdue_since = 0.0  # The first of them, and the last one.
        self._overdue_at = 0.0
        self._acknowledged_at = 0.0
        self._producer: AIOKafkaProducer | None = None
        # The partitions of this producer, empty without one, and the partition of each key among so many.
        self._partitions: list[PartitionBatches] = []
        self._of_key: dict[bytes, PartitionBatches] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Returns whether Kafka takes records in time: there is a producer, and not all of it hangs.

        All of it hangs when every partition that has records is overdue, and Kafka has acknowledged nothing since the
        last one became so.
        """
        if not self._overdue or self._acknowledged_at > self._overdue_at:
            return bool(self._partitions)
        return any(batches.busy and not batches.overdue for batches in self._partitions)

    @property
    def partitions_overdue(self) -> int:
        """Counts the partitions that take nothing, because the client still has overdue records of them."""
        return len(self._overdue)

    @property
    def takes_something(self) -> bool:
        """Returns whether there is a partition that takes records."""
        return any(not batches.overdue for batches in self._partitions)

    def takes(self, key: bytes) -> bool:
        """Returns whether the partition of this key takes records."""
        batches = self._of_key.get(key) or self._find_batches(key)
        return batches is not None and not batches.overdue

    @property
    def broken(self) -> bool:
        """Returns whether a background task died of a fault of this program; only a restart helps."""
        return self._supervisor.broken or (self._watching is not None and self._watching.done())

    def start(self) -> None:
        """Starts to connect in the background."""
        self._supervisor.start(self._adopt_producer)
        self._watching = asyncio.create_task(self._watch_producer(), name="watch the producer")

    async def stop(self, *, within_s: float) -> None:
        """Writes the published records for up to `within_s` seconds; the rest fails, and was never answered 200."""
        if self._watching is not None:
            self._watching.cancel()
        left = self._drop_producer()
        await self._supervisor.stop(within_s=within_s)
        for batches in left:
            batches.abandon()

    def publish(self, record: PendingRecord, reservation: Reservation, on_report: OnReport) -> bool:
        """Hands the record to Kafka, and calls `on_report` once, within `ingest.kafka_deadline_ms`; or returns False.

        A record that the client still has at the deadline is reported as its `Fate`, for the client gives no record
        back: Kafka may write it later. The publisher takes `reservation` over, and releases it when the client is done
        with the record, however late; never before `on_report` was called. Where it returns False, it took nothing.
        """
        batches = self._of_key.get(record.key) or self._find_batches(record.key)
        if batches is None or batches.overdue:
            return False
        batches.append(record, reservation, on_report)
        return True

    async def publish_and_wait(self, record: PendingRecord, reservation: Reservation) -> Report:
        """`publish` as a coroutine, for a caller that has nothing to do before the report is there."""
        report: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        if not self.publish(record, reservation, lambda known: None if report.done() else report.set_result(known)):
            reservation.release()
            return DeliveryReport.UNKNOWN
        return await report

    def _find_batches(self, key: bytes) -> PartitionBatches | None:
        """Returns the batches of the key's partition, and remembers them; None without a producer."""
        count = len(self._partitions)
        if not count:
            return None
        batches = self._of_key[key] = self._partitions[partition_of(key, count)]
        return batches

    def _adopt_producer(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._follow_partitions(producer)

    def _follow_partitions(self, producer: AIOKafkaProducer) -> None:
        """Keeps batches for as many partitions as the layout has; for none while a migration moves the keys.

        More partitions than the layout has are left alone: a foreign hand added them, and their keys' state is not
        there. A topic that is gone may come back as it was.
        """
        found = len(producer.client.cluster.partitions_for_topic(self._supervisor.topic) or ())
        layout = self._supervisor.layout.layout
        count = placing_count(layout, found)
        if not found or count == len(self._partitions):
            if layout is not None and found < layout.partitions:
                producer.client.force_metadata_update()
            return
        self._log.info("partitions_followed", partitions=count, found=found)
        kept, gone = self._partitions[:count], self._partitions[count:]
        self._partitions = kept + [self._batches(producer, number) for number in range(len(kept), count)]
        self._of_key = {}
        for batches in gone:
            batches.abandon()

    def _batches(self, producer: AIOKafkaProducer, partition: int) -> PartitionBatches:
        return PartitionBatches(
            producer,
            self._supervisor.topic,
            partition,
            deadline_s=self._deadline_s,
            compression=self._supervisor.compression,
            on_overdue=partial(self._partition_overdue, producer),
            on_settled=partial(self._batch_settled, producer),
        )

    def _drop_producer(self) -> list[PartitionBatches]:
        """Forgets the producer, and returns its batches, which the caller must abandon."""
        left, self._partitions = self._partitions, []
        self._of_key = {}
        self._overdue.clear()
        self._producer = None
        return left

    def _replace_producer(self, reason: str) -> None:
        """Has the producer closed, which fails its batches, and fails those that might wait for it for ever.

        One that was refused a batch has a deadline's time to write those of other partitions, which is no copy then.
        """
        left = self._drop_producer()
        self._supervisor.replace(reason, flush_s=self._deadline_s if reason == "refused" else 0.0)
        for batches in left:
            batches.abandon()

    def _batch_settled(
        self, producer: AIOKafkaProducer, batches: PartitionBatches, batch: ProducerBatch, error: BaseException | None
    ) -> None:
        if self._overdue and batches in self._overdue and not batches.overdue:
            self._overdue.discard(batches)
            if not self._overdue:
                self._log.info("kafka_overdue_settled")
        if error is None:
            self._acknowledged_at = self._now()
            self._metrics.acknowledge_seconds.observe(self._acknowledged_at - batch.began_at)
            return
        self._metrics.write_failures.labels(type(error).__name__).inc(batch.builder.record_count())
        if producer is self._producer and _is_final(error):
            self._replace_producer("refused")

    def _partition_overdue(self, producer: AIOKafkaProducer, batches: PartitionBatches) -> None:
        if producer is not self._producer:
            return
        if not self._overdue:
            self._overdue_since = self._now()
            self._log.warning("kafka_overdue", deadline_s=self._deadline_s)
        self._overdue_at = self._now()
        self._overdue.add(batches)

    async def _watch_producer(self) -> None:
        """Replaces a producer of which all hangs (see `connected`), for too long; not for the sake of one partition.

        Follows the layout, too.
        """
        while True:
            await asyncio.sleep(_WATCH_S)
            since = max(self._overdue_since, self._acknowledged_at)
            if self._overdue and not self.connected and self._now() - since > self._hung_s:
                self._replace_producer("hung")
            elif self._producer is not None:
                self._follow_partitions(self._producer)


def _is_final(error: BaseException) -> bool:
    """Returns whether the error ends the producer: a refusal for good, or a fault of the client itself."""
    if isinstance(error, KafkaError):
        return not error.retriable
    return not isinstance(error, (TimeoutError, asyncio.CancelledError))
