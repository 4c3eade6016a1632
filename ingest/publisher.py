"""Records to `raw`, and the truth about each: `WRITTEN` only when all in-sync replicas have it.

Every wait has a deadline of ours, for aiokafka's own have none while the cluster is away.
"""

import asyncio

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingest.batches import Batch, Fate, OnFate, PartitionBatches
from ingest.limits import Hold
from ingest.supervisor import ProducerSupervisor
from schemas.delivery import PendingRecord
from schemas.metrics_ingest import IngestMetrics
from schemas.partitions import partition_of
from schemas.settings import IngestSettings

_WATCH_S = 0.5


class Publisher:
    """Usable from `start` to `stop`; while there is no producer every fate is `UNKNOWN` at once."""

    def __init__(self, settings: IngestSettings, *, supervisor: ProducerSupervisor, metrics: IngestMetrics) -> None:
        self._deadline_s = settings.kafka_deadline_ms / 1000
        self._hung_s = settings.producer_hung_ms / 1000
        self._supervisor = supervisor
        self._metrics = metrics
        self._log = structlog.get_logger("ingest")
        self._now = asyncio.get_running_loop().time
        self._overdue: set[Batch] = set()  # Past the deadline, and the client still tries to write them.
        self._overdue_since = 0.0
        self._acknowledged_at = 0.0
        self._producer: AIOKafkaProducer | None = None
        # Of this producer: its partitions, and where keys belong as long as there are so many.
        self._partitions: list[PartitionBatches] = []
        self._of_key: dict[bytes, PartitionBatches] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether Kafka takes records in time: there is a producer, and nothing given to it is overdue."""
        return self._supervisor.producer is not None and not self._overdue

    @property
    def broken(self) -> bool:
        """Whether background work ended by a fault of ours; only a restart helps."""
        return self._supervisor.broken or (self._watching is not None and self._watching.done())

    def start(self) -> None:
        """Begins to connect, and returns at once."""
        self._supervisor.start()
        self._watching = asyncio.create_task(self._watch(), name="watch the producer")

    async def stop(self, *, within_s: float) -> None:
        """Writes what was taken for up to `within_s` seconds; what is left fails, and was not answered for its sake."""
        if self._watching is not None:
            self._watching.cancel()
        await self._supervisor.stop(within_s=within_s)

    async def publish(self, record: PendingRecord, hold: Hold) -> Fate:
        """What became of the record, known within `ingest.kafka_deadline_ms`; as `begin`."""
        fate: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()
        self.begin(record, hold, lambda known: None if fate.done() else fate.set_result(known))
        return await fate

    def begin(self, record: PendingRecord, hold: Hold, on_fate: OnFate) -> None:
        """Hands the record to Kafka; `on_fate` is called once, within `ingest.kafka_deadline_ms`.

        After `UNKNOWN` it may still be written: the client does not give a record back. `hold` is taken over, and
        released when the client is done with the record, whenever that is; never before `on_fate` was called.
        """
        producer = self._supervisor.producer
        if producer is None:
            on_fate(Fate.UNKNOWN)
            hold.release()
            return
        if producer is not self._producer:
            self._take_over(producer)
        batches = self._of_key.get(record.key)
        if batches is None:
            batches = self._of_key[record.key] = self._partitions[partition_of(record.key, len(self._partitions))]
        batches.append(record, hold, on_fate)

    def _take_over(self, producer: AIOKafkaProducer) -> None:
        """What the producer before it still had fails as that one is closed."""
        topic = self._supervisor.topic
        self._producer = producer
        self._partitions = [
            PartitionBatches(
                producer,
                topic,
                number,
                deadline_s=self._deadline_s,
                overdue=self._mark_overdue,
                settled=self._settle,
            )
            for number in sorted(_partitions(producer, topic))
        ]
        self._of_key = {}

    def _settle(self, batch: Batch, error: BaseException | None) -> None:
        if batch in self._overdue:
            self._overdue.discard(batch)
            if not self._overdue:
                self._log.info("kafka_overdue_settled")
        if error is None:
            self._acknowledged_at = self._now()
            self._metrics.acknowledge_seconds.observe(self._acknowledged_at - batch.began_at)
            return
        self._metrics.write_failures.labels(type(error).__name__).inc()
        if isinstance(error, KafkaError) and not error.retriable:
            self._supervisor.replace("refused")

    def _mark_overdue(self, batch: Batch) -> None:
        if not self._overdue:
            self._overdue_since = self._now()
            self._log.warning("kafka_overdue", deadline_s=self._deadline_s)
        self._overdue.add(batch)

    async def _watch(self) -> None:
        """Replaces a producer that hangs: something is overdue, and nothing was acknowledged for too long.

        And follows the topic when somebody gives it more partitions.
        """
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._overdue and self._now() - max(self._overdue_since, self._acknowledged_at) > self._hung_s:
                self._supervisor.replace("hung")
            producer = self._producer
            if producer is not None and producer is self._supervisor.producer:
                known = _partitions(producer, self._supervisor.topic)
                if known and len(known) != len(self._partitions):
                    self._take_over(producer)


def _partitions(producer: AIOKafkaProducer, topic: str) -> set[int]:
    found: set[int] = producer.client.cluster.partitions_for_topic(topic) or set()
    return found
