"""The records of one partition, in batches: the client has one on its way to Kafka and the next one, still open.

So what comes while Kafka writes goes together, is with the client when Kafka is done, and a busy partition makes large
batches by itself. aiokafka's own `send` costs a future and a search for room per record; a batch has one for all.
"""

import asyncio
from asyncio import Future, TimerHandle
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from ingest.budgets import Reservation
from schemas.delivery import PendingRecord
from schemas.kafka.arguments import BATCH_BYTES

# The record's own fault, or that of a record in its batch: another producer would not help.
_REFUSALS = (InvalidTimestampError, MessageSizeTooLargeError, RecordListTooLargeError)
# Kafka's code in a batch: https://kafka.apache.org/documentation/#recordbatch
_NO_COMPRESSION = 0


class DeliveryReport(Enum):
    """What became of a record."""

    WRITTEN = auto()
    UNKNOWN = auto()  # Not written in time; it may be written later.
    REFUSED = auto()  # It, or another one of its batch, is such as Kafka never takes.


OnReport = Callable[[DeliveryReport], None]


class Builder(BatchBuilder):  # type: ignore[misc] # aiokafka's types do not know it
    """aiokafka's batch, closed in the moment in which the client takes it.

    The client counts the records then, for the numbers of the next batch, and encodes them a turn of the loop later.
    """

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self.close()
        super()._set_producer_state(producer_id, producer_epoch, base_sequence)


class ProducerBatch:
    """Records that share one report; `submitted` once the client has them, and then it does not give them back."""

    __slots__ = ("began_at", "builder", "deadline", "on_reports", "reservations", "submitted")

    def __init__(self, builder: Builder, began_at: float) -> None:
        self.builder = builder
        self.began_at = began_at
        self.on_reports: list[OnReport] = []
        self.reservations: list[Reservation] = []
        self.submitted = False
        self.deadline: TimerHandle | None = None

    def add(self, record: PendingRecord) -> bool:
        """Whether there was room, and it is not with Kafka yet."""
        appended = self.builder.append(
            timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=record.headers
        )
        return appended is not None

    def report(self, report: DeliveryReport) -> None:
        """Calls back for each record that has no report yet; once."""
        on_reports, self.on_reports = self.on_reports, []
        for on_report in on_reports:
            on_report(report)

    def release(self) -> None:
        """Its bytes are no longer needed."""
        for reservation in self.reservations:
            reservation.release()
        self.reservations = []
        if self.deadline is not None:
            self.deadline.cancel()


class PartitionBatches:
    """Batches for one partition through one producer, which keeps their order.

    `settled` is told of every batch that the client had, or that `abandon` found waiting, with its error; `overdue` of
    every one that the client still has when the first record's deadline is over. Those that wait have been told by
    then. Either may come after `abandon`, of what the client had.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partition: int,
        *,
        deadline_s: float,
        overdue: Callable[[ProducerBatch], None],
        settled: Callable[[ProducerBatch, BaseException | None], None],
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._deadline_s = deadline_s
        self._overdue = overdue
        self._settled = settled
        self._loop = asyncio.get_running_loop()
        self._ready: deque[ProducerBatch] = deque()  # Not with the client; the first one may be at its door.
        self._open: ProducerBatch | None = None
        self._submitting: asyncio.Task[None] | None = None

    def append(self, record: PendingRecord, reservation: Reservation, on_report: OnReport) -> None:
        """Takes the record and the reservation; `on_report` is called within the deadline, after this returned."""
        batch = self._open
        if batch is None or not batch.add(record):
            batch = self._open_batch()
            batch.add(record)  # An empty batch takes a record of any size.
        batch.reservations.append(reservation)
        batch.on_reports.append(on_report)

    def _open_batch(self) -> ProducerBatch:
        batch = ProducerBatch(Builder(BATCH_BYTES, _NO_COMPRESSION), self._loop.time())
        batch.deadline = self._loop.call_at(batch.began_at + self._deadline_s, self._expire, batch)
        self._ready.append(batch)
        self._open = batch
        if self._submitting is None:
            self._submitting = self._loop.create_task(self._submit())
        return batch

    def abandon(self) -> None:
        """Gives the client nothing more, and settles what it has not; nothing may be appended any more.

        What waits at its door would wait for ever where the client is closed meanwhile. What it has is settled once it
        is done with that, at the latest as it is closed.
        """
        if self._submitting is not None:
            self._submitting.cancel()
        self._open = None
        while self._ready:
            self._settle(self._ready.popleft(), asyncio.CancelledError())

    async def _submit(self) -> None:
        """Gives the client batch after batch, until none is left; it takes one when the one before is on its way."""
        try:
            while self._ready:
                batch = self._ready[0]
                batch.submitted = True
                try:
                    written = await self._producer.send_batch(batch.builder, self._topic, partition=self._partition)
                except Exception as error:  # noqa: BLE001 `settled` judges it; nobody else would settle the batch
                    self._ready.popleft()
                    if batch is self._open:
                        self._open = None
                    self._settle(batch, error)
                else:
                    self._ready.popleft()
                    written.add_done_callback(partial(self._written, batch))
        finally:
            self._submitting = None

    def _written(self, batch: ProducerBatch, written: "Future[object]") -> None:
        self._settle(batch, asyncio.CancelledError() if written.cancelled() else written.exception())

    def _settle(self, batch: ProducerBatch, error: BaseException | None) -> None:
        """Reports the end of the batch, however long that took."""
        batch.report(_report_of(error))
        batch.release()
        self._settled(batch, error)

    def _expire(self, batch: ProducerBatch) -> None:
        """The deadline is over: what the client has is overdue, what it has not is not given to it any more."""
        if batch is self._open:
            self._open = None
        batch.report(DeliveryReport.UNKNOWN)
        if batch.submitted:
            self._overdue(batch)
            return
        self._ready.remove(batch)
        batch.release()


def _report_of(error: BaseException | None) -> DeliveryReport:
    """What an error of the client's means for the records of the batch."""
    if error is None:
        return DeliveryReport.WRITTEN
    return DeliveryReport.REFUSED if isinstance(error, _REFUSALS) else DeliveryReport.UNKNOWN
