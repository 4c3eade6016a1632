"""Records to `raw`, and the truth about each: `WRITTEN` only when all in-sync replicas have it.

Every wait has a deadline of ours, for aiokafka's own have none while the cluster is away.
"""

import asyncio
from asyncio import Future
from enum import Enum, auto
from functools import partial

import structlog
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from ingest.limits import Hold
from ingest.supervisor import ProducerSupervisor
from schemas.delivery import PendingRecord
from schemas.metrics_ingest import IngestMetrics
from schemas.settings import IngestSettings

# The record's own fault, or that of a record in its batch: another producer would not help.
_REFUSALS = (InvalidTimestampError, MessageSizeTooLargeError, RecordListTooLargeError)
# After the client did not even take a record.
_AWAY_S = 1.0
_WATCH_S = 0.5


class Fate(Enum):
    """What became of a record."""

    WRITTEN = auto()
    UNKNOWN = auto()  # Not written in time; it may be written later.
    REFUSED = auto()  # It, or another one of its batch, is such as Kafka never takes.


class Publisher:
    """Usable from `start` to `stop`; while there is no producer every fate is `UNKNOWN` at once."""

    def __init__(self, settings: IngestSettings, *, supervisor: ProducerSupervisor, metrics: IngestMetrics) -> None:
        self._deadline_s = settings.kafka_deadline_ms / 1000
        self._hung_s = settings.producer_hung_ms / 1000
        self._supervisor = supervisor
        self._metrics = metrics
        self._log = structlog.get_logger("ingest")
        self._now = asyncio.get_running_loop().time
        self._overdue = 0  # Past the deadline, and the client still tries to write them.
        self._overdue_since = 0.0
        self._acknowledged_at = 0.0
        self._away_until = 0.0
        self._watching: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether Kafka takes records in time: there is a producer, and nothing given to it is overdue."""
        return self._supervisor.producer is not None and not self._overdue and self._now() >= self._away_until

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
        """What became of the record, known within `ingest.kafka_deadline_ms`.

        After `UNKNOWN` it may still be written: the client does not give a record back. `hold` is shared until the
        client is done with it, whenever that is.
        """
        began_at = self._now()
        share = hold.share()
        written = await self._send(record, share, give_up_at=began_at + self._deadline_s)
        if written is None:
            return Fate.UNKNOWN
        written.add_done_callback(partial(self._settle, share, began_at))
        # Never cancelled: the record is on its way, and its bytes are ours until the future says otherwise.
        await asyncio.wait((written,), timeout=began_at + self._deadline_s - self._now())
        if not written.done():
            self._mark_overdue(written)
            return Fate.UNKNOWN
        error = None if written.cancelled() else written.exception()
        if isinstance(error, _REFUSALS):
            return Fate.REFUSED
        return Fate.UNKNOWN if error or written.cancelled() else Fate.WRITTEN

    async def _send(self, record: PendingRecord, share: Hold, *, give_up_at: float) -> "Future[object] | None":
        """The future of a record that the client has taken; None, and the share released, where it has not.

        Cutting off the client's `send` is safe: it takes a record in its last step, and then returns without a pause.
        """
        producer = self._supervisor.producer
        taken: Future[object] | None = None
        try:
            if producer is not None:
                async with asyncio.timeout_at(give_up_at):
                    taken = await producer.send(
                        self._supervisor.topic,
                        value=record.value,
                        key=record.key,
                        headers=list(record.headers),
                        timestamp_ms=record.timestamp_ms,
                    )
        except _REFUSALS as error:
            taken = asyncio.get_running_loop().create_future()
            taken.set_exception(error)
        except (KafkaError, TimeoutError) as error:
            self._metrics.write_failures.labels(type(error).__name__).inc()
            self._away_until = self._now() + _AWAY_S
        finally:
            if taken is None:
                share.release()
        return taken

    def _settle(self, share: Hold, began_at: float, written: "Future[object]") -> None:
        share.release()
        error = None if written.cancelled() else written.exception()
        if error is None:
            self._acknowledged_at = self._now()
            self._metrics.acknowledge_seconds.observe(self._acknowledged_at - began_at)
            return
        self._metrics.write_failures.labels(type(error).__name__).inc()
        if isinstance(error, KafkaError) and not error.retriable:
            self._supervisor.replace("refused")

    def _mark_overdue(self, written: "Future[object]") -> None:
        if not self._overdue:
            self._overdue_since = self._now()
            self._log.warning("kafka_overdue", deadline_s=self._deadline_s)
        self._overdue += 1
        written.add_done_callback(self._unmark_overdue)

    def _unmark_overdue(self, _: "Future[object]") -> None:
        self._overdue -= 1
        if not self._overdue:
            self._log.info("kafka_overdue_settled")

    async def _watch(self) -> None:
        """Replaces a producer that hangs: something is overdue, and nothing was acknowledged for too long."""
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._overdue and self._now() - max(self._overdue_since, self._acknowledged_at) > self._hung_s:
                self._supervisor.replace("hung")
