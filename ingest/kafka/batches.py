"""The records of one partition, in batches: the client has one batch on its way to Kafka, and the next one still open.

So records that arrive while Kafka writes share a batch, which the client has already when Kafka is done, and a busy
partition makes large batches by itself. aiokafka's own `send` costs a future and a search for room per record; here
that is the cost of a batch.
"""

import asyncio
from asyncio import Future, TimerHandle
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Protocol

from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError, RecordListTooLargeError

from ingest.budgets import Reservation
from schemas.delivery import PendingRecord
from schemas.kafka.arguments import BATCH_BYTES
from schemas.kafka.batches import Builder

# Kafka refuses the record, or another one of its batch, from every producer.
_REFUSALS = (InvalidTimestampError, MessageSizeTooLargeError, RecordListTooLargeError)


class DeliveryReport(Enum):
    """What became of a record that was published."""

    WRITTEN = auto()
    UNKNOWN = auto()  # The client has given it up, or never had it; Kafka may have written it all the same.
    REFUSED = auto()  # Kafka never takes this record, or another one of its batch.


class Fate:
    """What becomes of `count` records of one batch that the client still has after their deadline.

    `report` is None until the client knows; it tells at the latest when it is closed.
    """

    __slots__ = ("count", "report")

    def __init__(self, count: int) -> None:
        self.count = count
        self.report: DeliveryReport | None = None


Report = DeliveryReport | Fate
OnReport = Callable[[Report], None]


class ProducerBatch:
    """Records that share one report; once it is `submitted` the client has the records, and never gives them back."""

    __slots__ = ("began_at", "builder", "deadline", "fate", "on_reports", "reservations", "submitted")

    def __init__(self, builder: Builder, began_at: float) -> None:
        self.builder = builder
        self.began_at = began_at
        self.on_reports: list[OnReport] = []
        self.reservations: list[Reservation] = []
        self.submitted = False
        self.deadline: TimerHandle | None = None
        self.fate: Fate | None = None

    def add(self, record: PendingRecord) -> bool:
        """Returns whether the batch took the record: it has room, and is not on its way to Kafka."""
        appended = self.builder.append(
            timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=record.headers
        )
        return appended is not None

    def report(self, report: Report) -> None:
        """Gives the report to each record that has none yet."""
        on_reports, self.on_reports = self.on_reports, []
        for on_report in on_reports:
            on_report(report)

    def report_late(self) -> None:
        """Tells each record, in place of a report, where its fate will be known."""
        self.fate = Fate(self.builder.record_count())
        self.report(self.fate)
        if self.deadline is not None:
            self.deadline.cancel()

    def settle(self, report: DeliveryReport) -> None:
        """Gives the report to the records, or to their fate, and releases what is held for them."""
        if self.fate is None:
            self.report(report)
        else:
            self.fate.report = report
        self.release()

    def release(self) -> None:
        """Releases the bytes of all records, and ends the deadline."""
        for reservation in self.reservations:
            reservation.release()
        self.reservations = []
        if self.deadline is not None:
            self.deadline.cancel()


class BatchClient(Protocol):
    """What writes the batches: `schemas.kafka.batch_producer.BatchProducer`."""

    def offer(self, builder: Builder, topic: str, partition: int) -> "Future[object] | None":
        """Takes the batch at once, and returns its fate; None where the client has one of the partition waiting."""

    async def send_batch(self, builder: Builder, topic: str, *, partition: int) -> "Future[object]":
        """Waits until the client takes the batch, and returns its fate."""


class PartitionBatches:
    """Publishes the records of one partition through one producer, in their order, compressed by Kafka's code for it.

    The partition is `overdue` from the deadline of a record that waits, until the client is done with all that it had
    then; meanwhile nothing may be appended. `on_overdue` is called at the beginning; `on_settled` with every batch that
    the client had, or that `abandon` found at its door, and with its error. The records have their report by then. Both
    may be called after `abandon`, with batches that the client had.
    """

    def __init__(
        self,
        producer: BatchClient,
        topic: str,
        partition: int,
        *,
        deadline_s: float,
        compression: int,
        on_overdue: Callable[["PartitionBatches"], None],
        on_settled: Callable[["PartitionBatches", ProducerBatch, BaseException | None], None],
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._deadline_s = deadline_s
        self._compression = compression
        self._on_overdue = on_overdue
        self._on_settled = on_settled
        self._loop = asyncio.get_running_loop()
        self.overdue = False
        self._with_client: dict[ProducerBatch, None] = {}
        self._ready: deque[ProducerBatch] = deque()  # The client does not have these; it may be taking the first one.
        self._open: ProducerBatch | None = None
        self._submitting: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Returns whether records wait for Kafka here, overdue ones included."""
        return bool(self._with_client or self._ready)

    def append(self, record: PendingRecord, reservation: Reservation, on_report: OnReport) -> None:
        """Appends the record to a batch; calls `on_report` within the deadline, after this method has returned."""
        batch = self._open
        if batch is None or not batch.add(record):
            batch = self._open_batch()
            batch.add(record)  # An empty batch takes a record of any size.
        batch.reservations.append(reservation)
        batch.on_reports.append(on_report)

    def _open_batch(self) -> ProducerBatch:
        batch = ProducerBatch(Builder(BATCH_BYTES, self._compression), self._loop.time())
        batch.deadline = self._loop.call_at(batch.began_at + self._deadline_s, self.stall)
        self._ready.append(batch)
        self._open = batch
        if self._submitting is None and not self._submit_at_once(batch):
            self._submitting = self._loop.create_task(self._submit())
        return batch

    def _submit_at_once(self, batch: ProducerBatch) -> bool:
        """Returns whether the client has taken the batch, the only one that is ready; else `_submit` waits for it."""
        written = self._producer.offer(batch.builder, self._topic, self._partition)
        if written is None:
            return False
        self._ready.popleft()
        batch.submitted = True
        self._taken(batch, written)
        return True

    def stall(self) -> None:
        """Ends the wait of every record, in order of acceptance; what the client does not have, it is never given.

        What the client has, or may be taking, is reported as late. All the rest goes behind it at once, not at its own
        deadline: a record that comes meanwhile must not overtake it.
        """
        late = [batch for batch in (*self._with_client, *self._ready) if batch.submitted and batch.fate is None]
        waiting = [batch for batch in self._ready if not batch.submitted]
        self._open = None
        for batch in waiting:
            self._ready.remove(batch)
        if late and not self.overdue:
            self.overdue = True
            self._on_overdue(self)
        for batch in late:
            batch.report_late()
        for batch in waiting:
            batch.settle(DeliveryReport.UNKNOWN)

    def abandon(self) -> None:
        """Settles all batches that the client does not have, and gives it no more; the last call on this object.

        A batch that the client is taking would wait for ever if the client were closed meanwhile. The client settles
        the batches that it has, at the latest when it is closed.
        """
        self.stall()
        if self._submitting is not None:
            self._submitting.cancel()
        while self._ready:
            self._settle(self._ready.popleft(), asyncio.CancelledError())

    async def _submit(self) -> None:
        """Gives the client one batch after the other; the client takes a batch when the one before is on its way."""
        try:
            while self._ready:
                batch = self._ready[0]
                batch.submitted = True
                try:
                    written = await self._producer.send_batch(batch.builder, self._topic, partition=self._partition)
                except Exception as error:  # noqa: BLE001 `settled` judges the error; nothing else would settle the batch
                    self._ready.popleft()
                    if batch is self._open:
                        self._open = None
                    self._settle(batch, error)
                else:
                    self._ready.popleft()
                    self._taken(batch, written)
        finally:
            self._submitting = None

    def _taken(self, batch: ProducerBatch, written: "Future[object]") -> None:
        self._with_client[batch] = None
        written.add_done_callback(partial(self._written, batch))

    def _written(self, batch: ProducerBatch, written: "Future[object]") -> None:
        self._with_client.pop(batch)
        self._settle(batch, asyncio.CancelledError() if written.cancelled() else written.exception())

    def _settle(self, batch: ProducerBatch, error: BaseException | None) -> None:
        """Reports and releases a batch with which the client is done, however late."""
        batch.settle(_report_of(error))
        if error is not None:
            self.stall()  # What waits goes behind the records of this batch.
        if self.overdue and not self.busy:
            self.overdue = False
        self._on_settled(self, batch, error)


def _report_of(error: BaseException | None) -> DeliveryReport:
    """Returns what the client's error means for the records of the batch."""
    if error is None:
        return DeliveryReport.WRITTEN
    return DeliveryReport.REFUSED if isinstance(error, _REFUSALS) else DeliveryReport.UNKNOWN
